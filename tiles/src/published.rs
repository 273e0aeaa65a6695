//! Which checkpoint may stand where another stood.

use proof::{Checkpoint, SignedNote};

use crate::error::TileError;
use crate::store::CHECKPOINT;

/// A published checkpoint, as far as the store looks at it.
pub(crate) struct Published {
    checkpoint: Checkpoint,
    signatures: usize,
}

impl Published {
    pub(crate) fn read(note: &str) -> Result<Self, TileError> {
        let note = SignedNote::parse(note).map_err(damaged)?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(damaged)?;
        Ok(Self { checkpoint, signatures: note.signatures.len() })
    }

    pub(crate) fn size(&self) -> u64 {
        self.checkpoint.size
    }

    pub(crate) fn text(bytes: Vec<u8>) -> Result<String, TileError> {
        String::from_utf8(bytes).map_err(|_| damaged("it is not text"))
    }
}

/// Whether this note takes the place of the one that stands, for a publisher who knows what is published up to this size. The
/// same one does again: its date says that it is still stood by.
pub(crate) fn supersedes(standing: Option<&str>, note: &str, known: u64) -> Result<bool, TileError> {
    let Some(standing) = standing else { return Ok(true) };
    let (before, after) = (Published::read(standing)?, Published::read(note)?);
    let (old, new) = (&before.checkpoint, &after.checkpoint);
    if old.size != new.size {
        let is_known = old.size <= known;
        return if is_known { Ok(old.size < new.size) } else { Err(TileError::Moved { size: old.size }) };
    }
    if old.root != new.root {
        return Err(TileError::Forked { size: new.size });
    }
    Ok(before.signatures <= after.signatures)
}

fn damaged(problem: impl ToString) -> TileError {
    TileError::Damaged { path: CHECKPOINT.to_owned(), problem: problem.to_string() }
}
