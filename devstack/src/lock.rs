use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

// A part whose parent was killed a moment ago is still on its way down: PostgreSQL's immediate shutdown gives its
// processes 5 s before it kills them, and a machine that does much else needs as long again.
const PATIENCE: Duration = Duration::from_secs(12);

/// A folder that no other part runs in.
///
/// The locked file becomes the part's standard input. The lock belongs to the open file, which every process of the
/// part inherits, so it is free exactly when the last of them has gone: not when the parent has, and not when a pid
/// looks dead.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, waiting a while for a dying predecessor.
    pub(crate) fn take(part: &'static str, path: PathBuf) -> Result<Self, Error> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::folder("open", &path))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file, path }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::InUse {
                        part,
                        folder: path.parent().unwrap_or(Path::new("/")).into(),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(Error::folder("lock", path)(source)),
            }
        }
    }

    /// The standard input that hands the lock on.
    pub(crate) fn stream(&self) -> Result<Stdio, Error> {
        Ok(self.file.try_clone().map_err(Error::folder("share", &self.path))?.into())
    }
}
