//! C2SP tlog-tiles: where a hash of the tree stands, what each tile and bundle is called, and their bytes.

use crate::bytes::{DecodeError, Reader};
use crate::hash::Hash;
use crate::leaf::LEAF_BYTES;
use crate::tree::{Node, node_hash};

/// How many hashes a full tile holds, and how many leaves a full bundle.
pub const TILE_WIDTH: u64 = 256;

const TILE_HEIGHT: u8 = 8;
const GROUP_HEIGHT: u8 = TILE_HEIGHT / 2;
const GROUP_WIDTH: usize = 1 << GROUP_HEIGHT;
const GROUP_BYTES: usize = 32 * GROUP_WIDTH;

/// The name of a tile, or of a bundle of leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    /// The tile level, `None` for a bundle of leaves.
    pub level: Option<u8>,
    /// Its place in the level.
    pub index: u64,
    /// How many hashes or leaves it holds, 1 to 256.
    pub width: u16,
}

impl TileId {
    /// Its path below the log's prefix, as `tlog-tiles` says.
    pub fn path(&self) -> String {
        let mut path = match self.level {
            Some(level) => format!("tile/{level}/"),
            None => String::from("tile/entries/"),
        };
        let mut groups = Vec::new();
        let mut rest = self.index;
        loop {
            groups.push(rest % 1000);
            rest /= 1000;
            if rest == 0 {
                break;
            }
        }
        for group in groups[1..].iter().rev() {
            path.push_str(&format!("x{group:03}/"));
        }
        path.push_str(&format!("{:03}", groups[0]));
        if self.is_partial() {
            path.push_str(&format!(".p/{}", self.width));
        }
        path
    }

    /// Reads a path, refusing every spelling but the one that [`TileId::path`] writes.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (level, rest) = rest.split_once('/')?;
        let level = match level {
            "entries" => None,
            level => Some(level.parse().ok().filter(|level| *level < 64)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().ok().filter(|width| (1..256).contains(width))?),
            None => (rest, 256),
        };
        let index = index
            .split('/')
            .map(|group| group.strip_prefix('x').unwrap_or(group))
            .try_fold(0_u64, |index, group| index.checked_mul(1000)?.checked_add(group.parse().ok()?))?;
        let tile = Self { level, index, width };
        (tile.path() == path).then_some(tile)
    }

    /// Whether it is not full, and so will be replaced by a wider one.
    pub fn is_partial(&self) -> bool {
        u64::from(self.width) < TILE_WIDTH
    }

    /// The full tile at the same place.
    pub fn full(self) -> Self {
        Self { width: TILE_WIDTH as u16, ..self }
    }

    /// The subtree that a full tile is; `None` of a partial one, and of a bundle.
    pub fn root(self) -> Option<Node> {
        let level = self.level.filter(|_| !self.is_partial())?;
        Some(Node { level: (level + 1) * TILE_HEIGHT, index: self.index })
    }

    /// The tile of the tree of this size that holds the given complete subtree.
    pub fn holding(node: Node, size: u64) -> Self {
        let level = node.level / TILE_HEIGHT;
        let first = node.index << (node.level % TILE_HEIGHT);
        Self::at(Some(level), first / TILE_WIDTH, size)
    }

    /// The bundle of the tree of this size that holds the given leaf.
    pub fn bundle_holding(leaf_index: u64, size: u64) -> Self {
        Self::at(None, leaf_index / TILE_WIDTH, size)
    }

    /// The tile or bundle at this place, as wide as the tree of this size fills it.
    pub fn at(level: Option<u8>, index: u64, size: u64) -> Self {
        let width = (rows_of(level, size).saturating_sub(index * TILE_WIDTH)).min(TILE_WIDTH);
        Self { level, index, width: width as u16 }
    }

    /// The tile or bundle of this level that the tree of this size has begun and not filled.
    pub fn open(level: Option<u8>, size: u64) -> Option<Self> {
        let tile = Self::at(level, rows_of(level, size) / TILE_WIDTH, size);
        (tile.width != 0).then_some(tile)
    }

    /// The hash of a complete subtree, from the bytes of the tile that holds it; `None` where they are too short.
    pub fn node(bytes: &[u8], node: Node) -> Option<Hash> {
        let height = node.level % TILE_HEIGHT;
        let first = ((node.index << height) % TILE_WIDTH) as usize;
        let (hashes, _) = bytes.as_chunks::<32>();
        hashes.get(first..first + (1 << height)).map(root_over)
    }
}

