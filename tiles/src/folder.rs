//! A log in a local folder, laid out so that any static file server can serve it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use proof::{Checkpoint, Hash, Node, SignedNote, TILE_WIDTH, TileId};

use crate::cache::TileCache;
use crate::edge::Edge;
use crate::error::TileError;

// Names below these two are never served: no tile's path begins with a dot.
const STAGING: &str = ".staging";
const LOCK: &str = ".lock";
const CHECKPOINT: &str = "checkpoint";
const BUNDLE_ROW_BYTES: usize = 2 + proof::LEAF_BYTES;
const SETTLED_MAX: usize = 1024;

/// A log's bundles, tiles and checkpoint in a local folder. Any number of processes may share it.
pub struct TileFolder {
    root: PathBuf,
    // Distinguishes the staged files of processes that share the folder, on one machine or on several.
    staging_prefix: String,
    staged: AtomicU64,
    // Folders whose own names this process has made durable.
    settled: Mutex<HashSet<PathBuf>>,
    cache: Mutex<TileCache>,
}

impl TileFolder {
    /// Opens the folder, creating it where it is not there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TileError> {
        let root = path.into();
        let staging = root.join(STAGING);
        fs::create_dir_all(&staging).map_err(at(&staging))?;
        sync_folder(&root)?;
        sweep(&staging);
        let mut unique = [0; 8];
        getrandom::fill(&mut unique).map_err(|error| at(&staging)(io::Error::other(error.to_string())))?;
        Ok(Self {
            root,
            staging_prefix: format!("{:016x}", u64::from_be_bytes(unique)),
            staged: AtomicU64::new(0),
            settled: Mutex::default(),
            cache: Mutex::default(),
        })
    }

    /// Writes a tile or a bundle. When it returns, the tile survives a power cut, whole, under its name.
    pub fn write(&self, tile: TileId, bytes: &[u8]) -> Result<(), TileError> {
        self.put(&tile.path(), bytes)?;
        lock(&self.cache).forget(tile);
        Ok(())
    }

    /// Reads a tile or a bundle. Where a partial one is gone, the full one that replaced it serves, cut to width.
    pub fn read(&self, tile: TileId) -> Result<Option<Vec<u8>>, TileError> {
        let bytes = match self.get(&tile.path())? {
            None if tile.is_partial() => self.get(&tile.full().path())?,
            bytes => bytes,
        };
        let Some(mut bytes) = bytes else { return Ok(None) };
        let row_bytes = if tile.level.is_some() { 32 } else { BUNDLE_ROW_BYTES };
        let length = usize::from(tile.width) * row_bytes;
        if bytes.len() < length {
            let problem = format!("it has {} bytes, not {length}", bytes.len());
            return Err(TileError::Damaged { path: tile.path(), problem });
        }
        bytes.truncate(length);
        Ok(Some(bytes))
    }

    /// Publishes a signed checkpoint: the last step of a seal. A smaller one than what stands there already is passed
    /// over, so a sealer that was slow to publish takes nothing back.
    pub fn publish_checkpoint(&self, note: &str) -> Result<(), TileError> {
        let size = checkpoint_size(note)?;
        let path = self.root.join(LOCK);
        let lock = File::create(&path).map_err(at(&path))?;
        lock.lock().map_err(at(&path))?;
        match self.checkpoint()? {
            Some(standing) if size <= checkpoint_size(&standing)? => Ok(()),
            _ => self.put(CHECKPOINT, note.as_bytes()),
        }
    }

    /// The published checkpoint, if there is one.
    pub fn checkpoint(&self) -> Result<Option<String>, TileError> {
        let Some(bytes) = self.get(CHECKPOINT)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| damaged_checkpoint("it is not text"))
    }

    /// The hash of a complete subtree of the tree of this size, which a checkpoint must have published: bytes are kept
    /// once read.
    pub fn node(&self, size: u64, node: Node) -> Result<Hash, TileError> {
        let tile = TileId::holding(node, size);
        let cached = lock(&self.cache).get(tile);
        let bytes = match cached {
            Some(bytes) => bytes,
            None => {
                let bytes = self.read(tile)?.ok_or_else(|| TileError::Missing(tile.path()))?;
                let bytes = Arc::new(bytes);
                lock(&self.cache).put(tile, Arc::clone(&bytes));
                bytes
            }
        };
        TileId::node(&bytes, node).ok_or_else(|| TileError::Missing(tile.path()))
    }

    /// The edge of the log of this size.
    pub fn edge(&self, size: u64) -> Result<Edge, TileError> {
        Edge::load(size, |node| self.node(size, node), |tile| self.read(tile))
    }

    /// The inclusion proof of a leaf in the tree of this size.
    pub fn inclusion_proof(&self, leaf_index: u64, size: u64) -> Result<Vec<Hash>, TileError> {
        proof::inclusion_proof(leaf_index, size, |node| self.node(size, node))
    }

    /// The consistency proof from the tree of `old` leaves to that of `new`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, TileError> {
        proof::consistency_proof(old, new, |node| self.node(new, node))
    }

    /// The bytes of a leaf of the tree of this size.
    pub fn leaf(&self, leaf_index: u64, size: u64) -> Result<Vec<u8>, TileError> {
        let bundle = TileId::bundle_holding(leaf_index, size);
        let bytes = self.read(bundle)?.ok_or_else(|| TileError::Missing(bundle.path()))?;
        let leaves = proof::bundle_leaves(&bytes)
            .map_err(|error| TileError::Damaged { path: bundle.path(), problem: error.to_string() })?;
        let leaf = leaves.get((leaf_index % TILE_WIDTH) as usize);
        leaf.map(|it| it.to_vec()).ok_or_else(|| TileError::Missing(bundle.path()))
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, TileError> {
        let path = self.root.join(path);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    // The bytes are durable before they have their name, and the name is durable before anyone is told: a reader sees
    // the whole file or none, also after a power cut.
    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), TileError> {
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(&self.root);
        self.settle(folder)?;
        let staged = self.root.join(STAGING).join(format!(
            "{}-{}",
            self.staging_prefix,
            self.staged.fetch_add(1, Ordering::Relaxed)
        ));
        let mut file = File::create(&staged).map_err(at(&staged))?;
        // Locked until it has its name: that is how a sweep tells it from what a crash left behind. One that is swept in
        // the instant before this fails to be renamed, which passes.
        file.lock().map_err(at(&staged))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(&staged))?;
        fs::rename(&staged, &path).map_err(at(&path))?;
        sync_folder(folder)
    }

    // Makes a folder and its name durable, with all above it down from the root. A folder that another process has
    // just made counts as made only once we have synced its parent ourselves.
    fn settle(&self, folder: &Path) -> Result<(), TileError> {
        if folder == self.root || lock(&self.settled).contains(folder) {
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

// Removes what crashed writers left: a file that nobody holds locked. A folder that we may only read stays as it is.
fn sweep(staging: &Path) {
    let Ok(staged) = fs::read_dir(staging) else { return };
    for path in staged.flatten().map(|it| it.path()) {
        if let Ok(file) = File::options().write(true).open(&path)
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(&path);
        }
    }
}

fn checkpoint_size(note: &str) -> Result<u64, TileError> {
    let note = SignedNote::parse(note).map_err(damaged_checkpoint)?;
    Ok(Checkpoint::parse(&note.text).map_err(damaged_checkpoint)?.size)
}

fn damaged_checkpoint(problem: impl ToString) -> TileError {
    TileError::Damaged { path: String::from(CHECKPOINT), problem: problem.to_string() }
}

fn sync_folder(path: &Path) -> Result<(), TileError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> TileError {
    let path = path.to_owned();
    |source| TileError::Io { path, source }
}

// What the locks guard is whole between any two statements, so a panic elsewhere poisons nothing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
