//! The receipt: a C2SP `tlog-proof` whose `extra` line carries the opened leaf.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::body::Body;
use crate::bytes::{DecodeError, Reader};
use crate::checkpoint::{decimal, hash_line};
use crate::details::Details;
use crate::entry::{Entry, NO_LEAF};
use crate::hash::Hash;
use crate::header::{Header, PostingKind};
use crate::leaf::{Commitments, Leaf, LeafKind};

/// The longest receipt that is read.
pub const RECEIPT_BYTES_MAX: usize = 64 * 1024;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
const VERSION: u8 = 1;
const PATH_MAX: usize = 63;
const HINTS_MAX: u8 = 8;

/// Why bytes are not a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// More than 64 KiB.
    #[error("a receipt has at most 65,536 bytes")]
    TooLong,
    /// Not the lines of a receipt.
    #[error("not a receipt: {0}")]
    Lines(&'static str),
    /// `extra` is not an opened leaf.
    #[error("the receipt's extra line: {0}")]
    Extra(&'static str),
    /// A part of the opened leaf is not canonical.
    #[error("the receipt's opened part: {0}")]
    Part(&'static str),
}

/// What a part can be opened to.
pub trait PartValue: Sized {
    /// The bytes that its commitment is over.
    fn part_bytes(&self) -> Vec<u8>;
    /// Reads them for a leaf of this kind.
    fn from_part(kind: LeafKind, bytes: &[u8]) -> Result<Self, DecodeError>;
    /// The commitment under this salt.
    fn part_commitment(&self, salt: &Hash) -> Hash;
}

impl PartValue for Header {
    fn part_bytes(&self) -> Vec<u8> {
        self.encode().to_vec()
    }
    fn from_part(kind: LeafKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        let header = Self::decode(bytes)?;
        if kind.is_posting() == (header.posting_kind == PostingKind::NONE) {
            return Err(DecodeError("the header's posting kind does not fit the leaf's kind"));
        }
        Ok(header)
    }
    fn part_commitment(&self, salt: &Hash) -> Hash {
        self.commitment(salt)
    }
}

impl PartValue for Details {
    fn part_bytes(&self) -> Vec<u8> {
        self.encode()
    }
    fn from_part(_: LeafKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(bytes)
    }
    fn part_commitment(&self, salt: &Hash) -> Hash {
        self.commitment(salt)
    }
}

impl PartValue for Body {
    fn part_bytes(&self) -> Vec<u8> {
        self.encode()
    }
    fn from_part(kind: LeafKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(kind, bytes)
    }
    fn part_commitment(&self, salt: &Hash) -> Hash {
        self.commitment(salt)
    }
}

impl PartValue for Entry {
    fn part_bytes(&self) -> Vec<u8> {
        self.encode().to_vec()
    }
    fn from_part(_: LeafKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(bytes)
    }
    fn part_commitment(&self, salt: &Hash) -> Hash {
        self.commitment(salt)
    }
}

/// A part of a leaf: its commitment alone, or its value with the salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<T> {
    /// Only the commitment.
    Closed(Hash),
    /// The value, and the salt that leads to the commitment.
    Opened {
        /// The salt.
        salt: Hash,
        /// The value.
        value: T,
    },
}

impl<T: PartValue> Part<T> {
    /// The part's commitment.
    pub fn commitment(&self) -> Hash {
        match self {
            Self::Closed(commitment) => *commitment,
            Self::Opened { salt, value } => value.part_commitment(salt),
        }
    }

    /// The value, where it is opened.
    pub fn opened(&self) -> Option<&T> {
        match self {
            Self::Closed(_) => None,
            Self::Opened { value, .. } => Some(value),
        }
    }

    fn encode_into(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Closed(commitment) => {
                bytes.push(1);
                bytes.extend_from_slice(commitment);
            }
            Self::Opened { salt, value } => {
                let value = value.part_bytes();
                bytes.push(2);
                bytes.extend_from_slice(salt);
                bytes.extend_from_slice(&u16::try_from(value.len()).expect("a part is short").to_be_bytes());
                bytes.extend_from_slice(&value);
            }
        }
    }
}

/// A part as it lies in `extra`, before its value is looked at: a fault of the layout comes before a fault of a part.
enum RawPart<'a> {
    Closed(Hash),
    Opened(Hash, &'a [u8]),
}

