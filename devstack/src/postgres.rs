mod home;
mod programs;
mod user;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::lock::Lock;
use crate::port::on_free_ports;
use crate::running::{Launch, Log, Running};
use crate::{Error, postgres::home::Home};

const PART: &str = "postgres";

// Recovery after a crash replays at most max_wal_size (1 GB by default), which takes seconds; a slow disk takes more.
const START_PATIENCE: Duration = Duration::from_secs(120);
// A fast shutdown writes what is dirty in shared_buffers.
const STOP_GRACE: Duration = Duration::from_secs(60);

/// Which PostgreSQL to start.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// Its folder: made when missing, kept when there. The books are in `cluster/`, the log in `postgres.log`.
    pub data_dir: PathBuf,
    /// A port on 127.0.0.1; a free one where there is none.
    pub port: Option<u16>,
    /// Settings as in postgresql.conf. They win over it, except that what makes commits durable stays on.
    pub settings: Vec<(String, String)>,
}

impl PostgresConfig {
    /// A server in this folder, with defaults for the rest.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), port: None, settings: Vec::new() }
    }
}

/// A PostgreSQL of our own on 127.0.0.1, whose only user is the superuser `daftari` with a random password.
pub struct Postgres {
    running: Running,
    port: u16,
    password: String,
    folder: PathBuf,
}

impl Postgres {
    /// Starts the server and returns when it takes connections. A new folder is initialised first; one that a crash
    /// left behind is recovered.
    ///
    /// As root the server runs as the owner of the folder, or as `nobody` where that is root too, because PostgreSQL
    /// refuses to run as root. As anyone else it runs as we do.
    pub fn start(config: &PostgresConfig) -> Result<Self, Error> {
        let home = Home::prepare(&config.data_dir)?;
        let programs = programs::reachable_by(home.user)?;
        let lock = Lock::take(PART, home.folder.join("lock"))?;
        let password = password(&home)?;
        if !home.cluster().join("PG_VERSION").exists() {
            initialise(&home, &programs, &lock)?;
        }
        forget_a_pid_that_was_reused(&home)?;
        let (running, port) = on_free_ports(PART, config.port, |[port]| {
            let (running, ()) = Running::launch(server(&home, &programs, &lock, port, &config.settings)?)?
                .wait_until(START_PATIENCE, |pid| {
                    (says_ready(&home.cluster(), pid, port) && answers(port)).then_some(())
                })?;
            Ok((running, port))
        })?;
        Ok(Self { running, port, password, folder: home.folder })
    }

    /// The superuser's URL of a database. `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://daftari:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The folder where the cluster and the log truly are. It is the configured one, unless root was given a folder
    /// that the server's user cannot reach.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// False once the server has ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.running.is_running()
    }

    /// Ends all sessions, writes a checkpoint and waits for the end.
    pub fn stop(mut self) -> Result<(), Error> {
        self.running.stop()
    }
}

impl fmt::Debug for Postgres {
    // Without the password: this is what a log line shows.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { running, port, folder, password: _ } = self;
        formatter
            .debug_struct("Postgres")
            .field("pid", &running.pid())
            .field("port", port)
            .field("folder", folder)
            .finish()
    }
}

/// The password, made on the first start: loopback is open to every user of the machine.
fn password(home: &Home) -> Result<String, Error> {
    let path = home.folder.join("password");
    match fs::read_to_string(&path) {
        Ok(password) if !password.is_empty() => return Ok(password),
        _ if home.cluster().exists() => {
            let source = std::io::Error::other("the cluster beside it was made with a password that it held");
            return Err(Error::folder("read", &path)(source));
        }
        _ => {}
    }
    let mut random = [0; 24];
    fs::File::open("/dev/urandom")
        .and_then(|mut it| it.read_exact(&mut random))
        .map_err(Error::folder("read", "/dev/urandom"))?;
    let password: String = random.iter().map(|it| format!("{it:02x}")).collect();
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.as_mut()
        .map_err(|it| std::io::Error::from(it.kind()))
        .and_then(|it| it.write_all(password.as_bytes()))
        .map_err(Error::folder("write", &path))?;
    home.give(&path)?;
    Ok(password)
}

