//! C2SP checkpoint: a log's origin, size and root, as the text of a signed note.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::hash::Hash;
use crate::note::{SignedNote, Signer};

/// A text that is not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct CheckpointError(pub &'static str);

/// What a log says of itself at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's origin.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn encode(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Signs it into a note.
    pub fn sign(&self, signer: &Signer) -> SignedNote {
        let text = self.encode();
        let signatures = vec![signer.sign(&text)];
        SignedNote { text, signatures }
    }

    /// Reads a note's text. Extension lines are passed over, as C2SP says; they are signed all the same.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines =
            text.strip_suffix('\n').ok_or(CheckpointError("it does not end with a newline"))?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError("it has fewer than three lines"));
        };
        if origin.is_empty() {
            return Err(CheckpointError("its origin is empty"));
        }
        if lines.any(str::is_empty) {
            return Err(CheckpointError("an extension line is empty"));
        }
        let size = decimal(size).ok_or(CheckpointError("its size is not a canonical decimal"))?;
        let root = hash_line(root).ok_or(CheckpointError("its root is not canonical base64 of 32 bytes"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// A decimal without leading zeros or signs.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|it| it.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

/// A line that is the canonical base64 of a hash.
pub(crate) fn hash_line(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}
