mod frames;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use self::frames::{Statements, command_tag, greet, read_frame};

/// What is about to be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing<'a> {
    /// The client has this statement run: `COMMIT`, for one.
    Statement(&'a str),
    /// The server says that a statement is done, by its command tag: `COMMIT`, for one, or `INSERT 0 3`.
    Done(&'a str),
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is passed on.
    Pass,
    /// It is not, and the connection ends for both sides.
    Cut,
}

/// Says what becomes of what passes; called before it is passed on, in the order of each connection.
pub type Watch = Arc<dyn Fn(Passing<'_>) -> Fate + Send + Sync>;

/// A wire between a client and a PostgreSQL, on a port of 127.0.0.1 that stays the same while servers come and go. It
/// can be watched, led to another server, and cut, so that a test ends a process, a connection or a network at a moment
/// that it names, and the process needs no hook for it.
pub struct Wire {
    port: u16,
    line: Arc<Line>,
    accepting: Option<JoinHandle<()>>,
}

struct Line {
    watch: Watch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The server's port; none while the wire is cut.
    server: Option<u16>,
    open: HashMap<u64, [TcpStream; 2]>,
    accepted: u64,
    is_dropped: bool,
}

impl Wire {
    /// A wire to the server on this port of 127.0.0.1.
    pub fn start(server: u16, watch: Watch) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let state = Mutex::new(State { server: Some(server), ..State::default() });
        let line = Arc::new(Line { watch, state });
        let accepted_by = Arc::clone(&line);
        let accepting = thread::Builder::new().name("wire".into()).spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepted_by.state().is_dropped {
                    break;
                }
                accepted_by.serve(stream);
            }
        })?;
        Ok(Self { port, line, accepting: Some(accepting) })
    }

    /// A wire that passes everything on until it is cut.
    pub fn unwatched(server: u16) -> io::Result<Self> {
        Self::start(server, Arc::new(|_| Fate::Pass))
    }

    /// The port on 127.0.0.1 where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends all connections. New ones end at once too, until the wire leads somewhere again.
    pub fn cut(&self) {
        let mut state = self.line.state();
        state.server = None;
        for stream in state.open.values().flatten() {
            // It may have ended by itself, which is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// New connections go to the server on this port.
    pub fn lead_to(&self, server: u16) {
        self.line.state().server = Some(server);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.line.state().is_dropped = true;
        // Whoever waits for a connection gets one, and sees that it was the last.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.line.state().server;
        formatter.debug_struct("Wire").field("port", &self.port).field("server", &server).finish()
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes one connection on, in threads of its own, until either side ends it.
    fn serve(self: &Arc<Self>, client: TcpStream) {
        let Some((number, server)) = self.open(&client) else { return };
        let line = Arc::clone(self);
        thread::spawn(move || {
            // A failure on either side is the end of the connection, and both sides learn of it that way.
            let _ = line.relay(&client, &server);
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            line.state().open.remove(&number);
        });
    }

    fn open(&self, client: &TcpStream) -> Option<(u64, TcpStream)> {
        // Under the lock to the end, so that a cut finds every connection there is.
        let mut state = self.state();
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, state.server?)).ok()?;
        for stream in [client, &server] {
            stream.set_nodelay(true).ok()?;
        }
        let number = state.accepted;
        state.accepted += 1;
        state.open.insert(number, [client.try_clone().ok()?, server.try_clone().ok()?]);
        Some((number, server))
    }

    fn relay(&self, client: &TcpStream, server: &TcpStream) -> io::Result<()> {
        let mut from_client = BufReader::new(client);
        greet(&mut from_client, &mut &*client, &mut &*server)?;
        thread::scope(|scope| {
            scope.spawn(|| {
                let tags = |frame: &[u8]| command_tag(frame).map(|it| (self.watch)(Passing::Done(&it)));
                let _ = pass_on(BufReader::new(server), client, tags);
                let _ = client.shutdown(Shutdown::Both);
            });
            let mut statements = Statements::default();
            let passed = pass_on(from_client, server, |frame| {
                statements.run_by(frame).map(|it| (self.watch)(Passing::Statement(&it)))
            });
            let _ = server.shutdown(Shutdown::Both);
            passed
        })
    }
}

/// Passes messages on until the connection ends or `fate` cuts it. What came before a message that somebody watches has
/// been passed on when it is asked for its fate.
fn pass_on(
    mut from: BufReader<&TcpStream>,
    to: &TcpStream,
    mut fate: impl FnMut(&[u8]) -> Option<Fate>,
) -> io::Result<()> {
    let mut waiting = BufWriter::new(to);
    let mut frame = Vec::new();
    loop {
        if from.buffer().is_empty() {
            waiting.flush()?;
        }
        read_frame(&mut from, &mut frame)?;
        if frames::is_watched(&frame) {
            waiting.flush()?;
        }
        if fate(&frame) == Some(Fate::Cut) {
            return Ok(());
        }
        waiting.write_all(&frame)?;
    }
}
