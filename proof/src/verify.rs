//! The one function that verifies a receipt, and its closed list of refusals.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::note::SignedNote;
use crate::policy::Policy;
use crate::receipt::{OpenedLeaf, Receipt, ReceiptError};
use crate::tree::{leaf_hash, verify_inclusion};

/// Why a receipt is refused. The order is the precedence: the first that applies is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than 64 KiB.
    #[error("it is longer than a receipt can be")]
    TooLong,
    /// Not the lines of a receipt.
    #[error("it is not a receipt: {0}")]
    MalformedReceipt(&'static str),
    /// `extra` is not an opened leaf.
    #[error("its extra line is not an opened leaf: {0}")]
    MalformedExtra(&'static str),
    /// An opened part breaks its layout.
    #[error("one of its opened parts is not canonical: {0}")]
    MalformedPart(&'static str),
    /// The note is not a checkpoint.
    #[error("its checkpoint is malformed: {0}")]
    MalformedCheckpoint(&'static str),
    /// No key for this origin.
    #[error("the policy knows no log of this origin")]
    UnknownLog,
    /// The leaf is of another log.
    #[error("the leaf belongs to another log than the policy's")]
    WrongLog,
    /// No key of the log has signed.
    #[error("no key of the policy has signed the checkpoint")]
    Unsigned,
    /// A known key's signature is wrong.
    #[error("a signature by a key of the policy is wrong")]
    BadSignature,
    /// Only keys that have retired, and nobody who saw it before.
    #[error(
        "only a key that has retired has signed the checkpoint, and no witnesses of the policy have cosigned it before that: \
         ask the chain, or fetch the receipt again"
    )]
    RetiredKey,
    /// Too few witnesses.
    #[error("too few witnesses of the policy have cosigned the checkpoint")]
    QuorumMissing,
    /// The index is not in a log of this size.
    #[error("its index is not below the checkpoint's size")]
    IndexBeyondSize,
    /// The path does not lead to the root.
    #[error("the leaf is not in the tree of the checkpoint")]
    NotIncluded,
}

impl Refusal {
    /// The stable code of `docs/formats.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::MalformedReceipt(_) => "malformed_receipt",
            Self::MalformedExtra(_) => "malformed_extra",
            Self::MalformedPart(_) => "malformed_part",
            Self::MalformedCheckpoint(_) => "malformed_checkpoint",
            Self::UnknownLog => "unknown_log",
            Self::WrongLog => "wrong_log",
            Self::Unsigned => "unsigned",
            Self::BadSignature => "bad_signature",
            Self::RetiredKey => "retired_key",
            Self::QuorumMissing => "quorum_missing",
            Self::IndexBeyondSize => "index_beyond_size",
            Self::NotIncluded => "not_included",
        }
    }
}

impl From<ReceiptError> for Refusal {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::TooLong => Self::TooLong,
            ReceiptError::Lines(problem) => Self::MalformedReceipt(problem),
            ReceiptError::Extra(problem) => Self::MalformedExtra(problem),
            ReceiptError::Part(problem) => Self::MalformedPart(problem),
        }
    }
}

/// What a receipt proves under a policy: that this leaf stands at this index of the log that signed this checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The leaf, as far as it is opened.
    pub leaf: OpenedLeaf,
    /// Its place.
    pub leaf_index: u64,
    /// Its inclusion path, which the contract can check again.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Checkpoint,
    /// The witnesses that cosigned, by their names in the policy.
    pub witnesses: Vec<String>,
}

/// Verifies a receipt's bytes under a policy.
pub fn verify(receipt: &[u8], policy: &Policy) -> Result<Verified, Refusal> {
    verify_receipt(Receipt::parse(receipt)?, policy)
}

/// A checkpoint that a log of the policy has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The witnesses that cosigned, by their names in the policy.
    pub witnesses: Vec<String>,
    /// The latest time, in Unix seconds, from which on enough of them for the policy have cosigned: so fresh it is at least.
    pub cosigned_at: Option<u64>,
}

