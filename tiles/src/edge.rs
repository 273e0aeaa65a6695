//! The growing edge of a log: the frontier and the tiles that are not full yet. O(log n) state; appending a batch
//! gives exactly the bundles and tiles that it makes, byte for byte the same however the batches are cut.

use proof::{Frontier, Hash, LEAF_BYTES, Node, TILE_WIDTH, TileId, bundle, leaf_hash, tiles_between};

use crate::error::TileError;

// A bundle holds each leaf after its two-byte length.
const BUNDLE_ROW_BYTES: usize = 2 + LEAF_BYTES;
const TILE_ROW_BYTES: usize = 32;
// Eight levels of 256 hold 2^64 leaves.
const LEVELS: usize = 8;

/// A log of one size, with what is needed to append to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    frontier: Frontier,
    /// The bytes of the bundle that is not full.
    bundle: Vec<u8>,
    /// The bytes of each level's tile that is not full, lowest first.
    tiles: [Vec<u8>; LEVELS],
}

impl Edge {
    /// The edge of the log of this size, from the tiles that were written for it.
    pub fn load(
        size: u64,
        mut read: impl FnMut(TileId) -> Result<Option<Vec<u8>>, TileError>,
    ) -> Result<Self, TileError> {
        let mut open = |level: Option<u8>| {
            let Some(tile) = TileId::open(level, size) else { return Ok(Vec::new()) };
            read(tile)?.ok_or_else(|| TileError::Missing(tile.path()))
        };
        let mut edge = Self { bundle: open(None)?, ..Self::default() };
        for (level, tile) in edge.tiles.iter_mut().enumerate() {
            *tile = open(Some(level as u8))?;
        }
        // Each complete subtree that it ends with stands in one of them: where its root is right, so are they.
        let tiles = &edge.tiles;
        edge.frontier = Frontier::load(size, |node: Node| {
            let hash = TileId::node(&tiles[usize::from(node.level / 8)], node);
            hash.ok_or_else(|| TileError::Missing(TileId::holding(node, size).path()))
        })?;
        Ok(edge)
    }

    /// How many leaves the log has.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Its root.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The edge after these leaves, with every bundle and tile they make, in the order in which they are to be written.
    pub fn extended(&self, leaves: &[[u8; LEAF_BYTES]]) -> (Self, Vec<(TileId, Vec<u8>)>) {
        let mut after = self.clone();
        after.bundle.extend_from_slice(&bundle(leaves));
        for leaf in leaves {
            let tiles = &mut after.tiles;
            after.frontier.push(leaf_hash(leaf), |node, hash| {
                if node.level % 8 == 0 {
                    tiles[usize::from(node.level / 8)].extend_from_slice(hash);
                }
            });
        }
        let tiles = tiles_between(self.size(), after.size());
        let written = tiles.into_iter().map(|tile| (tile, after.slice(self.size(), tile).to_vec())).collect();
        after.drop_full(self.size());
        (after, written)
    }

    // Each row still begins where the tile that was open at the old size begins.
    fn slice(&self, old_size: u64, tile: TileId) -> &[u8] {
        let (rows, row_bytes, level) = match tile.level {
            None => (&self.bundle, BUNDLE_ROW_BYTES, 0),
            Some(level) => (&self.tiles[usize::from(level)], TILE_ROW_BYTES, level),
        };
        let first_open = (old_size >> (u32::from(level) * 8)) / TILE_WIDTH;
        let begin = ((tile.index - first_open) * TILE_WIDTH) as usize * row_bytes;
        &rows[begin..begin + usize::from(tile.width) * row_bytes]
    }

    fn drop_full(&mut self, old_size: u64) {
        let size = self.size();
        let full_rows = |level: usize| {
            let (old, new) = (old_size >> (level * 8), size >> (level * 8));
            ((new / TILE_WIDTH - old / TILE_WIDTH) * TILE_WIDTH) as usize
        };
        self.bundle.drain(..full_rows(0) * BUNDLE_ROW_BYTES);
        for (level, tile) in self.tiles.iter_mut().enumerate() {
            tile.drain(..full_rows(level) * TILE_ROW_BYTES);
        }
    }
}
