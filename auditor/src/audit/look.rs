//! One tile of level 0 and its bundle, held against each other.

use proof::{Hash, Leaf, TILE_WIDTH, TileId, bundle_leaves, leaf_hash};

use crate::finding::Finding;
use crate::source::{Source, SourceError};

/// Which of the two the tree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// What the bundle's leaves hash to.
    Leaves,
    /// What the tile says.
    Tile,
}

/// What a bundle's leaves hash to, and what the tile says of them; none of what could not be read.
pub(super) struct Looked {
    first: u64,
    path: String,
    pub(super) leaves: Option<Vec<Hash>>,
    pub(super) tile: Option<Vec<Hash>>,
    /// The leaves among them that are no postings.
    pub(super) declarations: Vec<Leaf>,
    found: Vec<Finding>,
}

impl Looked {
    pub(super) fn hashes(&self) -> &[Hash] {
        self.tile.as_deref().or(self.leaves.as_deref()).unwrap_or_default()
    }

    /// What was found, where the tree has this side.
    pub(super) fn findings(&self, truth: Truth) -> Vec<Finding> {
        let mut findings = self.found.clone();
        let (Some(leaves), Some(tile)) = (&self.leaves, &self.tile) else { return findings };
        let differing = (0..tile.len()).filter(|at| leaves[*at] != tile[*at]).map(|at| at as u64);
        findings.extend(differing.map(|at| match truth {
            Truth::Leaves => Finding::TileChanged { path: self.path.clone(), row: at },
            Truth::Tile => Finding::LeafChanged { leaf_index: self.first + at },
        }));
        findings
    }
}

/// Reads the tile of this index and its bundle, as the tree of this size has them.
pub(super) async fn look(
    source: &Source,
    log_id: Hash,
    index: u64,
    size: u64,
) -> Result<Looked, SourceError> {
    let first = index * TILE_WIDTH;
    let bundle = TileId::bundle_holding(first, size);
    let tile = TileId { level: Some(0), ..bundle };
    let (bytes, hashes) = futures::join!(source.tile(bundle), source.tile(tile));
    let mut looked = Looked {
        first,
        path: tile.path(),
        leaves: None,
        tile: None,
        declarations: Vec::new(),
        found: Vec::new(),
    };
    if let Some(bytes) = looked.readable(bytes)? {
        looked.leaves = looked.hash_leaves(&bytes, log_id, usize::from(bundle.width), &bundle);
    }
    looked.tile = looked.readable(hashes)?.map(|it| it.as_chunks().0.to_vec());
    if looked.leaves.is_none() && looked.tile.is_none() {
        // Nothing is left to go on with.
        return Err(SourceError::Missing(format!("{} and {}", bundle.path(), tile.path())));
    }
    Ok(looked)
}

impl Looked {
    fn readable(&mut self, read: Result<Vec<u8>, SourceError>) -> Result<Option<Vec<u8>>, SourceError> {
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(SourceError::Unreachable(problem)) => Err(SourceError::Unreachable(problem)),
            Err(error) => {
                self.found.push(Finding::TileUnreadable { problem: error.to_string() });
                Ok(None)
            }
        }
    }

    fn hash_leaves(
        &mut self,
        bytes: &[u8],
        log_id: Hash,
        width: usize,
        bundle: &TileId,
    ) -> Option<Vec<Hash>> {
        let leaves = bundle_leaves(bytes).ok().filter(|it| it.len() == width);
        let Some(leaves) = leaves else {
            let problem = format!("{} is damaged: it is not a bundle of {width} leaves", bundle.path());
            self.found.push(Finding::TileUnreadable { problem });
            return None;
        };
        for (leaf, leaf_index) in leaves.iter().zip(self.first..) {
            match Leaf::decode(leaf).ok().filter(|it| it.log_id == log_id && it.leaf_index == leaf_index) {
                Some(leaf) if leaf.kind.is_posting() => {}
                Some(leaf) => self.declarations.push(leaf),
                None => self.found.push(Finding::ForeignLeaf { leaf_index }),
            }
        }
        Some(leaves.into_iter().map(leaf_hash).collect())
    }
}