/// Verifies a signed checkpoint under a policy.
pub fn verify_checkpoint(note: &str, policy: &Policy) -> Result<VerifiedCheckpoint, Refusal> {
    let (note, checkpoint) = read_checkpoint(note)?;
    policy.log_id(&checkpoint.origin).ok_or(Refusal::UnknownLog)?;
    let witnesses = check_signatures(&note, &checkpoint, policy)?;
    let cosigned_at = cosigned_at(&note, policy);
    Ok(VerifiedCheckpoint { checkpoint, witnesses, cosigned_at })
}

/// One witness, whose clock is wrong or who lies, makes nothing fresh for which the policy asks more of them.
fn cosigned_at(note: &SignedNote, policy: &Policy) -> Option<u64> {
    let newest = policy.witnesses.iter().filter_map(|(name, key)| {
        let times = note.signatures.iter().filter_map(|it| key.time_of(it));
        Some((times.max()?, name.as_str()))
    });
    let mut newest: Vec<(u64, &str)> = newest.collect();
    newest.sort_unstable();
    let mut since = BTreeSet::new();
    newest.into_iter().rev().find_map(|(time, name)| {
        since.insert(name);
        policy.is_quorum(&since).then_some(time)
    })
}

fn read_checkpoint(note: &str) -> Result<(SignedNote, Checkpoint), Refusal> {
    let note = SignedNote::parse(note).map_err(|error| Refusal::MalformedCheckpoint(error.0))?;
    let checkpoint = Checkpoint::parse(&note.text).map_err(|error| Refusal::MalformedCheckpoint(error.0))?;
    Ok((note, checkpoint))
}

/// Verifies a receipt that is read already.
pub fn verify_receipt(receipt: Receipt, policy: &Policy) -> Result<Verified, Refusal> {
    let (note, checkpoint) = read_checkpoint(&receipt.checkpoint)?;
    let log_id = policy.log_id(&checkpoint.origin).ok_or(Refusal::UnknownLog)?;
    if receipt.leaf.log_id != log_id {
        return Err(Refusal::WrongLog);
    }
    let witnesses = check_signatures(&note, &checkpoint, policy)?;
    if checkpoint.size <= receipt.leaf_index {
        return Err(Refusal::IndexBeyondSize);
    }
    let leaf = leaf_hash(&receipt.leaf.leaf(receipt.leaf_index).encode());
    // The size is the signed one: a path alone does not bind it.
    if !verify_inclusion(receipt.leaf_index, checkpoint.size, &leaf, &receipt.path, &checkpoint.root) {
        return Err(Refusal::NotIncluded);
    }
    Ok(Verified {
        leaf: receipt.leaf,
        leaf_index: receipt.leaf_index,
        path: receipt.path,
        checkpoint,
        witnesses,
    })
}

/// Every line of a known key must verify, one of the log's keys must have signed that counts, and the witnesses must be enough.
fn check_signatures(
    note: &SignedNote,
    checkpoint: &Checkpoint,
    policy: &Policy,
) -> Result<Vec<String>, Refusal> {
    let log_keys = policy.log_keys.iter().filter(|key| key.name() == checkpoint.origin);
    let signed: Vec<_> =
        log_keys.filter(|key| note.signatures.iter().any(|line| key.is_named_by(line))).collect();
    if signed.is_empty() {
        return Err(Refusal::Unsigned);
    }
    // Each witness with the earliest time at which it has cosigned.
    let mut cosigned = BTreeMap::new();
    for line in note.each_once() {
        let named = policy.log_keys.iter().map(|key| (None, key));
        let witnesses = policy.witnesses.iter().map(|(name, key)| (Some(name.as_str()), key));
        for (witness, key) in named.chain(witnesses).filter(|(_, key)| key.is_named_by(line)) {
            if !key.verifies(&note.text, line) {
                return Err(Refusal::BadSignature);
            }
            if let Some((witness, time)) = witness.zip(key.time_of(line)) {
                cosigned.entry(witness).and_modify(|it: &mut u64| *it = time.min(*it)).or_insert(time);
            }
        }
    }
    if !signed.iter().any(|key| policy.stands(key, checkpoint.size, &cosigned)) {
        return Err(Refusal::RetiredKey);
    }
    if !policy.is_quorum(&cosigned.keys().copied().collect()) {
        return Err(Refusal::QuorumMissing);
    }
    Ok(cosigned.into_keys().map(str::to_owned).collect())
}
