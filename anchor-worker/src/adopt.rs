//! Adopt: what a database has lost comes back from what was published, byte for byte, without effect on the books.

use std::sync::Arc;

use proof::{Checkpoint, KeyHistory, Leaf, LeafKind, OpenedLeaf, SignedNote, Text, verify_consistency};
use signing::SigningError;
use store::{Lost, PgConnection, RecordedCheckpoint, Seen, StoreError};
use tiles::{Beside, TileError, TileStore};

use crate::keys::LogKeys;

/// Why nothing is adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The database did not answer, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was published cannot be read.
    #[error(transparent)]
    Tiles(#[from] TileError),
    /// Whoever holds the log's key does not sign with it.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// It would not be this log's history.
    #[error("{0}")]
    Refused(String),
}

/// What was published and the database lacks; `None` where it lacks nothing. `seen` is what contracts and witnesses know
/// besides: where they know a checkpoint in between, it is recorded again too.
///
/// Only a database whose leaves are a beginning of what was published can be mended so. One that has others in their
/// places cannot: its log has to be succeeded.
pub async fn lost(
    conn: &mut PgConnection,
    keys: &LogKeys,
    tiles: &Arc<TileStore>,
    seen: &[Seen],
) -> Result<Option<Lost>, AdoptError> {
    let refused = |problem: String| AdoptError::Refused(problem);
    let published = in_store(tiles, TileStore::greatest_checkpoint).await?;
    let published = published.ok_or_else(|| refused("nothing was ever published there".to_owned()))?;
    let mut history = keys.history_in(conn).await?;
    let held = store::log_size(conn).await?;
    let checkpoint = own(keys, &history, &published)?;
    let latest = store::latest_checkpoint(conn).await?;
    let (sealed, sealed_root) = latest.map_or((0, proof::empty_root()), |it| (it.size, it.root));
    if sealed == checkpoint.size && sealed_root == checkpoint.root {
        return Ok(None);
    }
    let Checkpoint { size, root, .. } = checkpoint;
    if size <= held {
        return Err(refused(format!(
            "the database holds {held} leaves and {size} are published, but not the same: it holds others in their places, \
             and its log has to be succeeded"
        )));
    }
    let path = in_store(tiles, move |it| it.consistency_proof(sealed, size)).await?;
    if sealed != 0 && !verify_consistency(sealed, &sealed_root, size, &root, &path) {
        return Err(refused(format!("what is published does not extend the checkpoint of {sealed} leaves")));
    }
    let leaves = in_store(tiles, move |it| published_leaves(it, sealed, size)).await?;
    // What was lost says, too, which keys signed what.
    for leaf in leaves.iter().filter(|it| held <= it.leaf_index && it.kind == LeafKind::Key) {
        let leaf_index = leaf.leaf_index;
        let opened = in_store(tiles, move |it| it.read_beside(Beside::Declaration(leaf_index))).await?;
        let opened = opened.and_then(|it| OpenedLeaf::decode(&it, leaf_index).ok());
        let opened = opened.filter(|it| it.leaf(leaf_index) == *leaf);
        let opened =
            opened.ok_or_else(|| refused(format!("the key of leaf {leaf_index} is not beside the tiles")))?;
        history.read(leaf_index, &opened);
    }
    let edge = in_store(tiles, move |it| it.edge(sealed)).await?;
    let encoded: Vec<_> = leaves.iter().map(Leaf::encode).collect();
    if edge.extended(&encoded).0.root() != root {
        return Err(refused(format!(
            "the bundles do not give the root of the {size} leaves that are published"
        )));
    }
    // What was committed and not sealed yet must be what was sealed elsewhere.
    for stored in store::leaves(conn, sealed, (held - sealed) as u32).await? {
        if leaves[(stored.leaf_index - sealed) as usize].commitment != stored.commitment {
            return Err(refused(format!(
                "leaf {} is published as another leaf than the database holds: its log has to be succeeded",
                stored.leaf_index
            )));
        }
    }
    let mut checkpoints = Vec::new();
    for it in seen.iter().filter(|it| sealed < it.size && it.size < size) {
        let (old, new) = (it.size, size);
        let path = in_store(tiles, move |it| it.consistency_proof(old, new)).await?;
        if !verify_consistency(old, &it.root, new, &root, &path) {
            return Err(refused(format!("{} has seen another history at {old} leaves", it.who)));
        }
        checkpoints.push((old, it.root));
    }
    checkpoints.sort_unstable();
    checkpoints.dedup();
    let mut notes = Vec::new();
    for (size, root) in checkpoints {
        // The same bytes as the first time: this signature is a function of key and text.
        let checkpoint = Checkpoint { origin: keys.log().origin, size, root };
        let signed = keys.sign(&checkpoint, &history).await?;
        let signed =
            signed.ok_or_else(|| refused(format!("no key that is given here signed at {size} leaves")))?;
        notes.push((size, root, signed.encode()));
    }
    notes.push((size, root, published));
    let mut previous_size = sealed;
    let mut record = |(size, root, note)| {
        let recorded = RecordedCheckpoint { size, previous_size, root, note };
        previous_size = size;
        recorded
    };
    let checkpoints = notes.into_iter().map(&mut record).collect();
    let leaves = leaves.into_iter().skip((held - sealed) as usize).collect();
    Ok(Some(Lost { leaves, checkpoints }))
}

/// Takes what was lost back. Answers the first orphan's leaf index.
///
/// Withdrawals come back only where it is accepted that they are paid: the leaves stand in the tree again, their gateways believe
/// the tree, and the books know of no points that left.
pub async fn adopt(
    conn: &mut PgConnection,
    keys: &LogKeys,
    lost: &Lost,
    reason: Text,
    accepts_withdrawals: bool,
) -> Result<u64, AdoptError> {
    let withdrawals = lost.withdrawals();
    if !withdrawals.is_empty() && !accepts_withdrawals {
        return Err(AdoptError::Refused(format!(
            "withdrawals are among them, at leaves {withdrawals:?}, and their gateway pays them: have the token paused until \
             their claim-before is over, at most 90 days, or settle by hand what is claimed, and accept it"
        )));
    }
    Ok(store::adopt_lost(conn, &keys.log(), lost, reason).await?)
}

/// A checkpoint that a key of this log has signed.
fn own(keys: &LogKeys, history: &KeyHistory, note: &str) -> Result<Checkpoint, AdoptError> {
    let refused = |problem: &str| AdoptError::Refused(format!("the published checkpoint: {problem}"));
    let signed = SignedNote::parse(note).map_err(|error| refused(error.0))?;
    let checkpoint = Checkpoint::parse(&signed.text).map_err(|error| refused(error.0))?;
    if !keys.have_signed(&signed, history) {
        return Err(refused("no key of this log has signed it"));
    }
    Ok(checkpoint)
}

fn published_leaves(tiles: &TileStore, begin: u64, end: u64) -> Result<Vec<Leaf>, TileError> {
    let read = |leaf_index| {
        let bytes = tiles.leaf(leaf_index, end)?;
        Leaf::decode(&bytes).map_err(|error| TileError::Damaged {
            path: format!("leaf {leaf_index}"),
            problem: error.to_string(),
        })
    };
    (begin..end).map(read).collect()
}

/// Asks the object store, which blocks.
pub(crate) async fn in_store<T: Send + 'static>(
    tiles: &Arc<TileStore>,
    question: impl FnOnce(&TileStore) -> Result<T, TileError> + Send + 'static,
) -> Result<T, TileError> {
    let tiles = Arc::clone(tiles);
    tokio::task::spawn_blocking(move || question(&tiles)).await.expect("the object store does not panic")
}
