//! Proofs from the tiles of somebody else's log. What is fetched is not believed: a proof that does not verify is the
//! same as none.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use futures::{StreamExt, TryStreamExt};
use proof::{Checkpoint, Hash, Node, TileId, verify_consistency};

use crate::source::{Source, SourceError};

/// How many tiles are asked for at once.
const TILES_AT_ONCE: usize = 8;

/// What a newer checkpoint says of an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// It extends it.
    Extends,
    /// It has another tree at the older one's size, and this proves it: the two checkpoints are a fork.
    Forks {
        /// The root that the newer one has at the older one's size.
        root: Hash,
        /// That the newer one extends this root.
        proof: Vec<Hash>,
    },
    /// The tiles do not lead to the newer checkpoint at all, so they prove nothing.
    Unproven,
}

/// Asks the log's tiles whether the newer of two of its checkpoints extends the older one.
pub(crate) async fn extension(
    source: &Source,
    older: &Checkpoint,
    newer: &Checkpoint,
) -> Result<Extension, SourceError> {
    let (old, new) = (older.size, newer.size);
    let extends = |root: &Hash, proof: &[Hash]| verify_consistency(old, root, new, &newer.root, proof);
    let proof = from_tiles(source, new, |node| proof::consistency_proof(old, new, node)).await?;
    if extends(&older.root, &proof) {
        return Ok(Extension::Extends);
    }
    let root = match old == new {
        true => newer.root,
        false => {
            let root = from_tiles(source, new, |mut node| proof::subtree_root(0, old, &mut node));
            root.await?
        }
    };
    Ok(if extends(&root, &proof) { Extension::Forks { root, proof } } else { Extension::Unproven })
}

/// Runs a function of the tree's nodes over the tiles of the tree of this size: once to learn which nodes it asks for,
/// and once with them.
async fn from_tiles<T>(
    source: &Source,
    size: u64,
    question: impl Fn(&mut dyn FnMut(Node) -> Result<Hash, Infallible>) -> Result<T, Infallible>,
) -> Result<T, SourceError> {
    let mut nodes = Vec::new();
    let _ = question(&mut |node| {
        nodes.push(node);
        Ok(Hash::default())
    });
    let tiles: HashSet<TileId> = nodes.iter().map(|it| TileId::holding(*it, size)).collect();
    let fetched = futures::stream::iter(tiles)
        .map(async |tile| Ok::<_, SourceError>((tile, source.tile(tile).await?)))
        .buffer_unordered(TILES_AT_ONCE);
    let tiles: HashMap<TileId, Vec<u8>> = fetched.try_collect().await?;
    let mut hashes = HashMap::new();
    for node in nodes {
        let tile = TileId::holding(node, size);
        let hash = TileId::node(&tiles[&tile], node).ok_or_else(|| SourceError::Missing(tile.path()))?;
        hashes.insert(node, hash);
    }
    let Ok(answer) = question(&mut |node| Ok(hashes[&node]));
    Ok(answer)
}
