//! The walk up the tree: what is kept of the leaves that an audit has passed. O(log n) state, as the log's own edge.

use proof::{Hash, Node, TILE_WIDTH, TileId, node_hash};

/// Eight levels of 256 hold 2^64 leaves.
const LEVELS: usize = 8;

/// The hashes of each level's tile that is not full yet, level 1 first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Climb {
    /// How many full tiles of level 0 were passed.
    pub(crate) tiles: u64,
    /// The open rows.
    pub(crate) rows: [Vec<Hash>; LEVELS],
}

impl Climb {
    /// Passes the next full tile of level 0, telling each tile above that it fills, lowest first.
    pub(crate) fn pass(&mut self, mut hash: Hash) -> Vec<(TileId, Vec<Hash>)> {
        self.tiles += 1;
        let mut count = self.tiles;
        let mut filled = Vec::new();
        for (row, level) in self.rows.iter_mut().zip(1..) {
            row.push(hash);
            if (row.len() as u64) < TILE_WIDTH {
                break;
            }
            count /= TILE_WIDTH;
            let row = std::mem::take(row);
            hash = fold(&row);
            let tile = TileId { level: Some(level), index: count - 1, width: TILE_WIDTH as u16 };
            filled.push((tile, row));
        }
        filled
    }

    /// The tiles that are not full, above level 0.
    pub(crate) fn open_tiles(&self) -> Vec<(TileId, Vec<Hash>)> {
        let mut count = self.tiles;
        let mut open = Vec::new();
        for (row, level) in self.rows.iter().zip(1..) {
            if !row.is_empty() {
                let tile = TileId { level: Some(level), index: count / TILE_WIDTH, width: row.len() as u16 };
                open.push((tile, row.clone()));
            }
            count /= TILE_WIDTH;
        }
        open
    }

    /// The root, with these hashes of leaves beyond the last full tile.
    pub(crate) fn root(&self, rest: &[Hash]) -> Hash {
        let size = self.tiles * TILE_WIDTH + rest.len() as u64;
        let mut node = |node: Node| {
            let row = match node.level / 8 {
                0 => rest,
                level => &self.rows[usize::from(level) - 1],
            };
            TileId::node(row.as_flattened(), node).ok_or(())
        };
        proof::subtree_root(0, size, &mut node).expect("the open rows hold every complete subtree")
    }
}

/// The root of a full row.
pub(crate) fn fold(row: &[Hash]) -> Hash {
    let mut row = row.to_vec();
    while row.len() > 1 {
        for at in 0..row.len() / 2 {
            row[at] = node_hash(&row[2 * at], &row[2 * at + 1]);
        }
        row.truncate(row.len() / 2);
    }
    row[0]
}
