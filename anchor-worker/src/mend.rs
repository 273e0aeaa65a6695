//! Mend: what has rotted in the object store, or is gone from it, is written again from what stands below it and from the
//! database's rows. Nothing is written that the published root does not vouch for.

use std::sync::Arc;

use proof::{
    Checkpoint, Hash, Leaf, Node, OpenedLeaf, TILE_WIDTH, TileId, bundle, bundle_leaves, leaf_hash,
    root_over, subtree_root,
};
use store::{LogIdentity, PgConnection, StoreError};
use tiles::{Beside, TileError, TileStore};

use crate::adopt::in_store;

/// Eight levels of 256 hold 2^64 leaves.
const LEVELS: u8 = 8;

const CHANGED: &str = "it is not what was published";
const MISSING: &str = "it is missing";
const UNLED: &str = "the database's rows do not lead to the published root";

/// Why nothing more is mended.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store does not answer, or takes nothing.
    #[error(transparent)]
    Tiles(#[from] TileError),
    /// Nothing is left that leads to the root.
    #[error(
        "neither what stands in the store nor the database's rows lead to the root of {size} leaves that the log has \
         signed: nothing is written ({problem})"
    )]
    Unled {
        /// The checkpoint's size.
        size: u64,
        /// What is wrong with the rows.
        problem: String,
    },
}

/// A file that is not as it was published, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mended {
    /// Its path below the log's prefix.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// Why it was left as it is; none where it was put right.
    pub left: Option<String>,
}

/// Something to go on with, or what is wrong with it.
type Found<T> = Result<Result<T, String>, MendError>;

/// Holds every tile, bundle and declaration of this checkpoint, which the log must have signed, against its root, and writes
/// those again that are not as they were published: from the root down, so that each is vouched for before it is written. It
/// tells of each. In a dry run it only tells. Sealing may go on meanwhile.
pub async fn mend(
    conn: &mut PgConnection,
    log: &LogIdentity,
    tiles: &Arc<TileStore>,
    checkpoint: &Checkpoint,
    dry_run: bool,
    told: impl FnMut(Mended),
) -> Result<(), MendError> {
    let mut mending = Mending { conn, log, tiles, dry_run, told };
    for (tile, hashes) in mending.open_tiles(checkpoint).await? {
        mending.check(tile, hashes.as_flattened().to_vec()).await?;
        mending.mend_below(tile, &hashes).await?;
    }
    Ok(())
}

struct Mending<'a, F> {
    conn: &'a mut PgConnection,
    log: &'a LogIdentity,
    tiles: &'a Arc<TileStore>,
    dry_run: bool,
    told: F,
}

