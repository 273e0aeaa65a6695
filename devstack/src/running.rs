use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;
use crate::bound::{Bound, User};
use crate::lock::Lock;

const POLL: Duration = Duration::from_millis(10);

/// What to run, and how it is to end.
pub(crate) struct Launch<'a> {
    pub(crate) part: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Besides ours.
    pub(crate) environment: &'a [(String, String)],
    pub(crate) folder: PathBuf,
    pub(crate) user: Option<User>,
    pub(crate) lock: Option<&'a Lock>,
    pub(crate) log: Log,
    /// What the kernel sends when this process dies.
    pub(crate) orphaned: &'static str,
    /// What asks for a clean end, and how long that may take.
    pub(crate) stop: Signal,
    pub(crate) grace: Duration,
}

/// A process that runs until it is stopped or dropped, or until this process ends.
#[derive(Debug)]
pub(crate) struct Running {
    part: &'static str,
    child: Child,
    log: Log,
    stop: Signal,
    grace: Duration,
}

impl Running {
    pub(crate) fn launch(launch: Launch<'_>) -> Result<Self, Error> {
        let Launch { part, program, arguments, environment, folder, user, lock, log, orphaned, stop, grace } =
            launch;
        let bound = Bound { signal: orphaned, own_group: true, user };
        let mut command = bound.command(program.as_os_str(), &arguments);
        command.current_dir(folder).envs(environment.iter().cloned());
        command.stdin(lock.map_or_else(|| Ok(Stdio::null()), Lock::stream)?);
        command.stdout(log.stream()?).stderr(log.stream()?);
        let child = bound.spawn(command)?;
        Ok(Self { part, child, log, stop, grace })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log_file(&self) -> Option<&Path> {
        self.log.path.as_deref()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until `ready` answers, the process ends or the time is up; in the latter case it is stopped.
    pub(crate) fn wait_until<T>(
        mut self,
        patience: Duration,
        mut ready: impl FnMut(u32) -> Option<T>,
    ) -> Result<(Self, T), Error> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended()? {
                return Err(Error::Ended {
                    part: self.part,
                    status: status.to_string(),
                    log: self.log.tail(),
                });
            }
            if let Some(answer) = ready(self.pid()) {
                return Ok((self, answer));
            }
            if deadline <= Instant::now() {
                return Err(Error::NotReady {
                    part: self.part,
                    seconds: patience.as_secs(),
                    log: self.log.tail(),
                });
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for a process that is to end by itself, and well.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<(), Error> {
        match self.wait_for_end(patience)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                Err(Error::Ended { part: self.part, status: status.to_string(), log: self.log.tail() })
            }
            None => {
                Err(Error::NotReady { part: self.part, seconds: patience.as_secs(), log: self.log.tail() })
            }
        }
    }

    /// Asks for a clean end and waits for it. Does nothing where the process has ended already.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        self.signal(self.stop);
        if self.wait_for_end(self.grace)?.is_some() {
            return Ok(());
        }
        self.signal(Signal::KILL);
        self.child.wait().map_err(Error::folder("wait for", self.part))?;
        Err(Error::Killed { part: self.part, seconds: self.grace.as_secs() })
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(Error::folder("wait for", self.part))
    }

    fn wait_for_end(&mut self, patience: Duration) -> Result<Option<ExitStatus>, Error> {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.ended()?;
            if ended.is_some() || deadline <= Instant::now() {
                return Ok(ended);
            }
            thread::sleep(POLL);
        }
    }

    fn signal(&self, signal: Signal) {
        // Only called while the child has not been waited for, so its pid is still its own. It may have ended since,
        // which is as good.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "a part did not stop cleanly");
        }
    }
}

/// Where a part's output goes.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: Option<PathBuf>,
}

impl Log {
    /// A log that is kept: what is there stays, new lines follow.
    pub(crate) fn kept(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        Ok(Self { file: file.map_err(Error::folder("open", path))?, path: Some(path.into()) })
    }

    /// A log that only an error message will ever quote.
    pub(crate) fn unnamed() -> Result<Self, Error> {
        let file = tempfile::tempfile().map_err(Error::folder("create a file in", std::env::temp_dir()))?;
        Ok(Self { file, path: None })
    }

    fn stream(&self) -> Result<Stdio, Error> {
        let file = self.file.try_clone();
        Ok(Stdio::from(file.map_err(Error::folder("share", self.path.clone().unwrap_or_default()))?))
    }

    /// The last lines, as a sentence for an error message.
    fn tail(&self) -> String {
        let lines = self.last_lines().unwrap_or_default();
        match &self.path {
            Some(path) => format!("Its log, {}, ends with:\n{lines}", path.display()),
            None => format!("It said:\n{lines}"),
        }
    }

    fn last_lines(&self) -> io::Result<String> {
        const TAIL_BYTES: u64 = 2000;
        const TAIL_LINES: usize = 8;
        let size = self.file.metadata()?.len();
        let start = size.saturating_sub(TAIL_BYTES);
        let mut bytes = vec![0; (size - start) as usize];
        // Read at a place: the file's own position is shared with the part that writes to it.
        self.file.read_exact_at(&mut bytes, start)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
    }
}
