//! A local folder, laid out so that any static file server can serve it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::TileError;
use crate::published::Published;
use crate::store::CHECKPOINT;

// Names below these two are never served: no tile's path begins with a dot.
const STAGING: &str = ".staging";
const LOCK: &str = ".lock";
const SETTLED_MAX: usize = 1024;

pub(crate) struct Folder {
    root: PathBuf,
    // Distinguishes the staged files of processes that share the folder, on one machine or on several.
    staging_prefix: String,
    staged: AtomicU64,
    // Folders whose own names this process has made durable.
    settled: Mutex<HashSet<PathBuf>>,
}

// A file that has its bytes and not yet its name. Where it comes to none, as on a full disk, it does not stay.
struct Staged {
    path: PathBuf,
    file: File,
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Folder {
    pub(crate) fn open(root: PathBuf) -> Result<Self, TileError> {
        let staging = root.join(STAGING);
        fs::create_dir_all(&staging).map_err(at(&staging))?;
        sync_folder(&root)?;
        sweep(&staging);
        let mut unique = [0; 8];
        getrandom::fill(&mut unique).map_err(|error| at(&staging)(io::Error::other(error.to_string())))?;
        let staging_prefix = format!("{:016x}", u64::from_be_bytes(unique));
        let it = Self { staging_prefix, ..Self::view(root) };
        it.try_link()?;
        Ok(it)
    }

    pub(crate) fn view(root: PathBuf) -> Self {
        // What lies beside a folder named by one word alone has no folder otherwise.
        let root = std::path::absolute(&root).unwrap_or(root);
        let (staging_prefix, staged) = (String::new(), AtomicU64::new(0));
        Self { root, staging_prefix, staged, settled: Mutex::default() }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Option<Vec<u8>>, TileError> {
        read(&self.root.join(path))
    }

    /// Reads a part of a file, if it is there and as long.
    pub(crate) fn read_part(&self, path: &str, begin: u64, part: &mut [u8]) -> Result<bool, TileError> {
        let path = self.root.join(path);
        match File::open(&path).and_then(|file| file.read_exact_at(part, begin)) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(false),
            read => read.map(|()| true).map_err(at(&path)),
        }
    }

    // The bytes are durable before they have their name, and the name is durable before anyone is told: a reader sees
    // the whole file or none, also after a power cut.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> Result<(), TileError> {
        self.put_at(&self.root.join(path), bytes)
    }

    fn put_at(&self, path: &Path, bytes: &[u8]) -> Result<(), TileError> {
        self.place(path, bytes, |from, to| fs::rename(from, to))
    }

