//! The tiles read last. A tile's bytes never change once a checkpoint implies it, so nothing here goes stale.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use proof::{TileId, TileRows};

// 512 tiles of 16 KiB with the hashes between: 8 MiB, the upper levels of any tree and what receipts ask for now.
const TILES_MAX: NonZeroUsize = NonZeroUsize::new(512).expect("it is not zero");

/// A bounded cache that forgets what was not asked for longest.
pub(crate) struct TileCache(LruCache<TileId, Arc<TileRows>>);

impl Default for TileCache {
    fn default() -> Self {
        Self(LruCache::new(TILES_MAX))
    }
}

impl TileCache {
    pub(crate) fn get(&mut self, tile: TileId) -> Option<Arc<TileRows>> {
        self.0.get(&tile).cloned()
    }

    /// Keeps a tile, and gives back what had to make room for it.
    pub(crate) fn put(&mut self, tile: TileId, rows: Arc<TileRows>) -> Option<(TileId, Arc<TileRows>)> {
        self.0.push(tile, rows)
    }

    /// Forgets a tile that is written anew: it may have been written before for a size that was never published.
    pub(crate) fn forget(&mut self, tile: TileId) {
        self.0.pop(&tile);
    }
}
