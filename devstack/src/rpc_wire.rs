use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::anvil::rpc::post;

/// What becomes of a question to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcFate {
    /// It is passed on, and its answer too.
    Pass,
    /// It is not passed on: the answer is HTTP's 503.
    Unavailable,
    /// It is not passed on: the answer is an error of JSON-RPC.
    Error,
    /// It is not passed on: the answer is that the contract reverts.
    Revert,
    /// It is passed on after so long.
    Late(Duration),
    /// It is not passed on, and there is no answer until the weather changes.
    Silence,
    /// It is passed on, and the connection ends before its answer.
    Lose,
    /// It is passed on, and the connection ends in the middle of its answer.
    CutAnswer,
    /// The answer is the one that the same question had first in this weather, as from a node that has stood still since.
    Stale,
    /// It is not passed on: the answer is this JSON, as from a node that lies.
    Answer(&'static str),
}

/// Says what becomes of a question, by its method.
pub type RpcWeather = Arc<dyn Fn(&str) -> RpcFate + Send + Sync>;

/// A wire between a client and a chain's JSON-RPC, on a port of 127.0.0.1, on which a test chooses the weather.
pub struct RpcWire {
    port: u16,
    line: Arc<Line>,
    accepting: Option<JoinHandle<()>>,
}

struct Line {
    server: u16,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    weather: RpcWeather,
    turns: u64,
    /// The first answer to each question in this weather.
    first: HashMap<String, Value>,
    is_dropped: bool,
}

impl RpcWire {
    /// A wire to the chain on this port of 127.0.0.1; it passes everything on until told otherwise.
    pub fn start(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let weather: RpcWeather = Arc::new(|_| RpcFate::Pass);
        let state = Mutex::new(State { weather, turns: 0, first: HashMap::new(), is_dropped: false });
        let line = Arc::new(Line { server, state, changed: Condvar::new() });
        let accepted_by = Arc::clone(&line);
        let accepting = thread::Builder::new().name("rpc-wire".into()).spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepted_by.state().is_dropped {
                    break;
                }
                let line = Arc::clone(&accepted_by);
                thread::spawn(move || {
                    // A failure on either side is the end of the connection.
                    let _ = line.serve(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        })?;
        Ok(Self { port, line, accepting: Some(accepting) })
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on this becomes of questions; whoever waits in silence is answered nothing.
    pub fn set(&self, weather: impl Fn(&str) -> RpcFate + Send + Sync + 'static) {
        let mut state = self.line.state();
        state.weather = Arc::new(weather);
        state.turns += 1;
        state.first.clear();
        self.line.changed.notify_all();
    }
}

impl Drop for RpcWire {
    fn drop(&mut self) {
        self.line.state().is_dropped = true;
        self.line.changed.notify_all();
        // Whoever waits for a connection gets one, and sees that it was the last.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One question on a connection: clients open another for the next.
    fn serve(&self, mut client: &TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(30)))?;
        let body = read_body(&mut BufReader::new(client))?;
        let question: Value = serde_json::from_slice(&body)?;
        let method = question["method"].as_str().unwrap_or_default();
        let weather = Arc::clone(&self.state().weather);
        let fate = weather(method);
        let answer = match fate {
            RpcFate::Unavailable => {
                return client.write_all(
                    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                );
            }
            RpcFate::Error => {
                let error = json!({"code": -32603, "message": "internal error"});
                json!({"jsonrpc": "2.0", "id": question["id"], "error": error})
            }
            RpcFate::Revert => {
                let error = json!({"code": 3, "message": "execution reverted", "data": "0x"});
                json!({"jsonrpc": "2.0", "id": question["id"], "error": error})
            }
            RpcFate::Answer(result) => {
                let result: Value = serde_json::from_str(result)?;
                json!({"jsonrpc": "2.0", "id": question["id"], "result": result})
            }
            RpcFate::Silence => return self.wait_for_change(),
            RpcFate::Late(time) => {
                thread::sleep(time);
                self.answer(&question, false)?
            }
            RpcFate::Pass | RpcFate::Lose | RpcFate::CutAnswer | RpcFate::Stale => {
                self.answer(&question, fate == RpcFate::Stale)?
            }
        };
        let body = answer.to_string();
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        match fate {
            RpcFate::Lose => Ok(()),
            RpcFate::CutAnswer => client.write_all(&text.as_bytes()[..text.len() - body.len() / 2]),
            _ => client.write_all(text.as_bytes()),
        }
    }

    /// The chain's answer, or its first to the same question.
    fn answer(&self, question: &Value, is_stale: bool) -> io::Result<Value> {
        let key = json!([question["method"], question["params"]]).to_string();
        let known = self.state().first.get(&key).cloned().filter(|_| is_stale);
        let mut answer = match known {
            Some(answer) => answer,
            None => {
                let answer: Value = serde_json::from_slice(&post(self.server, &question.to_string())?)?;
                self.state().first.entry(key).or_insert_with(|| answer.clone());
                answer
            }
        };
        answer["id"] = question["id"].clone();
        Ok(answer)
    }

    fn wait_for_change(&self) -> io::Result<()> {
        let state = self.state();
        let turns = state.turns;
        let is_same = |state: &mut State| state.turns == turns && !state.is_dropped;
        drop(self.changed.wait_while(state, is_same).unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// The body of a request, whose length stands in its head.
fn read_body(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}
