//! Rotation: another key begins to sign the log, and later one ceases to. Each is a leaf; who signs follows from the leaves.

use proof::{Body, KeyTerm, SignedNote, VerifierKey};
use store::{PgConnection, StoreError};

use crate::keys::LogKeys;

/// Why nothing is said of a key.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The database did not answer, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It would have no effect, or leave verifiers behind.
    #[error("{0}")]
    Refused(String),
}

fn refused<T>(problem: String) -> Result<T, RotateError> {
    Err(RotateError::Refused(problem))
}

/// Whether this key can be introduced: it never signed this log.
pub async fn check_introduction(
    conn: &mut PgConnection,
    keys: &LogKeys,
    next: &VerifierKey,
) -> Result<(), RotateError> {
    let history = keys.history_in(conn).await?;
    match history.terms().iter().find(|it| it.key == *next) {
        None => Ok(()),
        Some(KeyTerm { retired: Some(leaf), .. }) => {
            refused(format!("leaf {} has retired this key: it does not come back", leaf.leaf_index))
        }
        Some(KeyTerm { introduced: Some(leaf), .. }) => {
            refused(format!("leaf {} has introduced this key already", leaf.leaf_index))
        }
        Some(_) => refused("this is the log's first key".to_owned()),
    }
}

/// Introduces a key: checkpoints that cover the leaf are signed by it too. Answers the leaf's index.
pub async fn introduce(
    conn: &mut PgConnection,
    keys: &LogKeys,
    next: &VerifierKey,
) -> Result<u64, RotateError> {
    check_introduction(conn, keys, next).await?;
    say(conn, keys, next, false).await
}

/// Whether this key can retire: another one signs, and a chain has heard of that one, where the log is anchored at all: as
/// the caller says, or as the database knows.
pub async fn check_retirement(
    conn: &mut PgConnection,
    keys: &LogKeys,
    old: &VerifierKey,
    is_anchored: bool,
) -> Result<(), RotateError> {
    let history = keys.history_in(conn).await?;
    match history.terms().iter().find(|it| it.key == *old) {
        None => return refused("the log knows no such key".to_owned()),
        Some(KeyTerm { retired: Some(leaf), .. }) => {
            return refused(format!("leaf {} has retired this key already", leaf.leaf_index));
        }
        Some(_) => {}
    }
    let others: Vec<_> = history.terms().iter().filter(|it| it.key != *old && it.retired.is_none()).collect();
    if others.is_empty() {
        return refused("it is the only key of the log: introduce another one first".to_owned());
    }
    let newest = store::latest_checkpoint(conn).await?;
    let note = newest.as_ref().and_then(|it| SignedNote::parse(&it.note).ok());
    let signing = others.iter().find(|it| note.as_ref().is_some_and(|note| note.is_signed_by(&it.key)));
    let Some(signing) = signing else {
        return refused("no other key has signed the newest checkpoint: give one to every sealer".to_owned());
    };
    if let Some(introduced) = signing.introduced
        && !store::is_announced(conn, introduced.leaf_index, is_anchored).await?
    {
        return refused(format!(
            "leaf {}, which introduces the other key, is not in a block yet that nothing can undo: ask again, or \
             see what keeps the anchor",
            introduced.leaf_index
        ));
    }
    Ok(())
}

/// Retires a key: it signs no checkpoint that covers the leaf. Answers the leaf's index.
pub async fn retire(
    conn: &mut PgConnection,
    keys: &LogKeys,
    old: &VerifierKey,
    is_anchored: bool,
) -> Result<u64, RotateError> {
    check_retirement(conn, keys, old, is_anchored).await?;
    say(conn, keys, old, true).await
}

async fn say(
    conn: &mut PgConnection,
    keys: &LogKeys,
    key: &VerifierKey,
    retired: bool,
) -> Result<u64, RotateError> {
    let body = Body::Key { retired, signature_type: 1, public_key: key.public_key().to_vec() };
    Ok(store::append_declarations(conn, &keys.log(), vec![body]).await?)
}
