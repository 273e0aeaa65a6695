use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::de::IgnoredAny;

use crate::Error;

/// A chain's files. anvil writes `live` in place every second, so a crash may leave half of it, and anvil does not
/// start from half a file. `kept` is the last whole one, and what the next start reads.
#[derive(Debug)]
pub(super) struct StateFiles {
    pub(super) kept: PathBuf,
    pub(super) live: PathBuf,
    pub(super) log: PathBuf,
    pub(super) lock: PathBuf,
}

impl StateFiles {
    /// Before a start: keeps what the last run wrote at its very end, if it is whole.
    pub(super) fn recover(&self) -> Result<(), Error> {
        self.keep(&self.whole_live_state().unwrap_or_default())
            .map_err(Error::folder("write", &self.kept))?;
        match fs::remove_file(&self.live) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::folder("remove", &self.live)(source))
            }
            _ => Ok(()),
        }
    }

    /// What anvil wrote last, unless it is missing, incomplete or being written at this moment.
    fn whole_live_state(&self) -> Option<Vec<u8>> {
        let version = || fs::metadata(&self.live).and_then(|it| Ok((it.modified()?, it.len()))).ok();
        let before = version()?;
        let state = fs::read(&self.live).ok()?;
        let whole = serde_json::from_slice::<IgnoredAny>(&state).is_ok() && version()? == before;
        whole.then_some(state)
    }

    fn keep(&self, state: &[u8]) -> io::Result<()> {
        if state.is_empty() {
            return Ok(());
        }
        let unfinished = self.kept.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(state)?;
        // Otherwise a power cut may leave the new name with none of the bytes.
        file.sync_all()?;
        fs::rename(unfinished, &self.kept)
    }
}

/// A thread that keeps each whole state as it appears.
#[derive(Debug)]
pub(super) struct Keeper {
    // Taken on the way out; closing it ends the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Keeper {
    pub(super) fn start(files: StateFiles) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread =
            thread::Builder::new().name("anvil-state".into()).spawn(move || keep_until(&stopped, &files));
        Self { stop: Some(stop), thread: Some(thread.expect("a thread can be started")) }
    }

    /// Keeps the last state. anvil must have ended.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.join()
    }

    fn join(&mut self) -> Result<(), Error> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), |it| it.join().expect("the keeper does not panic"))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Err(error) = self.join() {
            tracing::warn!(%error, "anvil's last state was not kept");
        }
    }
}

fn keep_until(stopped: &mpsc::Receiver<()>, files: &StateFiles) -> Result<(), Error> {
    // anvil writes each second; a quarter more is all that a crash of both can cost.
    const LOOK_EVERY: Duration = Duration::from_millis(250);
    let mut seen = None;
    let mut kept = Vec::new();
    while stopped.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
        let modified = fs::metadata(&files.live).and_then(|it| it.modified()).ok();
        if modified == seen {
            continue;
        }
        let Some(state) = files.whole_live_state() else { continue };
        seen = modified;
        if state != kept {
            match files.keep(&state) {
                Ok(()) => kept = state,
                Err(error) => tracing::warn!(%error, "anvil's state could not be kept; trying again"),
            }
        }
    }
    files.recover()
}
