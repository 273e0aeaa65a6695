use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::cluster::write_password;
use super::home::Home;
use super::programs::{self, run};
use super::{PART, Postgres, PostgresConfig, START_PATIENCE};
use crate::Error;
use crate::lock::Lock;
use crate::running::{Launch, Log, Running};

/// What a primary calls its standby in `synchronous_standby_names`.
pub const STANDBY_NAME: &str = "standby";

impl Postgres {
    /// Starts a streaming standby of this server, copied from it while it runs. It reaches this server on `port`: its
    /// own, or a wire's. Where the settings of this one have `synchronous_standby_names` = [`STANDBY_NAME`], its commits
    /// wait until the standby has them on disk.
    ///
    /// The copy is made by `pg_basebackup`. Its folder has to be a new one; once promoted, it can be started like any other.
    pub fn start_standby(&self, config: &PostgresConfig, port: u16) -> Result<Self, Error> {
        let home = Home::prepare(&config.data_dir)?;
        let lock = Lock::take(PART, home.folder.join("lock"))?;
        write_password(&home, &self.password)?;
        copy(&home, &lock, port, &self.password)?;
        Self::run(home, lock, config)
    }

    /// Has this standby take over: it replays what it has received, and takes writes when this returns.
    pub fn promote(&self) -> Result<(), Error> {
        Running::launch(Launch {
            part: PART,
            program: self.programs.join("pg_ctl"),
            arguments: ["promote", "--wait", "-D"]
                .map(OsString::from)
                .into_iter()
                .chain([self.home.cluster().into()])
                .collect(),
            environment: &[],
            folder: self.home.folder.clone(),
            user: self.home.user,
            lock: None,
            log: Log::kept(&self.home.log())?,
            orphaned: "TERM",
            stop: Signal::TERM,
            grace: Duration::from_secs(5),
        })?
        .finish(START_PATIENCE)
    }
}

/// Copies the primary's cluster beside its place and moves it there when it is complete.
fn copy(home_of_standby: &Home, lock: &Lock, port: u16, password: &str) -> Result<(), Error> {
    let program = programs::program("pg_basebackup")?;
    let folder = &home_of_standby.folder;
    // In a file, because a command line is there for every user of the machine to read. The standby goes on using it.
    let passfile = folder.join("passfile");
    home_of_standby.write_secret(&passfile, &format!("127.0.0.1:*:*:daftari:{password}\n"))?;
    let primary = format!(
        "host=127.0.0.1 port={port} user=daftari application_name={STANDBY_NAME} passfile={}",
        passfile.display()
    );
    let unfinished = folder.join("cluster.new");
    let mut arguments: Vec<OsString> =
        ["-D".into(), unfinished.clone().into(), "-d".into(), primary.into()].into();
    // It writes down how to follow the primary, and does not wait for the next regular checkpoint.
    arguments
        .extend(["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream"].map(OsString::from));
    Running::launch(Launch {
        part: PART,
        program,
        arguments,
        environment: &[],
        folder: folder.clone(),
        // As ourselves: the server's user may not reach the program.
        user: None,
        lock: Some(lock),
        log: Log::kept(&home_of_standby.log())?,
        orphaned: "TERM",
        stop: Signal::TERM,
        grace: Duration::from_secs(5),
    })?
    .finish(START_PATIENCE)?;
    if let Some(user) = home_of_standby.user {
        run(Command::new("chown").arg("-R").arg(format!("{}:{}", user.uid, user.gid)).arg(&unfinished))?;
    }
    fs::rename(&unfinished, home_of_standby.cluster()).map_err(Error::folder("rename", &unfinished))
}
