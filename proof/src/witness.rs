//! C2SP tlog-witness: what a log asks of a witness, and what the witness decides.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::checkpoint::{Checkpoint, decimal, hash_line};
use crate::hash::Hash;
use crate::note::SignedNote;
use crate::policy::Policy;
use crate::tree::verify_consistency;
use crate::verify::{Refusal, verify_checkpoint};

/// The longest `add-checkpoint` that is read: a proof of 63 hashes and a checkpoint with many signatures.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

const PROOF_MAX: usize = 63;

/// A log's request to a witness: this checkpoint extends the one of `old_size` that you have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the log believes the witness has seen last; 0 for none.
    pub old_size: u64,
    /// That the checkpoint extends it.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// Why a witness does not cosign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessRefusal {
    /// The request is not one.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// The witness does not follow this log.
    #[error("this witness does not know the log")]
    UnknownLog,
    /// The log has not signed it.
    #[error("no trusted key of the log has signed the checkpoint")]
    Unsigned,
    /// The witness has seen another size last.
    #[error("the last checkpoint seen has {seen} leaves")]
    OtherSize {
        /// That size.
        seen: u64,
    },
    /// It does not extend what was seen.
    #[error("the checkpoint does not extend the last one seen")]
    NotConsistent,
}

impl AddCheckpoint {
    /// The request's body.
    pub fn encode(&self) -> String {
        let mut text = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a request's body.
    pub fn parse(body: &[u8]) -> Result<Self, WitnessRefusal> {
        let malformed = WitnessRefusal::Malformed;
        if ADD_CHECKPOINT_BYTES_MAX < body.len() {
            return Err(malformed("it is longer than 64 KiB"));
        }
        let text = str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(malformed("it has no empty line"))?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|it| it.strip_prefix("old ")).and_then(decimal);
        let old_size = old_size.ok_or(malformed("it does not begin with old and a size"))?;
        let proof = lines.map(hash_line).collect::<Option<Vec<_>>>();
        let proof = proof.ok_or(malformed("a line of the proof is not canonical base64 of a hash"))?;
        if PROOF_MAX < proof.len() {
            return Err(malformed("the proof has more than 63 lines"));
        }
        Ok(Self { old_size, proof, checkpoint: checkpoint.to_owned() })
    }

    /// What a witness with this policy decides that has last seen this checkpoint of the log: to cosign, or why not.
    pub fn decide(
        &self,
        policy: &Policy,
        seen: impl FnOnce(&str) -> Option<Checkpoint>,
    ) -> Result<(SignedNote, Checkpoint), WitnessRefusal> {
        let note = SignedNote::parse(&self.checkpoint);
        let note = note.map_err(|error| WitnessRefusal::Malformed(error.0))?;
        let new = Checkpoint::parse(&note.text).map_err(|error| WitnessRefusal::Malformed(error.0))?;
        match verify_checkpoint(&self.checkpoint, policy) {
            Ok(_) => {}
            Err(Refusal::UnknownLog) => return Err(WitnessRefusal::UnknownLog),
            Err(_) => return Err(WitnessRefusal::Unsigned),
        }
        if new.size < self.old_size {
            return Err(WitnessRefusal::Malformed("the checkpoint is smaller than the old size"));
        }
        let seen = seen(&new.origin);
        let seen_size = seen.as_ref().map_or(0, |it| it.size);
        if seen_size != self.old_size {
            return Err(WitnessRefusal::OtherSize { seen: seen_size });
        }
        let seen_root = seen.map_or_else(crate::tree::empty_root, |it| it.root);
        // Of size 0 there is one root; from it everything extends, without a proof.
        let is_sound = new.size != 0 || new.root == crate::tree::empty_root();
        if is_sound && verify_consistency(self.old_size, &seen_root, new.size, &new.root, &self.proof) {
            Ok((note, new))
        } else {
            Err(WitnessRefusal::NotConsistent)
        }
    }
}