    /// The same under a name that nothing has yet. Where something has it, that is the answer, and as durable.
    pub(crate) fn create(&self, path: &str, bytes: &[u8]) -> Result<Option<Vec<u8>>, TileError> {
        let path = self.root.join(path);
        loop {
            match self.place(&path, bytes, |from, to| fs::hard_link(from, to)) {
                Err(TileError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {}
                placed => return placed.map(|()| None),
            }
            match read_durably(&path) {
                // A partial tile that was taken away meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                read => return read.map(Some).map_err(at(&path)),
            }
        }
    }

    /// The same under a name that something has, where it may be written over. Nobody publishes between the look whether it may and
    /// the writing.
    pub(crate) fn replace(
        &self,
        path: &str,
        bytes: &[u8],
        may: impl Fn() -> Result<(), TileError>,
    ) -> Result<(), TileError> {
        let _alone = self.alone()?;
        may()?;
        self.put(path, bytes)
    }

    // Alone among all who publish, or write over what is not published, until it is dropped.
    fn alone(&self) -> Result<File, TileError> {
        let path = self.root.join(LOCK);
        let alone = File::create(&path).map_err(at(&path))?;
        alone.lock().map_err(at(&path))?;
        Ok(alone)
    }

    fn place(
        &self,
        path: &Path,
        bytes: &[u8],
        name: impl Fn(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), TileError> {
        let folder = path.parent().unwrap_or(&self.root);
        loop {
            self.settle(folder)?;
            let staged = self.stage(bytes)?;
            let placed = name(&staged.path, path).and_then(|()| File::open(folder)?.sync_all());
            match placed {
                // Whoever holds a full tile takes its partial ones away, also from under a sealer that is behind and still
                // writes one: that makes their folder anew.
                Err(error) if error.kind() == ErrorKind::NotFound && lock(&self.settled).remove(folder) => {}
                placed => return placed.map_err(at(path)),
            }
        }
    }

    fn stage(&self, bytes: &[u8]) -> Result<Staged, TileError> {
        let mut staged = self.staged_file()?;
        let written = staged.file.write_all(bytes).and_then(|()| staged.file.sync_all());
        written.map_err(at(&staged.path))?;
        Ok(staged)
    }

    // The file stays locked until its writer has closed it, which is after it has its name: that is how a sweep tells it from
    // what a crash left behind. One that was swept before it was locked has no name any more, and another takes its place.
    fn staged_file(&self) -> Result<Staged, TileError> {
        loop {
            let path = self.staging();
            let file = File::create(&path).map_err(at(&path))?;
            let staged = Staged { path, file };
            let named = staged.file.lock().and_then(|()| staged.path.try_exists());
            if named.map_err(at(&staged.path))? {
                return Ok(staged);
            }
        }
    }

    // By a link a file gets a name that nothing may have yet: where there are none, nothing could ever be sealed. A folder that
    // we may only read is not tried.
    fn try_link(&self) -> Result<(), TileError> {
        let Ok(staged) = self.stage(&[]) else { return Ok(()) };
        let name = self.staging();
        match fs::hard_link(&staged.path, &name) {
            Ok(()) => {
                let _ = fs::remove_file(&name);
                Ok(())
            }
            Err(error) => {
                let problem = format!(
                    "this file system makes no hard link ({error}): keep the log on one that does, or in a bucket"
                );
                Err(at(&name)(io::Error::new(error.kind(), problem)))
            }
        }
    }

    // A name below the staging folder that nobody else has.
    fn staging(&self) -> PathBuf {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        self.root.join(STAGING).join(format!("{}-{number}", self.staging_prefix))
    }

    /// Takes a folder of superseded tiles away; that there is none is as good. It loses its name first: what is
    /// written under that name from then on stays.
    pub(crate) fn remove_below(&self, path: &str) -> Result<(), TileError> {
        let path = self.root.join(path);
        let unnamed = self.staging();
        match fs::rename(&path, &unnamed) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            renamed => renamed.map_err(at(&path))?,
        }
        lock(&self.settled).remove(&path);
        // What stays of it is swept: a tile whose writer had found the folder before it lost its name, or all of it when a sweep
        // is at it already.
        let _ = fs::remove_dir_all(&unnamed);
        Ok(())
    }

    /// Publishes a checkpoint where it may stand. It is written down beside the folder first, so that what was once seen
    /// is known here also after the folder was lost.
    pub(crate) fn publish(
        &self,
        note: &str,
        may_stand: impl Fn(Option<&str>, &str) -> Result<bool, TileError>,
    ) -> Result<(), TileError> {
        let _alone = self.alone()?;
        let beside = self.remembered()?.map(Published::text).transpose()?;
        if may_stand(beside.as_deref(), note)? {
            self.put_at(&self.beside(), note.as_bytes())?;
        }
        let standing = self.get(CHECKPOINT)?.map(Published::text).transpose()?;
        if may_stand(standing.as_deref(), note)? {
            self.put(CHECKPOINT, note.as_bytes())?;
        }
        Ok(())
    }

    /// The greatest checkpoint that was published, as it is written down beside the folder.
    pub(crate) fn remembered(&self) -> Result<Option<Vec<u8>>, TileError> {
        read(&self.beside())
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.root.file_name().map_or_else(|| OsString::from("log"), OsString::from);
        name.push(".published");
        self.root.with_file_name(name)
    }

    // Makes a folder and its name durable, with all above it down from the root. A folder that another process has
    // just made counts as made only once we have synced its parent ourselves.
    fn settle(&self, folder: &Path) -> Result<(), TileError> {
        if !folder.starts_with(&self.root) || folder == self.root || lock(&self.settled).contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().unwrap_or(&self.root);
        self.settle(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(at(folder)(error)),
            _ => sync_folder(parent)?,
        }
        let mut settled = lock(&self.settled);
        if SETTLED_MAX <= settled.len() {
            settled.clear();
        }
        settled.insert(folder.to_owned());
        Ok(())
    }
}

// Removes what crashed writers left: a file that nobody holds locked, and a folder that is on its way out. A folder that we
// may only read stays as it is.
fn sweep(staging: &Path) {
    let Ok(staged) = fs::read_dir(staging) else { return };
    for path in staged.flatten().map(|it| it.path()) {
        if let Ok(file) = File::options().write(true).open(&path)
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(&path);
        } else if path.is_dir() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

// Whoever wrote it may have ended before its name was durable.
fn read_durably(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(bytes)
}

fn sync_folder(path: &Path) -> Result<(), TileError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> TileError {
    let path = path.to_owned();
    |source| TileError::Io { path, source }
}

// What the locks guard is whole between any two statements, so a panic elsewhere poisons nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
