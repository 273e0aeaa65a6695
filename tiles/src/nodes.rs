//! The hashes of one tree, from its tiles.

use std::sync::Arc;

use proof::{Hash, Node, TileId, TileRows};

use crate::error::TileError;
use crate::store::TileStore;

/// The nodes of the tree of one size. The tile that was asked for last is at hand: a proof goes down tile by tile, and the
/// cache is everybody's.
pub(crate) struct Nodes<'a> {
    store: &'a TileStore,
    size: u64,
    last: Option<(TileId, Arc<TileRows>)>,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(store: &'a TileStore, size: u64) -> Self {
        Self { store, size, last: None }
    }

    pub(crate) fn node(&mut self, node: Node) -> Result<Hash, TileError> {
        let tile = TileId::holding(node, self.size);
        let rows = match self.last.take() {
            Some((last, rows)) if last == tile => rows,
            _ => self.store.rows(tile)?,
        };
        let hash = rows.node(node).ok_or_else(|| TileError::Missing(tile.path()));
        self.last = Some((tile, rows));
        hash
    }
}