/// How many rows the tiles or bundles of a level have in the tree of this size, all together.
fn rows_of(level: Option<u8>, size: u64) -> u64 {
    size.checked_shr(u32::from(level.unwrap_or(0)) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

/// The root over so many hashes as are a power of two.
pub fn root_over(hashes: &[Hash]) -> Hash {
    if let [hash] = hashes {
        return *hash;
    }
    let (left, right) = hashes.split_at(hashes.len() / 2);
    node_hash(&root_over(left), &root_over(right))
}

/// A tile with every hash between its own and the next level's: whoever asks for many nodes hashes it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileRows {
    rows: Vec<Vec<Hash>>,
}

impl TileRows {
    /// The rows of a tile of these bytes; of a partial one, those of its complete subtrees.
    pub fn new(bytes: &[u8]) -> Self {
        let mut rows = vec![bytes.as_chunks::<32>().0.to_vec()];
        while let Some(row) = rows.last().filter(|it| 1 < it.len()) {
            let above = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
            rows.push(above);
        }
        Self { rows }
    }

    /// The hash over all of it; `None` where the tile is not full.
    pub fn root(&self) -> Option<Hash> {
        self.rows.get(usize::from(TILE_HEIGHT))?.first().copied()
    }

    /// The hash of a complete subtree that this tile holds; `None` where the tile is too short.
    pub fn node(&self, node: Node) -> Option<Hash> {
        let height = node.level % TILE_HEIGHT;
        let at = node.index % (TILE_WIDTH >> height);
        self.rows.get(usize::from(height))?.get(at as usize).copied()
    }
}

/// Sixteen hashes side by side. A full tile is sixteen of these groups, and one over them: whoever keeps that one reads a
/// sixteenth of the tile for a node further down, and can tell that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileGroup([Hash; GROUP_WIDTH]);

impl TileGroup {
    /// How many bytes of a tile a group is.
    pub const BYTES: usize = GROUP_BYTES;

    /// The group of these bytes.
    pub fn new(bytes: &[u8; GROUP_BYTES]) -> Self {
        let (hashes, _) = bytes.as_chunks::<32>();
        Self(std::array::from_fn(|at| hashes[at]))
    }

    /// The group over the others of a tile of these bytes; `None` where it is not full.
    pub fn over(bytes: &[u8]) -> Option<Self> {
        let (groups, rest) = bytes.as_chunks::<GROUP_BYTES>();
        let groups: &[[u8; GROUP_BYTES]; GROUP_WIDTH] = groups.try_into().ok()?;
        rest.is_empty().then(|| Self(groups.each_ref().map(|it| Self::new(it).root())))
    }

    /// The hash over it.
    pub fn root(&self) -> Hash {
        root_over(&self.0)
    }

    /// The subtree of sixteen of a tile's hashes that a node stands in; `None` where it stands no lower than such a one.
    pub fn holding(node: Node) -> Option<Node> {
        let height = GROUP_HEIGHT.checked_sub(node.level % TILE_HEIGHT).filter(|it| *it != 0)?;
        Some(Node { level: node.level + height, index: node.index >> height })
    }

    /// The hash of a complete subtree that stands in this group.
    pub fn node(&self, node: Node) -> Hash {
        let height = node.level % GROUP_HEIGHT;
        let first = (node.index << height) as usize % GROUP_WIDTH;
        root_over(&self.0[first..first + (1 << height)])
    }
}

/// Every bundle and tile that a log growing from `old` to `new` leaves has to write, bundles first, then by level.
pub fn tiles_between(old: u64, new: u64) -> Vec<TileId> {
    let mut tiles = Vec::new();
    for level in std::iter::once(None).chain((0..8).map(Some)) {
        let (old_count, new_count) = (rows_of(level, old), rows_of(level, new));
        if old_count == new_count {
            // Bundles and level 0 grow together; above, a level that stands still stops all above it.
            break;
        }
        for index in old_count / TILE_WIDTH..new_count.div_ceil(TILE_WIDTH) {
            tiles.push(TileId::at(level, index, new));
        }
    }
    tiles
}

/// The bytes of a bundle: each leaf after its length.
pub fn bundle<'a>(leaves: impl IntoIterator<Item = &'a [u8; LEAF_BYTES]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for leaf in leaves {
        bytes.extend_from_slice(&(LEAF_BYTES as u16).to_be_bytes());
        bytes.extend_from_slice(leaf);
    }
    bytes
}

/// The leaves of a bundle.
pub fn bundle_leaves(bytes: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut leaves = Vec::new();
    while !reader.is_at_end() {
        let length = usize::from(reader.u16()?);
        leaves.push(reader.slice(length)?);
    }
    Ok(leaves)
}