/// Makes the cluster beside its place and moves it there when it is complete, so that an interrupted start leaves
/// nothing that looks like a cluster.
fn initialise(home: &Home, programs: &Path, lock: &Lock) -> Result<(), Error> {
    let unfinished = home.folder.join("cluster.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::folder("remove", &unfinished))?;
    }
    let mut arguments: Vec<OsString> = ["-D".into(), unfinished.clone().into()].into();
    let pwfile = format!("--pwfile={}", home.folder.join("password").display());
    arguments.extend(
        [
            "--username=daftari",
            &pwfile,
            "--auth=scram-sha-256",
            // The password has 192 random bits: stretching it would only make every connection slower.
            "--set=scram_iterations=1",
            // Shared memory as files of the cluster: /dev/shm would keep it when this is interrupted.
            "--set=dynamic_shared_memory_type=mmap",
            "--encoding=UTF8",
            // The same order of text on every machine, whatever its C library and its locale.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        .map(OsString::from),
    );
    Running::launch(Launch {
        part: PART,
        program: programs.join("initdb"),
        arguments,
        folder: home.folder.clone(),
        user: home.user,
        lock: Some(lock),
        log: Log::kept(&home.log())?,
        // It waits for the server it runs meanwhile; killed itself, it would leave that one behind, without the lock.
        orphaned: "TERM",
        stop: Signal::TERM,
        grace: Duration::from_secs(5),
    })?
    .finish(START_PATIENCE)?;
    fs::rename(&unfinished, home.cluster()).map_err(Error::folder("rename", &unfinished))
}

fn server<'a>(
    home: &Home,
    programs: &Path,
    lock: &'a Lock,
    port: u16,
    settings: &[(String, String)],
) -> Result<Launch<'a>, Error> {
    let given = settings.iter().map(|(name, value)| format!("{name}={value}"));
    let durable = ["fsync=on", "full_page_writes=on", "synchronous_commit=on"].map(String::from);
    let place = [
        "listen_addresses=127.0.0.1".into(),
        format!("port={port}"),
        // No socket: its path would have to be short, and reachable by whoever connects.
        "unix_socket_directories=".into(),
        "logging_collector=off".into(),
    ];
    let defaults =
        ["max_connections=200", "timezone=UTC", "log_timezone=UTC", "dynamic_shared_memory_type=posix"]
            .map(String::from);
    let mut arguments: Vec<OsString> = vec!["-D".into(), home.cluster().into()];
    // The last one of a name wins.
    for setting in defaults.into_iter().chain(given).chain(durable).chain(place) {
        arguments.extend(["-c".into(), setting.into()]);
    }
    Ok(Launch {
        part: PART,
        program: programs.join("postgres"),
        arguments,
        folder: home.folder.clone(),
        user: home.user,
        lock: Some(lock),
        log: Log::kept(&home.log())?,
        // Immediate shutdown: gone within milliseconds, whatever its sessions are doing. The next start recovers,
        // as it must after a power cut anyway.
        orphaned: "QUIT",
        // Fast shutdown: sessions are ended, everything is written.
        stop: Signal::INT,
        grace: STOP_GRACE,
    })
}

/// A crash leaves `postmaster.pid` behind. PostgreSQL ignores it when that process is gone, but refuses to start when
/// the number has been given to another process of the same user, as happens after every restart of a container.
fn forget_a_pid_that_was_reused(home: &Home) -> Result<(), Error> {
    let path = home.cluster().join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let pid = text.lines().next().unwrap_or_default();
    let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else { return Ok(()) };
    let cluster = home.cluster();
    // We hold the lock, so no server of ours runs here, at most one that somebody started by hand.
    if command_line.split(|&it| it == 0).any(|it| it == cluster.as_os_str().as_encoded_bytes()) {
        return Err(Error::InUse { part: PART, folder: home.folder.clone() });
    }
    fs::remove_file(&path).map_err(Error::folder("remove", &path))
}

/// The postmaster writes into its pid file when it takes connections. That it is ours, and on this port, tells it from
/// another server that took the port a moment earlier.
fn says_ready(cluster: &Path, pid: u32, port: u16) -> bool {
    let Ok(text) = fs::read_to_string(cluster.join("postmaster.pid")) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // Its lines: pid, folder, start time, port, socket folder, address, shared memory, state.
    lines.first() == Some(&pid.to_string().as_str())
        && lines.get(3) == Some(&port.to_string().as_str())
        && lines.get(7) == Some(&"ready")
}

/// Does the server ask for a password, that is, would it let us in?
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        const PROTOCOL_3_0: u32 = 3 << 16;
        let names = b"user\0daftari\0database\0postgres\0\0";
        let mut message = (8 + names.len() as u32).to_be_bytes().to_vec();
        message.extend(PROTOCOL_3_0.to_be_bytes());
        message.extend(names);
        stream.write_all(&message)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        // R asks for authentication; E is an error, as while the server is still recovering.
        Ok(kind == *b"R")
    };
    ask().unwrap_or(false)
}
