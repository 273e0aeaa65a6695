mod cluster;
mod disk;
mod home;
mod programs;
mod ready;
mod server;
mod standby;
mod user;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::cluster::{forget_a_pid_that_was_reused, initialise, password};
pub use self::disk::Disk;
use self::home::Home;
use self::ready::is_ready;
use self::server::server;
pub use self::standby::STANDBY_NAME;
use crate::lock::Lock;
use crate::port::on_free_ports;
use crate::running::Running;
use crate::{Error, Wire};

const PART: &str = "postgres";

// Recovery after a crash replays at most max_wal_size (1 GB by default), which takes seconds; a slow disk takes more.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Which PostgreSQL to start.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// Its folder: made when missing, kept when there. The books are in `cluster/`, the log in `postgres.log`.
    pub data_dir: PathBuf,
    /// A port on 127.0.0.1; a free one where there is none.
    pub port: Option<u16>,
    /// Settings as in postgresql.conf. They win over it, except that what makes commits durable stays on.
    pub settings: Vec<(String, String)>,
    /// What the server finds in its environment besides ours.
    pub environment: Vec<(String, String)>,
}

impl PostgresConfig {
    /// A server in this folder, with defaults for the rest.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), port: None, settings: Vec::new(), environment: Vec::new() }
    }
}

/// A PostgreSQL of our own on 127.0.0.1, whose only user is the superuser `daftari` with a random password.
pub struct Postgres {
    running: Running,
    port: u16,
    password: String,
    programs: PathBuf,
    home: Home,
}

impl Postgres {
    /// Starts the server and returns when it takes connections. A new folder is initialised first; one that a crash
    /// left behind is recovered.
    ///
    /// As root the server runs as the owner of the folder, or as `nobody` where that is root too, because PostgreSQL
    /// refuses to run as root. Where that user cannot reach the programs or the folder, they are under /var/lib/daftari
    /// and a link named `moved` in the folder says where. As anyone else it runs as we do.
    pub fn start(config: &PostgresConfig) -> Result<Self, Error> {
        let home = Home::prepare(&config.data_dir)?;
        let lock = Lock::take(PART, home.folder.join("lock"))?;
        password(&home)?;
        if !home.cluster().join("PG_VERSION").exists() {
            initialise(&home, &programs::reachable_by(home.user)?, &lock)?;
        }
        Self::run(home, lock, config)
    }

    /// Runs the server of a cluster that is there.
    fn run(home: Home, lock: Lock, config: &PostgresConfig) -> Result<Self, Error> {
        let programs = programs::reachable_by(home.user)?;
        let password = password(&home)?;
        forget_a_pid_that_was_reused(&home)?;
        let (running, port) = on_free_ports(PART, config.port, |[port]| {
            let (running, ()) = Running::launch(server(&home, &programs, &lock, port, config)?)?
                .wait_until(START_PATIENCE, |pid| is_ready(&home.cluster(), pid, port).then_some(()))?;
            Ok((running, port))
        })?;
        Ok(Self { running, port, password, programs, home })
    }

    /// The superuser's URL of a database. `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        self.url_at(self.port, database)
    }

    /// The same by way of a wire.
    pub fn url_through(&self, wire: &Wire, database: &str) -> String {
        self.url_at(wire.port(), database)
    }

    fn url_at(&self, port: u16, database: &str) -> String {
        format!("postgres://daftari:{}@127.0.0.1:{port}/{database}", self.password)
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
        &self.home.folder
    }

    /// False once the server has ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.running.is_running()
    }

    /// Where its output goes, if it is kept.
    pub fn log_file(&self) -> Option<&Path> {
        self.running.log_file()
    }

    /// Ends all sessions, writes a checkpoint and waits for the end.
    pub fn stop(mut self) -> Result<(), Error> {
        self.running.stop()
    }
}

impl fmt::Debug for Postgres {
    // Without the password: this is what a log line shows.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { running, port, home, programs: _, password: _ } = self;
        formatter
            .debug_struct("Postgres")
            .field("pid", &running.pid())
            .field("port", port)
            .field("folder", &home.folder)
            .finish()
    }
}
