//! A map in parts: so that nobody has to hold all of it to prove an account's place in it, or to check it.

use crate::bytes::{DecodeError, Reader};
use crate::hash::Hash;
use crate::map::{MapAccount, MapRow, MapTree, Rfc6962};
use crate::tree::empty_root;

/// How many rows a part has, but for the last: 4 MiB. A power of two, so that each part is a subtree of the map's tree.
pub const MAP_PART_ROWS: usize = 1 << 16;

/// What leads to the parts of a map: of each, its first key and the root over its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapIndex {
    accounts: u64,
    parts: Vec<(Hash, Hash)>,
}

impl MapIndex {
    /// Takes the next part: rows that ascend, also from the part before, as many as a part has unless it is the last.
    pub fn push(&mut self, tree: &MapTree, first_key: Hash) {
        self.accounts += tree.accounts();
        self.parts.push((first_key, tree.root()));
    }

    /// How many accounts the map holds.
    pub fn accounts(&self) -> u64 {
        self.accounts
    }

    /// How many parts it has.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The map's root.
    pub fn root(&self) -> Hash {
        self.tree().root().unwrap_or_else(empty_root)
    }

    /// The number of the part in which this account stands, if it stands in the map.
    pub fn part_of(&self, account: &MapAccount) -> Option<usize> {
        let key = account.key();
        self.parts.partition_point(|(first, _)| *first <= key).checked_sub(1)
    }

    /// Where the account stands in the map, and the path from there to its root, given the tree of its part.
    pub fn proof(&self, account: &MapAccount, part: usize, tree: &MapTree) -> Option<(u64, Vec<Hash>)> {
        let (index, mut path) = tree.proof(account)?;
        path.extend(self.tree().proof(&[part]).proof_hashes());
        Some(((part * MAP_PART_ROWS) as u64 + index, path))
    }

    /// Whether these rows are this part of the map: no row missing, none added, none changed, none out of its order.
    pub fn is_part(&self, part: usize, rows: &[MapRow]) -> bool {
        let Some((first, root)) = self.parts.get(part) else { return false };
        let next = self.parts.get(part + 1).map(|it| it.0);
        let ascends = rows.windows(2).all(|pair| pair[0].key < pair[1].key)
            && next.is_none_or(|next| rows.last().is_some_and(|it| it.key < next));
        let width = match next {
            Some(_) => MAP_PART_ROWS,
            None => (self.accounts - (part * MAP_PART_ROWS) as u64) as usize,
        };
        ascends
            && rows.len() == width
            && rows.first().is_some_and(|it| it.key == *first)
            && MapTree::new(rows.to_vec()).is_some_and(|it| it.root() == *root)
    }

    /// Its bytes: how many accounts there are, then first key and root of each part.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.accounts.to_be_bytes().to_vec();
        bytes.extend(self.parts.iter().flat_map(|(first, root)| [*first, *root]).flatten());
        bytes
    }

    /// Reads them, refusing a number of parts that does not fit the number of accounts.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let accounts = reader.u64()?;
        let (parts, rest) = bytes[8..].as_chunks::<64>();
        if !rest.is_empty() || parts.len() as u64 != accounts.div_ceil(MAP_PART_ROWS as u64) {
            return Err(DecodeError("the map's index has not as many parts as its accounts need"));
        }
        let part = |it: &[u8; 64]| {
            let (first, root) = it.as_chunks::<32>().0.split_at(1);
            (first[0], root[0])
        };
        Ok(Self { accounts, parts: parts.iter().map(part).collect() })
    }

    fn tree(&self) -> rs_merkle::MerkleTree<Rfc6962> {
        rs_merkle::MerkleTree::from_leaves(&self.parts.iter().map(|it| it.1).collect::<Vec<_>>())
    }
}

impl MapRow {
    /// Reads the rows of a part.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, DecodeError> {
        let (rows, rest) = bytes.as_chunks::<64>();
        if !rest.is_empty() || MAP_PART_ROWS < rows.len() {
            return Err(DecodeError("a part of a map is rows of 64 bytes, at most 65,536 of them"));
        }
        let row = |it: &[u8; 64]| {
            let halves = it.as_chunks::<32>().0;
            Self { key: halves[0], value: halves[1] }
        };
        Ok(rows.iter().map(row).collect())
    }
}
