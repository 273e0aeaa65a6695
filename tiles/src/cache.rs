//! What is kept of the tiles read last. A tile's bytes never change once a checkpoint implies it, so nothing here goes stale, but
//! what another process puts right.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use proof::{Hash, TileGroup, TileId, TileRows};

// 512 tiles of 16 KiB with the hashes between: 8 MiB, the upper levels of any tree.
const ROWS_MAX: NonZeroUsize = NonZeroUsize::new(512).expect("it is not zero");
// 64 Ki tiles of the lowest level, 512 bytes of each and what it takes to find them: 40 MiB, for 16 million leaves.
const GROUPS_MAX: NonZeroUsize = NonZeroUsize::new(64 * 1024).expect("it is not zero");

/// What is kept of a tile.
#[derive(Clone)]
pub(crate) enum Kept {
    /// All its hashes, and those between.
    Rows(Arc<TileRows>),
    /// Of a full tile the group over the others, which are read when they are asked for.
    Over(Arc<TileGroup>),
}

impl Kept {
    /// The hash over the tile; `None` where it is not full.
    pub(crate) fn root(&self) -> Option<Hash> {
        match self {
            Self::Rows(rows) => rows.root(),
            Self::Over(over) => Some(over.root()),
        }
    }
}

/// A bounded cache that forgets what was not asked for longest.
pub(crate) struct TileCache {
    rows: LruCache<TileId, Arc<TileRows>>,
    groups: LruCache<TileId, Arc<TileGroup>>,
}

impl Default for TileCache {
    fn default() -> Self {
        Self { rows: LruCache::new(ROWS_MAX), groups: LruCache::new(GROUPS_MAX) }
    }
}

impl TileCache {
    pub(crate) fn get(&mut self, tile: TileId) -> Option<Kept> {
        let over = self.groups.get(&tile).cloned().map(Kept::Over);
        over.or_else(|| self.rows.get(&tile).cloned().map(Kept::Rows))
    }

    /// Keeps a tile, and gives back what had to make room for it.
    pub(crate) fn put(&mut self, tile: TileId, kept: Kept) -> Option<Kept> {
        match kept {
            Kept::Rows(rows) => self.rows.push(tile, rows).map(|(_, it)| Kept::Rows(it)),
            Kept::Over(over) => self.groups.push(tile, over).map(|(_, it)| Kept::Over(it)),
        }
    }

    /// Forgets a tile that is written anew: it may have been written before for a size that was never published.
    pub(crate) fn forget(&mut self, tile: TileId) {
        self.rows.pop(&tile);
        self.groups.pop(&tile);
    }
}
