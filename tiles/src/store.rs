//! A log's bundles, tiles and checkpoint, wherever they are kept: the same names and the same bytes in each place.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use proof::{Hash, Node, TILE_WIDTH, TileGroup, TileId, TileRows};

use crate::beside::Beside;
use crate::bucket::{Bucket, BucketConfig};
use crate::cache::{Kept, TileCache};
use crate::edge::Edge;
use crate::error::TileError;
use crate::folder::{Folder, lock};
use crate::gzip;
use crate::nodes::Nodes;
use crate::published::{Published, supersedes};

pub(crate) const CHECKPOINT: &str = "checkpoint";
const BUNDLE_ROW_BYTES: usize = 2 + proof::LEAF_BYTES;
const TILE_GROUPS: usize = 32 * TILE_WIDTH as usize / TileGroup::BYTES;

enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

/// A tile or bundle as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTile {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether they are compressed, as bundles are.
    pub is_gzip: bool,
}

/// A log's object store. Any number of processes may share it.
pub struct TileStore {
    place: Place,
    cache: Mutex<TileCache>,
}

impl TileStore {
    /// Opens a local folder, creating it where it is not there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TileError> {
        Ok(Self::of(Place::Folder(Folder::open(path.into())?)))
    }

    /// Opens a local folder only to read it: nothing in it or beside it is touched.
    pub fn view(path: impl Into<PathBuf>) -> Self {
        Self::of(Place::Folder(Folder::view(path.into())))
    }

    /// Opens a bucket of an S3-compatible store. Must be called within a tokio runtime, which then does the waiting.
    pub fn connect(config: &BucketConfig) -> Result<Self, TileError> {
        Ok(Self::of(Place::Bucket(Bucket::connect(config)?)))
    }

    fn of(place: Place) -> Self {
        Self { place, cache: Mutex::default() }
    }

    /// Whether it is a local folder: what is small is read at once there.
    pub fn is_folder(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    /// Writes a tile or a bundle. When it returns, the tile survives a power cut, whole, under its name. One that the published
    /// checkpoint covers by then is not written over.
    pub fn write(&self, tile: TileId, bytes: &[u8]) -> Result<(), TileError> {
        let (stored, is_gzip) = (stored_form(tile, bytes), tile.level.is_none());
        let is_same = |it| plain_form(tile, it).is_ok_and(|it| it == bytes);
        self.keep(&tile.path(), &stored, is_gzip, leaves_to(tile), is_same)?;
        lock(&self.cache).forget(tile);
        Ok(())
    }

    /// Reads a tile or a bundle. Where a partial one is gone, the full one that replaced it serves, cut to width, or the widest that
    /// is published.
    pub fn read(&self, tile: TileId) -> Result<Option<Vec<u8>>, TileError> {
        let (stored, is_cut) = match self.get(&tile.path())? {
            None if tile.is_partial() => (self.wider(tile)?, true),
            stored => (stored, false),
        };
        let Some(stored) = stored else { return Ok(None) };
        let damaged = |problem: String| TileError::Damaged { path: tile.path(), problem };
        let mut bytes = plain_form(tile, stored).map_err(|error| damaged(error.to_string()))?;
        if bytes.len() < bytes_of(tile) || (!is_cut && bytes.len() != bytes_of(tile)) {
            return Err(damaged(format!("it has {} bytes, not {}", bytes.len(), bytes_of(tile))));
        }
        bytes.truncate(bytes_of(tile));
        Ok(Some(bytes))
    }

    /// What begins with the rows of a partial tile that is gone.
    fn wider(&self, tile: TileId) -> Result<Option<Vec<u8>>, TileError> {
        if let Some(full) = self.get(&tile.full().path())? {
            return Ok(Some(full));
        }
        let Some(size) = self.published_size()? else { return Ok(None) };
        let widest = TileId::at(tile.level, tile.index, size);
        if tile.width < widest.width { self.get(&widest.path()) } else { Ok(None) }
    }

    /// Reads a tile or a bundle as it is kept, for whoever hands it on. One that has to be cut from the full one is not
    /// compressed.
    pub fn read_stored(&self, tile: TileId) -> Result<Option<StoredTile>, TileError> {
        if let Some(bytes) = self.get(&tile.path())? {
            let is_gzip = tile.level.is_none() && gzip::is_packed(&bytes);
            return Ok(Some(StoredTile { bytes, is_gzip }));
        }
        Ok(self.read(tile)?.map(|bytes| StoredTile { bytes, is_gzip: false }))
    }

    /// Writes what is kept beside the tiles. When it returns, it survives a power cut, whole, under its name. What the
    /// published checkpoint covers by then is not written over.
    pub fn write_beside(&self, beside: Beside, bytes: &[u8]) -> Result<(), TileError> {
        let leaves_to = match beside {
            Beside::Declaration(leaf_index) => u128::from(leaf_index) + 1,
            // Its name is the root over it: whatever else has that name is damaged.
            Beside::MapIndex(_) | Beside::MapPart(..) => u128::MAX,
        };
        self.keep(&beside.path(), bytes, false, leaves_to, |it| it == bytes)
    }

    // What is made of leaves that are published never becomes other bytes: whoever comes late with some is of another history.
    // What is made of later ones was left by a seal that ended before it was published, or is of one that goes on elsewhere: it makes
    // room, and whoever publishes first has it as it was (`hold`).
    fn keep(
        &self,
        path: &str,
        bytes: &[u8],
        is_gzip: bool,
        leaves_to: u128,
        is_same: impl Fn(Vec<u8>) -> bool,
    ) -> Result<(), TileError> {
        let standing = match &self.place {
            Place::Folder(folder) => folder.create(path, bytes)?,
            Place::Bucket(bucket) => bucket.create(path, bytes, is_gzip)?,
        };
        if standing.is_none_or(is_same) {
            return Ok(());
        }
        let may = || match self.published_size()?.filter(|it| leaves_to <= u128::from(*it)) {
            Some(size) => Err(TileError::Otherwise { path: path.to_owned(), size }),
            None => Ok(()),
        };
        match &self.place {
            Place::Folder(folder) => folder.replace(path, bytes, may),
            Place::Bucket(bucket) => bucket.replace(path, bytes, is_gzip, may),
        }
    }

    /// Has a tile or a bundle stand as whoever has published what covers it wrote it: before that, somebody of another history
    /// may have written over it. From then on nobody does, and the bytes differ only where they have rotted. Where it is full, its
    /// partial ones are taken away: before it was published, it was not sure to be the one that takes their place.
    pub fn hold(&self, tile: TileId, bytes: &[u8]) -> Result<(), TileError> {
        let stands = match self.read(tile) {
            Err(error) if error.is_passing() => return Err(error),
            // One that is damaged does not stand.
            standing => standing.is_ok_and(|it| it.is_some_and(|it| it == bytes)),
        };
        if !stands {
            self.put_right(&tile.path(), stored_form(tile, bytes), tile.level.is_none())?;
        }
        // What was another's for a while may have been read then.
        lock(&self.cache).forget(tile);
        if tile.is_partial() {
            return Ok(());
        }
        let removed = match &self.place {
            Place::Folder(folder) => folder.remove_below(&format!("{}.p", tile.path())),
            Place::Bucket(bucket) => bucket.remove_below(&format!("{}.p", tile.path())),
        };
        // What a crash or a refusal leaves of them here is in nobody's way, and keeps nothing from its seal.
        if let Err(error) = removed {
            tracing::debug!(%error, "partial tiles stay beside the full one");
        }
        Ok(())
    }

    /// The same of what is kept beside the tiles.
    pub fn hold_beside(&self, beside: Beside, bytes: &[u8]) -> Result<(), TileError> {
        match self.read_beside(beside)?.is_some_and(|it| it == bytes) {
            true => Ok(()),
            false => self.put_right(&beside.path(), bytes.to_vec(), false),
        }
    }

    fn put_right(&self, path: &str, bytes: Vec<u8>, is_gzip: bool) -> Result<(), TileError> {
        tracing::warn!(path, "what is published stood with other bytes: it is put right");
        match &self.place {
            Place::Folder(folder) => folder.put(path, &bytes),
            Place::Bucket(bucket) => bucket.put(path, bytes, is_gzip),
        }
    }

    /// Reads what is kept beside the tiles.
    pub fn read_beside(&self, beside: Beside) -> Result<Option<Vec<u8>>, TileError> {
        self.get(&beside.path())
    }

    /// Publishes a signed checkpoint: the last step of a seal. A smaller one than what stands there already is passed
    /// over, so a sealer that was slow to publish takes nothing back; one of the same size takes its place with further
    /// signatures; one of the same size with another root is refused, since it would fork the log. So is any where a larger
    /// one stands than the greatest that its publisher has held against its own history, which is of size `known`: that one may be
    /// of another.
    pub fn publish_checkpoint(&self, note: &str, known: u64) -> Result<(), TileError> {
        Published::read(note)?;
        let may_stand = |standing: Option<&str>, note: &str| supersedes(standing, note, known);
        match &self.place {
            Place::Folder(folder) => folder.publish(note, may_stand),
            Place::Bucket(bucket) => bucket.publish(note, may_stand),
        }
    }

    /// The published checkpoint, if there is one.
    pub fn checkpoint(&self) -> Result<Option<String>, TileError> {
        self.get(CHECKPOINT)?.map(Published::text).transpose()
    }

    /// The greatest checkpoint that was ever published here, as far as this place knows: a folder has a second memory
    /// beside it, which stays where the folder is lost or put back to an earlier state.
    pub fn greatest_checkpoint(&self) -> Result<Option<String>, TileError> {
        let standing = self.checkpoint()?;
        let Place::Folder(folder) = &self.place else { return Ok(standing) };
        let beside = folder.remembered()?.map(Published::text).transpose()?;
        match (&standing, &beside) {
            (Some(standing), Some(beside)) if !supersedes(Some(standing), beside, u64::MAX)? => {}
            (_, Some(_)) => return Ok(beside),
            _ => {}
        }
        Ok(standing)
    }

    fn published_size(&self) -> Result<Option<u64>, TileError> {
        let published = self.greatest_checkpoint()?.map(|it| Published::read(&it)).transpose()?;
        Ok(published.map(|it| it.size()))
    }

    /// Forgets the tiles over a leaf of the tree of this size: they may have been read before they were put right.
    pub fn forget(&self, leaf_index: u64, size: u64) {
        let mut cache = lock(&self.cache);
        for level in (0..u64::BITS as u8).step_by(8) {
            cache.forget(TileId::holding(Node { level, index: leaf_index >> level }, size));
        }
    }

    /// Answers with the hash of any complete subtree of the tree of this size, which a checkpoint must have published: tiles
    /// are kept once read.
    pub fn nodes(&self, size: u64) -> impl FnMut(Node) -> Result<Hash, TileError> {
        let mut nodes = Nodes::new(self, size);
        move |node| nodes.node(node)
    }

    /// What is kept of a tile of the tree of this size: the tile is read where nothing is yet. A full one is held against its
    /// hash in the tile above, so that no proof is made of one that has rotted.
    pub(crate) fn kept(&self, tile: TileId, size: u64) -> Result<Kept, TileError> {
        let cached = lock(&self.cache).get(tile);
        if let Some(kept) = cached {
            return Ok(kept);
        }
        let bytes = self.read(tile)?.ok_or_else(|| TileError::Missing(tile.path()))?;
        let over = match self.place {
            // A bucket takes as long for a part of a tile as for all of it, and far longer than to hash it.
            Place::Folder(_) if tile.level == Some(0) => TileGroup::over(&bytes),
            _ => None,
        };
        let kept = match over {
            Some(over) => Kept::Over(Arc::new(over)),
            None => Kept::Rows(Arc::new(TileRows::new(&bytes))),
        };
        if let (Some(root), Some(at)) = (kept.root(), tile.root()) {
            let above = TileId::holding(at, size);
            let is_vouched_for = || Nodes::new(self, size).node(at).map(|it| it == root);
            if !is_vouched_for()? {
                // What is kept of the one above may be what has rotted, and be put right by now.
                lock(&self.cache).forget(above);
                if !is_vouched_for()? {
                    let problem = format!("it does not lead to its hash in {}", above.path());
                    return Err(TileError::Damaged { path: tile.path(), problem });
                }
            }
        }
        // What makes room is given back once the others can go on.
        let _evicted = lock(&self.cache).put(tile, kept.clone());
        Ok(kept)
    }

    /// A group of a full tile, as it stands there now.
    pub(crate) fn group(&self, tile: TileId, at: Node) -> Result<TileGroup, TileError> {
        let begin = at.index as usize % TILE_GROUPS * TileGroup::BYTES;
        let mut part = [0; TileGroup::BYTES];
        let is_read = match &self.place {
            Place::Folder(folder) => folder.read_part(&tile.path(), begin as u64, &mut part)?,
            Place::Bucket(_) => false,
        };
        if !is_read {
            // Read whole, it is known what is wrong with it.
            let whole = self.read(tile)?.ok_or_else(|| TileError::Missing(tile.path()))?;
            part.copy_from_slice(&whole[begin..begin + TileGroup::BYTES]);
        }
        Ok(TileGroup::new(&part))
    }

    /// The edge of the log of this size.
    pub fn edge(&self, size: u64) -> Result<Edge, TileError> {
        Edge::load(size, |tile| self.read(tile))
    }

    /// The size of the newest tree that is published, or this one where it is not smaller. A smaller tree's nodes are nodes of the
    /// newest, whose partial tiles are those that are read again and again, and mended.
    pub fn newest(&self, size: u64) -> u64 {
        let published = self.checkpoint().ok().flatten().and_then(|it| Published::read(&it).ok());
        published.map_or(size, |it| it.size().max(size))
    }

    /// The inclusion proof of a leaf in the tree of this size.
    pub fn inclusion_proof(&self, leaf_index: u64, size: u64) -> Result<Vec<Hash>, TileError> {
        proof::inclusion_proof(leaf_index, size, self.nodes(self.newest(size)))
    }

    /// The consistency proof from the tree of `old` leaves to that of `new`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, TileError> {
        proof::consistency_proof(old, new, self.nodes(self.newest(new)))
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
        match &self.place {
            Place::Folder(folder) => folder.get(path),
            Place::Bucket(bucket) => bucket.get(path),
        }
    }
}