impl<F: FnMut(Mended)> Mending<'_, F> {
    // The tiles that are not full: together they hold all that the root is made of, so it vouches for every hash of them. They
    // are taken as they stand, or made of what is ever deeper below.
    async fn open_tiles(&mut self, checkpoint: &Checkpoint) -> Result<Vec<(TileId, Vec<Hash>)>, MendError> {
        let Checkpoint { size, root, .. } = *checkpoint;
        let open: Vec<TileId> = (0..LEVELS).filter_map(|it| TileId::open(Some(it), size)).collect();
        let mut problem = None;
        for depth in 0..=open.last().map_or(0, |it| deepest(*it)) {
            problem = None;
            let mut tiles = Vec::new();
            for tile in &open {
                match self.hashes(*tile, depth.min(deepest(*tile))).await? {
                    Ok(hashes) => tiles.push((*tile, hashes)),
                    Err(it) => problem = Some(it),
                }
            }
            if problem.is_none() && tree_root(size, &tiles) == Some(root) {
                return Ok(tiles);
            }
        }
        let problem = problem.unwrap_or_else(|| "the rows were changed, or are of another log".to_owned());
        Err(MendError::Unled { size, problem })
    }

    // All that is below a tile whose hashes are vouched for.
    async fn mend_below(&mut self, tile: TileId, hashes: &[Hash]) -> Result<(), MendError> {
        let Some(below) = tile.level.and_then(|it| it.checked_sub(1)) else {
            return self.mend_bundle(TileId { level: None, ..tile }, hashes).await;
        };
        for (index, hash) in (tile.index * TILE_WIDTH..).zip(hashes) {
            let tile = TileId { level: Some(below), index, width: TILE_WIDTH as u16 };
            if let Some(hashes) = self.mend_tile(tile, hash).await? {
                Box::pin(self.mend_below(tile, &hashes)).await?;
            }
        }
        Ok(())
    }

    // A full tile that must lead to this hash. Answers what it holds, where that is known.
    async fn mend_tile(&mut self, tile: TileId, hash: &Hash) -> Result<Option<Vec<Hash>>, MendError> {
        let (mut problem, mut left) = (None, UNLED.to_owned());
        for depth in 0..=deepest(tile) {
            let why = match self.hashes(tile, depth).await? {
                Ok(hashes) if root_over(&hashes) == *hash => {
                    if let Some(problem) = problem {
                        self.put_right(tile, hashes.as_flattened().to_vec(), problem).await?;
                    }
                    return Ok(Some(hashes));
                }
                Ok(_) => None,
                Err(why) => Some(why),
            };
            problem.get_or_insert_with(|| why.clone().unwrap_or_else(|| CHANGED.to_owned()));
            left = why.unwrap_or_else(|| UNLED.to_owned());
        }
        let below = if tile.level == Some(0) { "its bundle" } else { "what is below it" };
        let left = format!("{left}, so {below} was not looked at either");
        self.leave(tile.path(), problem.unwrap_or_default(), left);
        Ok(None)
    }

    // The hashes of a tile: as it stands, or made of what stands so deep below it; deepest are the rows.
    async fn hashes(&mut self, tile: TileId, depth: u8) -> Found<Vec<Hash>> {
        let of_leaves =
            |leaves: Vec<Leaf>| -> Vec<Hash> { leaves.iter().map(|it| leaf_hash(&it.encode())).collect() };
        let level = tile.level.unwrap_or(0);
        match (depth, level) {
            (0, _) => Ok(self.standing(tile).await?.map(|it| it.as_chunks::<32>().0.to_vec())),
            (1, 0) => Ok(self.standing_leaves(TileId { level: None, ..tile }).await?.map(of_leaves)),
            (_, 0) => Ok(self.stored_leaves(tile).await?.map(of_leaves)),
            _ => {
                let mut hashes = Vec::new();
                let first = tile.index * TILE_WIDTH;
                for index in first..first + u64::from(tile.width) {
                    let below = TileId { level: Some(level - 1), index, width: TILE_WIDTH as u16 };
                    match Box::pin(self.hashes(below, depth - 1)).await? {
                        Ok(below) => hashes.push(root_over(&below)),
                        Err(problem) => return Ok(Err(problem)),
                    }
                }
                Ok(Ok(hashes))
            }
        }
    }

    // The bundle of these leaves' hashes, and what the log says of itself in them.
    async fn mend_bundle(&mut self, bundle: TileId, hashes: &[Hash]) -> Result<(), MendError> {
        let is_other = |leaf: &Leaf, hash: &Hash| leaf_hash(&leaf.encode()) != *hash;
        let other = |leaves: &[Leaf]| leaves.iter().zip(hashes).position(|(leaf, hash)| is_other(leaf, hash));
        let problem = match self.standing_leaves(bundle).await? {
            Ok(leaves) if other(&leaves).is_none() => return self.mend_declarations(&leaves).await,
            Ok(_) => CHANGED.to_owned(),
            Err(problem) => problem,
        };
        let left = match self.stored_leaves(bundle).await? {
            Ok(leaves) => match other(&leaves) {
                None => {
                    self.put_right(bundle, bytes_of(&leaves), problem).await?;
                    return self.mend_declarations(&leaves).await;
                }
                Some(at) => format!("the database holds another leaf {}", leaves[at].leaf_index),
            },
            Err(left) => left,
        };
        self.leave(bundle.path(), problem, left);
        Ok(())
    }

    async fn mend_declarations(&mut self, leaves: &[Leaf]) -> Result<(), MendError> {
        for leaf in leaves.iter().filter(|it| !it.kind.is_posting()) {
            let leaf_index = leaf.leaf_index;
            let beside = Beside::Declaration(leaf_index);
            let problem = match in_store(self.tiles, move |it| it.read_beside(beside)).await? {
                Some(bytes) if OpenedLeaf::decode(&bytes, leaf_index).is_ok_and(|it| tells(&it, leaf)) => {
                    continue;
                }
                Some(_) => CHANGED,
                None => MISSING,
            };
            let left = match store::declaration_at(self.conn, self.log, leaf_index).await {
                Ok(Some(opened)) if tells(&opened, leaf) => {
                    if !self.dry_run {
                        let bytes = opened.encode();
                        in_store(self.tiles, move |it| it.hold_beside(beside, &bytes)).await?;
                    }
                    (self.told)(Mended { path: beside.path(), problem: problem.to_owned(), left: None });
                    continue;
                }
                Ok(Some(_)) => format!("the database holds another leaf {leaf_index}"),
                Ok(None) => format!("the database does not hold what leaf {leaf_index} says"),
                Err(StoreError::Damaged(problem)) => problem,
                Err(error) => return Err(error.into()),
            };
            self.leave(beside.path(), problem.to_owned(), left);
        }
        Ok(())
    }

    // Has a tile stand with these bytes, which are vouched for.
    async fn check(&mut self, tile: TileId, bytes: Vec<u8>) -> Result<(), MendError> {
        let problem = match self.standing(tile).await? {
            Ok(standing) if standing == bytes => return Ok(()),
            Ok(_) => CHANGED.to_owned(),
            Err(problem) => problem,
        };
        self.put_right(tile, bytes, problem).await
    }

    async fn put_right(&mut self, tile: TileId, bytes: Vec<u8>, problem: String) -> Result<(), MendError> {
        if !self.dry_run {
            in_store(self.tiles, move |it| it.hold(tile, &bytes)).await?;
        }
        (self.told)(Mended { path: tile.path(), problem, left: None });
        Ok(())
    }

    fn leave(&mut self, path: String, problem: String, left: String) {
        (self.told)(Mended { path, problem, left: Some(left) });
    }

    async fn standing(&self, tile: TileId) -> Found<Vec<u8>> {
        match in_store(self.tiles, move |it| it.read(tile)).await {
            Ok(Some(bytes)) => Ok(Ok(bytes)),
            Ok(None) => Ok(Err(MISSING.to_owned())),
            Err(TileError::Damaged { problem, .. }) => Ok(Err(format!("it is damaged: {problem}"))),
            Err(error) => Err(error.into()),
        }
    }

    async fn standing_leaves(&self, bundle: TileId) -> Found<Vec<Leaf>> {
        let read = |bytes: Vec<u8>| {
            let leaves = bundle_leaves(&bytes).ok()?;
            let leaves: Vec<Leaf> = leaves.into_iter().map(Leaf::decode).collect::<Result<_, _>>().ok()?;
            (leaves.len() == usize::from(bundle.width)).then_some(leaves)
        };
        Ok(self.standing(bundle).await?.and_then(|it| read(it).ok_or_else(|| CHANGED.to_owned())))
    }

    // A leaf's kind and commitment are all that the tree knows of it: they are there also where its posting is archived.
    async fn stored_leaves(&mut self, tile: TileId) -> Found<Vec<Leaf>> {
        let first = tile.index * TILE_WIDTH;
        let stored = match store::leaves(self.conn, first, u32::from(tile.width)).await {
            Err(StoreError::Damaged(problem)) => return Ok(Err(problem)),
            stored => stored?,
        };
        let log_id = self.log.log_id;
        let leaves: Vec<Leaf> = stored
            .iter()
            .map(|it| Leaf { kind: it.kind, log_id, leaf_index: it.leaf_index, commitment: it.commitment })
            .collect();
        match leaves.len() == usize::from(tile.width) {
            true => Ok(Ok(leaves)),
            false => Ok(Err(format!("leaf {} is missing", first + leaves.len() as u64))),
        }
    }
}

/// How deep below a tile its hashes can be taken from: through the tiles below it, the bundles, and at last the rows.
fn deepest(tile: TileId) -> u8 {
    tile.level.unwrap_or(0) + 2
}

/// The root of the tree of this size, from those of its tiles that are not full.
fn tree_root(size: u64, open: &[(TileId, Vec<Hash>)]) -> Option<Hash> {
    let mut node = |node: Node| {
        let held = open.iter().find(|(tile, _)| tile.level == Some(node.level / 8));
        held.and_then(|(_, hashes)| TileId::node(hashes.as_flattened(), node)).ok_or(())
    };
    subtree_root(0, size, &mut node).ok()
}

fn bytes_of(leaves: &[Leaf]) -> Vec<u8> {
    let leaves: Vec<_> = leaves.iter().map(Leaf::encode).collect();
    bundle(&leaves)
}

/// Whether this is what the log says of itself in this leaf, for everybody to read.
fn tells(opened: &OpenedLeaf, leaf: &Leaf) -> bool {
    let body = opened.body.as_ref().and_then(|it| it.opened());
    body.is_some() && opened.leaf(leaf.leaf_index) == *leaf
}
