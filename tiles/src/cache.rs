//! The tiles read last. A tile's bytes never change once a checkpoint implies it, so nothing here goes stale.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use proof::TileId;

// 256 tiles of 8 KiB: 2 MiB, the upper levels of any tree and the part of level 0 that receipts ask for now.
const TILES_MAX: usize = 256;

/// A bounded cache that forgets what came first.
#[derive(Default)]
pub(crate) struct TileCache {
    tiles: HashMap<TileId, Arc<Vec<u8>>>,
    order: VecDeque<TileId>,
}

impl TileCache {
    pub(crate) fn get(&self, tile: TileId) -> Option<Arc<Vec<u8>>> {
        self.tiles.get(&tile).cloned()
    }

    pub(crate) fn put(&mut self, tile: TileId, bytes: Arc<Vec<u8>>) {
        if self.tiles.insert(tile, bytes).is_none() {
            self.order.push_back(tile);
        }
        if TILES_MAX < self.order.len()
            && let Some(first) = self.order.pop_front()
        {
            self.tiles.remove(&first);
        }
    }

    /// Forgets a tile that is written anew: it may have been written before for a size that was never published.
    pub(crate) fn forget(&mut self, tile: TileId) {
        if self.tiles.remove(&tile).is_some() {
            self.order.retain(|it| *it != tile);
        }
    }
}
