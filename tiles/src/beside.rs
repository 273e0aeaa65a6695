//! What is kept beside the tiles: declarations, opened, and account maps in parts. Like tiles, none of it ever changes.

use proof::Hash;

/// Something beside the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The leaf at this index, which is no posting, with every part opened: the bytes of a receipt's `extra`.
    Declaration(u64),
    /// What leads to the parts of the map of this root.
    MapIndex(Hash),
    /// A part of the map of this root.
    MapPart(Hash, u32),
}

impl Beside {
    /// Its path below the log's prefix.
    pub fn path(&self) -> String {
        match self {
            Self::Declaration(leaf_index) => format!("declaration/{leaf_index}"),
            Self::MapIndex(root) => format!("map/{}/index", hex::encode(root)),
            Self::MapPart(root, part) => format!("map/{}/{part}", hex::encode(root)),
        }
    }

    /// Reads a path; every spelling but the one that [`Beside::path`] writes is another path.
    pub fn parse(path: &str) -> Option<Self> {
        let mut names = path.split('/');
        let beside = match (names.next()?, names.next()?, names.next()) {
            ("declaration", leaf_index, None) => Self::Declaration(leaf_index.parse().ok()?),
            ("map", root, Some(name)) => {
                let mut hash = Hash::default();
                hex::decode_to_slice(root, &mut hash).ok()?;
                if name == "index" { Self::MapIndex(hash) } else { Self::MapPart(hash, name.parse().ok()?) }
            }
            _ => return None,
        };
        (beside.path() == path).then_some(beside)
    }

    /// No sound one is longer.
    pub fn bytes_max(&self) -> usize {
        match self {
            Self::Declaration(_) => proof::RECEIPT_BYTES_MAX,
            // 65,536 parts of 65,536 accounts.
            Self::MapIndex(_) => 8 + 64 * 65_536,
            Self::MapPart(..) => 64 * proof::MAP_PART_ROWS,
        }
    }
}
