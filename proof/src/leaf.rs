//! The leaf: 74 bytes that say which log, which place in it, and a commitment to everything else.

use crate::bytes::{DecodeError, Reader};
use crate::hash::{Hash, T_COMMITMENT, hash};

/// The length of every leaf of version 1.
pub const LEAF_BYTES: usize = 74;

const VERSION: u8 = 1;

/// What a leaf records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafKind {
    /// A balanced set of entries.
    Posting = 1,
    /// A posting that a contract reads.
    Withdrawal = 2,
    /// The account map of a log size.
    Map = 3,
    /// A signing key introduced or retired.
    Key = 4,
    /// Something went wrong and was mended in the open.
    Incident = 5,
    /// A leaf that was lost and has come back, without effect on the books.
    Orphan = 6,
    /// This log follows another.
    Succession = 7,
}

impl LeafKind {
    /// The kind of this number, if version 1 knows it.
    pub fn from_u8(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::Posting,
            2 => Self::Withdrawal,
            3 => Self::Map,
            4 => Self::Key,
            5 => Self::Incident,
            6 => Self::Orphan,
            7 => Self::Succession,
            _ => return None,
        })
    }

    /// Its name, as documents write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Posting => "posting",
            Self::Withdrawal => "withdrawal",
            Self::Map => "map",
            Self::Key => "key",
            Self::Incident => "incident",
            Self::Orphan => "orphan",
            Self::Succession => "succession",
        }
    }

    /// Whether the leaf is a posting, with entries.
    pub fn is_posting(self) -> bool {
        matches!(self, Self::Posting | Self::Withdrawal)
    }

    /// Whether the leaf has a body.
    pub fn has_body(self) -> bool {
        self != Self::Posting
    }
}

/// One leaf of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// What it records.
    pub kind: LeafKind,
    /// The log that it belongs to.
    pub log_id: Hash,
    /// Its place in that log.
    pub leaf_index: u64,
    /// The commitment to its parts.
    pub commitment: Hash,
}

impl Leaf {
    /// The bytes that the tree hashes and a bundle holds.
    pub fn encode(&self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.kind as u8;
        bytes[2..34].copy_from_slice(&self.log_id);
        bytes[34..42].copy_from_slice(&self.leaf_index.to_be_bytes());
        bytes[42..].copy_from_slice(&self.commitment);
        bytes
    }

    /// Reads a leaf, refusing everything that [`Leaf::encode`] would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(DecodeError("the leaf's version is unknown"));
        }
        let leaf = Self {
            kind: LeafKind::from_u8(reader.u8()?).ok_or(DecodeError("the leaf's kind is unknown"))?,
            log_id: reader.array()?,
            leaf_index: reader.u64()?,
            commitment: reader.array()?,
        };
        reader.end()?;
        Ok(leaf)
    }
}

/// The commitments of a leaf's parts; together they give the leaf's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitments {
    /// Of the header.
    pub header: Hash,
    /// Of the details.
    pub details: Hash,
    /// Of the body, where the kind has one.
    pub body: Option<Hash>,
    /// Of the entries, in ascending order of account id.
    pub entries: Vec<Hash>,
}

impl Commitments {
    /// The leaf's commitment.
    ///
    /// # Panics
    /// If there are more than 255 entries.
    pub fn commitment(&self) -> Hash {
        let count = u8::try_from(self.entries.len()).expect("a posting has at most 255 entries");
        hash(&[
            &T_COMMITMENT,
            &self.header,
            &self.details,
            &self.body.unwrap_or_default(),
            &[count],
            self.entries.as_flattened(),
        ])
    }
}