/// The bytes under which a tile or bundle is kept: bundles are compressed, always the same way.
pub fn stored_form(tile: TileId, bytes: &[u8]) -> Vec<u8> {
    if tile.level.is_none() { gzip::pack(bytes) } else { bytes.to_vec() }
}

/// The plain bytes of a tile or bundle as it is kept.
pub fn unpacked(tile: StoredTile) -> std::io::Result<Vec<u8>> {
    gzip::unpack(tile.bytes, BUNDLE_ROW_BYTES * TILE_WIDTH as usize)
}

/// The bytes of a tile or bundle that may be as it is kept, or plain as another server gives it. Only bundles are ever
/// compressed: a tile of hashes may well begin as a gzip file does.
pub fn plain_form(tile: TileId, bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    if tile.level.is_none() { gzip::unpack(bytes, bytes_of(tile.full())) } else { Ok(bytes) }
}

/// How many leaves a log has at least, for this tile to be made of them.
fn leaves_to(tile: TileId) -> u128 {
    let rows = u128::from(tile.index) * u128::from(TILE_WIDTH) + u128::from(tile.width);
    rows.checked_shl(u32::from(tile.level.unwrap_or(0)) * 8).unwrap_or(u128::MAX)
}

fn bytes_of(tile: TileId) -> usize {
    let row_bytes = if tile.level.is_some() { 32 } else { BUNDLE_ROW_BYTES };
    usize::from(tile.width) * row_bytes
}
