//! The hashes of one tree, from its tiles.

use proof::{Hash, Node, TileGroup, TileId};

use crate::cache::Kept;
use crate::error::TileError;
use crate::store::TileStore;

/// The nodes of the tree of one size. What was asked for last is at hand: a proof goes down tile by tile, and the cache is
/// everybody's.
pub(crate) struct Nodes<'a> {
    store: &'a TileStore,
    size: u64,
    tile: Option<(TileId, Kept)>,
    group: Option<(Node, TileGroup)>,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(store: &'a TileStore, size: u64) -> Self {
        Self { store, size, tile: None, group: None }
    }

    pub(crate) fn node(&mut self, node: Node) -> Result<Hash, TileError> {
        let tile = TileId::holding(node, self.size);
        let kept = match self.tile.take() {
            Some((last, kept)) if last == tile => kept,
            _ => self.store.kept(tile, self.size)?,
        };
        let hash = match (&kept, TileGroup::holding(node)) {
            (Kept::Rows(rows), _) => rows.node(node).ok_or_else(|| TileError::Missing(tile.path())),
            (Kept::Over(over), None) => Ok(over.node(node)),
            (Kept::Over(over), Some(at)) => self.group(tile, over, at).map(|it| it.node(node)),
        };
        self.tile = Some((tile, kept));
        hash
    }

    /// A group of a tile. Once read it is held against the one over it: the tile may have rotted since that one was kept.
    fn group(&mut self, tile: TileId, over: &TileGroup, at: Node) -> Result<&TileGroup, TileError> {
        let group = match self.group.take() {
            Some((last, group)) if last == at => group,
            _ => {
                let group = self.store.group(tile, at)?;
                if group.root() != over.node(at) {
                    let problem = "it is not what it was when it was first read".to_owned();
                    return Err(TileError::Damaged { path: tile.path(), problem });
                }
                group
            }
        };
        let (_, group) = self.group.insert((at, group));
        Ok(group)
    }
}
