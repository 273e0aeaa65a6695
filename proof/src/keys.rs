//! The keys of a log over time, as its `key` leaves tell.

use crate::body::Body;
use crate::leaf::{Leaf, LeafKind};
use crate::note::VerifierKey;
use crate::receipt::OpenedLeaf;

/// Signed-note's type of an Ed25519 key: the only one that signs here.
const ED25519: u8 = 0x01;

/// The leaf that says something of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLeaf {
    /// Its index.
    pub leaf_index: u64,
    /// When it was recorded, in microseconds since 1970.
    pub recorded_at_us: i64,
}

/// A key, and from where to where in the log it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTerm {
    /// The key.
    pub key: VerifierKey,
    /// The leaf that introduces it; none for the log's first key.
    pub introduced: Option<KeyLeaf>,
    /// The leaf that retires it.
    pub retired: Option<KeyLeaf>,
}

/// All keys of a log, the first one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHistory {
    terms: Vec<KeyTerm>,
}

impl KeyHistory {
    /// The history of a log that begins with this key.
    pub fn new(first: VerifierKey) -> Self {
        Self { terms: vec![KeyTerm { key: first, introduced: None, retired: None }] }
    }

    /// Takes in the next leaf, in the order of the log. What says nothing of keys changes nothing.
    pub fn read(&mut self, leaf_index: u64, leaf: &OpenedLeaf) {
        let (Some(header), Some(body)) =
            (leaf.header.opened(), leaf.body.as_ref().and_then(|it| it.opened()))
        else {
            return;
        };
        let told = KeyLeaf { leaf_index, recorded_at_us: header.recorded_at_us };
        match body {
            Body::Key { retired, signature_type: ED25519, public_key } => {
                let Ok(public_key) = <&[u8; 32]>::try_from(&public_key[..]) else { return };
                let Ok(key) = VerifierKey::of_log(self.terms[0].key.name(), public_key) else { return };
                if *retired { self.retire(&key, told) } else { self.introduce(key, told) }
            }
            Body::Orphan(lost) => {
                if let Some(lost) = Leaf::decode(lost).ok().filter(|it| it.kind == LeafKind::Key) {
                    self.forget(lost.leaf_index);
                }
            }
            _ => {}
        }
    }

    fn introduce(&mut self, key: VerifierKey, told: KeyLeaf) {
        if self.terms.iter().all(|it| it.key != key) {
            self.terms.push(KeyTerm { key, introduced: Some(told), retired: None });
        }
    }

    // A log is never without a key: what would leave it none has no effect.
    fn retire(&mut self, key: &VerifierKey, told: KeyLeaf) {
        let standing = self.standing_at(told.leaf_index).filter(|it| *it != key).count();
        if let Some(term) = self.terms.iter_mut().find(|it| it.key == *key && it.retired.is_none())
            && standing != 0
        {
            term.retired = Some(told);
        }
    }

    // A leaf that was lost and has come back has no effect.
    fn forget(&mut self, leaf_index: u64) {
        let is_it = |told: Option<KeyLeaf>| told.is_some_and(|it| it.leaf_index == leaf_index);
        self.terms.retain(|it| !is_it(it.introduced));
        for term in self.terms.iter_mut().filter(|it| is_it(it.retired)) {
            term.retired = None;
        }
    }

    /// The keys, each with its leaves.
    pub fn terms(&self) -> &[KeyTerm] {
        &self.terms
    }

    /// The keys that sign a checkpoint of this size.
    pub fn standing_at(&self, size: u64) -> impl Iterator<Item = &VerifierKey> {
        let is_below = move |told: Option<KeyLeaf>| told.is_some_and(|it| it.leaf_index < size);
        let stands = move |it: &&KeyTerm| {
            (it.introduced.is_none() || is_below(it.introduced)) && !is_below(it.retired)
        };
        self.terms.iter().filter(stands).map(|it| &it.key)
    }

    /// The lines for a verifier's policy.
    pub fn policy_lines(&self) -> String {
        let logs = self.terms.iter().map(|it| format!("log {}\n", it.key.encode()));
        let retired = self.terms.iter().filter_map(|it| {
            let KeyLeaf { leaf_index, recorded_at_us } = it.retired?;
            let (vkey, retired_at) = (it.key.encode(), recorded_at_us.div_euclid(1_000_000));
            Some(format!("retired {vkey} {leaf_index} {retired_at}\n"))
        });
        logs.chain(retired).collect()
    }
}
