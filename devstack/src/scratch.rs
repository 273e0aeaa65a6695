use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Error;

/// A folder for things to throw away. It is removed when this is dropped, and also when this process ends in any other
/// way, SIGKILL included.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    cleaner: Child,
}

impl Scratch {
    /// A new folder: in memory where there is room, so that fsync costs nothing, else where temporary files go.
    pub fn new() -> Result<Self, Error> {
        let place = in_memory().unwrap_or_else(std::env::temp_dir);
        let path = tempfile::Builder::new()
            .prefix("daftari-")
            // Others may pass through, because PostgreSQL's user must when we are root, but not look around.
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in(&place)
            .map_err(Error::folder("create a folder in", place))?
            .keep();
        let cleaner = cleaner(&path)?;
        Ok(Self { path, cleaner })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.cleaner.stdin.take());
        let _ = self.cleaner.wait();
    }
}

/// A process that waits until its standard input ends, because we closed it or because we are no more, and then removes
/// the folder. Parts in there are ending at the same moment: it waits for their locks, because a server that loses its
/// files before its end leaves shared memory behind.
fn cleaner(path: &Path) -> Result<Child, Error> {
    const WAIT_AND_REMOVE: &str = r#"
        cat >/dev/null
        for lock in "$0"/*/lock; do
            test -e "$lock" && flock --wait 10 "$lock" true
        done
        rm -rf -- "$0""#;
    Command::new("/bin/sh")
        .args(["-c", WAIT_AND_REMOVE])
        .arg(path)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // The terminal's Ctrl-C is not for it.
        .process_group(0)
        .spawn()
        .map_err(|source| Error::Spawn { program: "/bin/sh".into(), source })
}

fn in_memory() -> Option<PathBuf> {
    // Some 40 MB per new server, 8 MB per database, 64 MB of WAL, and Kafka's preallocated indexes.
    const ROOM_BYTES: u64 = 2 << 30;
    let place = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(place).ok()?;
    (ROOM_BYTES <= room.f_bavail.saturating_mul(room.f_frsize)).then(|| place.into())
}