impl<'a> RawPart<'a> {
    fn read(state: u8, reader: &mut Reader<'a>) -> Result<Self, ReceiptError> {
        match state {
            1 => Ok(Self::Closed(reader.array().map_err(extra)?)),
            2 => {
                let salt = reader.array().map_err(extra)?;
                let length = usize::from(reader.u16().map_err(extra)?);
                Ok(Self::Opened(salt, reader.slice(length).map_err(extra)?))
            }
            _ => Err(ReceiptError::Extra("a part is neither closed nor opened")),
        }
    }

    fn open<T: PartValue>(self, kind: LeafKind) -> Result<Part<T>, ReceiptError> {
        match self {
            Self::Closed(commitment) => Ok(Part::Closed(commitment)),
            Self::Opened(salt, bytes) => {
                let value = T::from_part(kind, bytes).map_err(|error| ReceiptError::Part(error.0))?;
                Ok(Part::Opened { salt, value })
            }
        }
    }
}

fn extra(error: DecodeError) -> ReceiptError {
    ReceiptError::Extra(error.0)
}

/// Where the leaf's maker says that it is anchored. Never a proof: it only tells where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorHint {
    /// The chain.
    pub chain_id: u64,
    /// The audit contract.
    pub contract: [u8; 20],
    /// Who registered the log there.
    pub registrant: [u8; 20],
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: Hash,
}

/// A leaf whose parts are opened as far as the receipt's holder may see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedLeaf {
    /// What the leaf records.
    pub kind: LeafKind,
    /// The log that it belongs to.
    pub log_id: Hash,
    /// The header.
    pub header: Part<Header>,
    /// The details.
    pub details: Part<Details>,
    /// The body, where the kind has one.
    pub body: Option<Part<Body>>,
    /// The entries, in ascending order of account id.
    pub entries: Vec<Part<Entry>>,
    /// Where it may be anchored.
    pub hints: Vec<AnchorHint>,
}

impl OpenedLeaf {
    /// The commitments of the parts.
    pub fn commitments(&self) -> Commitments {
        Commitments {
            header: self.header.commitment(),
            details: self.details.commitment(),
            body: self.body.as_ref().map(Part::commitment),
            entries: self.entries.iter().map(Part::commitment).collect(),
        }
    }

    /// The leaf that these parts make at this index.
    pub fn leaf(&self, leaf_index: u64) -> Leaf {
        Leaf { kind: self.kind, log_id: self.log_id, leaf_index, commitment: self.commitments().commitment() }
    }

    /// The bytes of a receipt's `extra`.
    ///
    /// # Panics
    /// If there are more entries or hints than the layout counts.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.kind as u8];
        bytes.extend_from_slice(&self.log_id);
        self.header.encode_into(&mut bytes);
        self.details.encode_into(&mut bytes);
        match &self.body {
            None => bytes.push(0),
            Some(body) => body.encode_into(&mut bytes),
        }
        bytes.push(u8::try_from(self.entries.len()).expect("a posting has at most 255 entries"));
        for entry in &self.entries {
            entry.encode_into(&mut bytes);
        }
        assert!(self.hints.len() <= usize::from(HINTS_MAX), "a receipt has at most {HINTS_MAX} hints");
        bytes.push(self.hints.len() as u8);
        for hint in &self.hints {
            bytes.extend_from_slice(&hint.chain_id.to_be_bytes());
            bytes.extend_from_slice(&hint.contract);
            bytes.extend_from_slice(&hint.registrant);
            bytes.extend_from_slice(&hint.block.to_be_bytes());
            bytes.extend_from_slice(&hint.transaction);
        }
        bytes
    }

    /// Reads the bytes of a receipt's `extra`, for a leaf at this index.
    pub fn decode(bytes: &[u8], leaf_index: u64) -> Result<Self, ReceiptError> {
        let mut reader = Reader::new(bytes);
        if reader.u8().map_err(extra)? != VERSION {
            return Err(ReceiptError::Extra("its version is unknown"));
        }
        let kind = LeafKind::from_u8(reader.u8().map_err(extra)?)
            .ok_or(ReceiptError::Extra("its kind is unknown"))?;
        let log_id = reader.array().map_err(extra)?;
        let state = reader.u8().map_err(extra)?;
        let header = RawPart::read(state, &mut reader)?;
        let state = reader.u8().map_err(extra)?;
        let details = RawPart::read(state, &mut reader)?;
        let body = match reader.u8().map_err(extra)? {
            0 if kind.has_body() => return Err(ReceiptError::Extra("a body is missing")),
            0 => None,
            _ if !kind.has_body() => return Err(ReceiptError::Extra("a posting has no body")),
            state => Some(RawPart::read(state, &mut reader)?),
        };
        let count = reader.u8().map_err(extra)?;
        if count != 0 && !kind.is_posting() {
            return Err(ReceiptError::Extra("only a posting has entries"));
        }
        let mut entries = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let state = reader.u8().map_err(extra)?;
            entries.push(RawPart::read(state, &mut reader)?);
        }
        let count = reader.u8().map_err(extra)?;
        if HINTS_MAX < count {
            return Err(ReceiptError::Extra("it has more than eight hints"));
        }
        let mut hints = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            hints.push(AnchorHint::read(&mut reader).map_err(extra)?);
        }
        reader.end().map_err(extra)?;
        let leaf = Self {
            kind,
            log_id,
            header: header.open(kind)?,
            details: details.open(kind)?,
            body: body.map(|it| it.open(kind)).transpose()?,
            entries: entries.into_iter().map(|it| it.open(kind)).collect::<Result<_, _>>()?,
            hints,
        };
        leaf.check(leaf_index).map_err(ReceiptError::Part)?;
        Ok(leaf)
    }

    fn check(&self, leaf_index: u64) -> Result<(), &'static str> {
        let opened: Vec<&Entry> = self.entries.iter().filter_map(Part::opened).collect();
        if opened.windows(2).any(|pair| pair[1].account <= pair[0].account) {
            return Err("the entries do not ascend by account");
        }
        if opened.iter().any(|it| it.previous_leaf_index != NO_LEAF && leaf_index <= it.previous_leaf_index) {
            return Err("an entry names a leaf before it that is not before it");
        }
        if let Some(Part::Opened { salt, .. }) = &self.body
            && Body::is_public(self.kind)
            && *salt != Hash::default()
        {
            return Err("a public body has a salt of zeros");
        }
        Ok(())
    }
}

impl AnchorHint {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            chain_id: reader.u64()?,
            contract: reader.array()?,
            registrant: reader.array()?,
            block: reader.u64()?,
            transaction: reader.array()?,
        })
    }
}

/// A receipt that is read and not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The opened leaf.
    pub leaf: OpenedLeaf,
    /// Its place in the log.
    pub leaf_index: u64,
    /// The inclusion path, leaf's sibling first.
    pub path: Vec<Hash>,
    /// The signed checkpoint, as text.
    pub checkpoint: String,
}

impl Receipt {
    /// The receipt as a file.
    pub fn encode(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nextra {}\n", STANDARD.encode(self.leaf.encode()));
        text.push_str(&format!("index {}\n", self.leaf_index));
        for hash in &self.path {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a receipt, refusing every spelling but the one that [`Receipt::encode`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if RECEIPT_BYTES_MAX < bytes.len() {
            return Err(ReceiptError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| ReceiptError::Lines("it is not UTF-8"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(ReceiptError::Lines("it has no empty line"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(ReceiptError::Lines("it does not begin with c2sp.org/tlog-proof@v1"));
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let extra = extra.ok_or(ReceiptError::Lines("it has no extra line"))?;
        let leaf_index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let leaf_index = leaf_index.ok_or(ReceiptError::Lines("it has no canonical index line"))?;
        let path = lines.map(hash_line).collect::<Option<Vec<_>>>();
        let path = path.ok_or(ReceiptError::Lines("a line of the path is not canonical base64 of a hash"))?;
        if PATH_MAX < path.len() {
            return Err(ReceiptError::Lines("the path has more than 63 lines"));
        }
        let extra = STANDARD.decode(extra).map_err(|_| ReceiptError::Extra("it is not canonical base64"))?;
        let leaf = OpenedLeaf::decode(&extra, leaf_index)?;
        Ok(Self { leaf, leaf_index, path, checkpoint: checkpoint.to_owned() })
    }
}
