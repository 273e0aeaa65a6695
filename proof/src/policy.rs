//! What a verifier trusts: keys, witnesses, and where the log is anchored. It never comes from a receipt.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::decimal;
use crate::hash::{Hash, log_id};
use crate::note::VerifierKey;

/// A policy that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {problem}")]
pub struct PolicyError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A contract that anchors the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorPlace {
    /// The chain.
    pub chain_id: u64,
    /// The audit contract.
    pub contract: [u8; 20],
    /// Who registered the log there.
    pub registrant: [u8; 20],
}

/// A key of a log that signs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredKey {
    /// The key.
    pub key: VerifierKey,
    /// The `key` leaf that says so. It signs no checkpoint that covers this leaf.
    pub leaf_index: u64,
    /// When, in Unix seconds: whoever has the key from here on can sign what was never published.
    pub retired_at: u64,
}

/// A verifier's policy, in the text form of C2SP `tlog-policy` with two keywords more, `retired` and `anchor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Keys of logs; the first of an origin is that log's first key.
    pub log_keys: Vec<VerifierKey>,
    /// Those of them that have retired.
    pub retired: Vec<RetiredKey>,
    /// Keys of witnesses, by their name in the policy.
    pub witnesses: Vec<(String, VerifierKey)>,
    /// Where the logs are anchored.
    pub anchors: Vec<AnchorPlace>,
    witness_urls: BTreeMap<String, String>,
    groups: BTreeMap<String, Group>,
    quorum: Option<String>,
    is_vouched: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    threshold: usize,
    members: Vec<String>,
}

impl Policy {
    /// A policy that trusts one log's key and asks for no witness.
    pub fn of_log(key: VerifierKey) -> Self {
        Self { log_keys: vec![key], ..Self::default() }
    }

    /// Reads a policy.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self::default();
        let mut has_quorum = false;
        for (index, line) in text.lines().enumerate() {
            let at = |problem| PolicyError { line: index + 1, problem };
            if line.chars().any(|it| it.is_ascii_control() && it != '\t') {
                return Err(at("it holds a control character"));
            }
            let line = line.trim_matches([' ', '\t']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["log", vkey] | ["log", vkey, _] => policy.add_log(vkey).map_err(at)?,
                ["retired", vkey, leaf_index, retired_at] => {
                    policy.add_retired(vkey, leaf_index, retired_at).map_err(at)?;
                }
                ["witness", name, vkey] => policy.add_witness(name, vkey).map_err(at)?,
                ["witness", name, vkey, url] => {
                    policy.add_witness(name, vkey).map_err(at)?;
                    policy.witness_urls.insert(name.to_owned(), url.to_owned());
                }
                ["group", name, threshold, ref members @ ..] => {
                    policy.add_group(name, threshold, members).map_err(at)?;
                }
                ["quorum", _] if has_quorum => return Err(at("there is exactly one quorum")),
                ["quorum", "none"] => has_quorum = true,
                ["quorum", name] => {
                    has_quorum = true;
                    if !policy.is_named(name) {
                        return Err(at("the quorum is not defined above"));
                    }
                    policy.quorum = Some(name.to_owned());
                }
                ["anchor", chain_id, contract, registrant] => {
                    let place = (|| {
                        Some(AnchorPlace {
                            chain_id: decimal(chain_id)?,
                            contract: address(contract)?,
                            registrant: address(registrant)?,
                        })
                    })();
                    policy
                        .anchors
                        .push(place.ok_or(at("an anchor is a chain id, a contract and a registrant"))?);
                }
                _ => {
                    return Err(at(
                        "it is not one of log, retired, witness, group, quorum, anchor with its words",
                    ));
                }
            }
        }
        // A forgotten line must not switch the witnesses off.
        if !has_quorum && !policy.witnesses.is_empty() {
            let problem = "it names witnesses and no quorum: say how many are enough, or quorum none";
            return Err(PolicyError { line: text.lines().count(), problem });
        }
        Ok(policy)
    }

    fn add_log(&mut self, vkey: &str) -> Result<(), &'static str> {
        let key = VerifierKey::parse(vkey).map_err(|error| error.0)?;
        if !key.is_log_key() {
            return Err("a log's key is Ed25519, type 0x01");
        }
        if self.log_keys.iter().any(|it| it.public_key() == key.public_key()) {
            return Err("a key is named once");
        }
        self.log_keys.push(key);
        Ok(())
    }

    fn add_retired(&mut self, vkey: &str, leaf_index: &str, retired_at: &str) -> Result<(), &'static str> {
        let key = VerifierKey::parse(vkey).map_err(|error| error.0)?;
        if !self.log_keys.contains(&key) || self.retired.iter().any(|it| it.key == key) {
            return Err("a key that has retired is a log's, named above, and retires once");
        }
        let (leaf_index, retired_at) = decimal(leaf_index)
            .zip(decimal(retired_at))
            .ok_or("a key retires at a leaf index and a time in Unix seconds")?;
        self.retired.push(RetiredKey { key, leaf_index, retired_at });
        Ok(())
    }

    fn add_witness(&mut self, name: &str, vkey: &str) -> Result<(), &'static str> {
        let key = VerifierKey::parse(vkey).map_err(|error| error.0)?;
        if !key.is_witness_key() {
            return Err("a witness's key is an Ed25519 cosignature key, type 0x04");
        }
        // Under two names it would be two of a quorum.
        if self.witnesses.iter().any(|(_, it)| it.public_key() == key.public_key()) {
            return Err("a key is named once");
        }
        if name == "none" || self.is_named(name) {
            return Err("a name is given once, and none is not a name");
        }
        self.witnesses.push((name.to_owned(), key));
        Ok(())
    }

    fn add_group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), &'static str> {
        if name == "none" || self.is_named(name) {
            return Err("a name is given once, and none is not a name");
        }
        let grouped: BTreeSet<&str> =
            self.groups.values().flat_map(|it| &it.members).map(String::as_str).collect();
        let mut once = BTreeSet::new();
        if !members.iter().all(|it| self.is_named(it) && !grouped.contains(it) && once.insert(it)) {
            return Err("a group's members are defined above, each in one group once");
        }
        let threshold = match threshold {
            "all" => members.len(),
            "any" => 1,
            k => decimal(k).and_then(|k| usize::try_from(k).ok()).unwrap_or(0),
        };
        if !(1..=members.len()).contains(&threshold) {
            return Err("a group's threshold is all, any, or a number of its members");
        }
        let members = members.iter().map(|&it| it.to_owned()).collect();
        self.groups.insert(name.to_owned(), Group { threshold, members });
        Ok(())
    }

    fn is_named(&self, name: &str) -> bool {
        self.groups.contains_key(name) || self.witnesses.iter().any(|(it, _)| it == name)
    }

    /// The id of the log of this origin, from its first key; `None` where the policy does not know the origin.
    pub fn log_id(&self, origin: &str) -> Option<Hash> {
        self.log_keys.iter().find(|key| key.name() == origin).map(|key| log_id(origin, key.public_key()))
    }

    /// Where a witness of the policy takes checkpoints, by its name in the policy.
    pub fn witness_url(&self, name: &str) -> Option<&str> {
        self.witness_urls.get(name).map(String::as_str)
    }

    /// The same logs, asking for no witness: what a log itself, or a witness, holds a checkpoint against.
    #[must_use]
    pub fn of_logs(&self) -> Self {
        Self { log_keys: self.log_keys.clone(), retired: self.retired.clone(), ..Self::default() }
    }

    /// The same policy for a checkpoint that something else vouches for: a contract that holds it, or one's own memory of
    /// having seen it. What a key signed before it retired counts then, whoever has that key now.
    #[must_use]
    pub fn vouched(&self) -> Self {
        Self { is_vouched: true, ..self.clone() }
    }

    /// Whether this key's signature under a checkpoint of this size counts, given when witnesses have cosigned it.
    pub(crate) fn stands(&self, key: &VerifierKey, size: u64, cosigned: &BTreeMap<&str, u64>) -> bool {
        let Some(retired) = self.retired.iter().find(|it| it.key == *key) else { return true };
        let before = cosigned.iter().filter(|(_, time)| **time <= retired.retired_at);
        let is_witnessed =
            || self.asks_for_witnesses() && self.is_quorum(&before.map(|(name, _)| *name).collect());
        size <= retired.leaf_index && (self.is_vouched || is_witnessed())
    }

    /// Whether it asks for any witness at all.
    pub fn asks_for_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Whether these witnesses, by their names in the policy, are enough.
    pub fn is_quorum(&self, cosigned: &BTreeSet<&str>) -> bool {
        self.quorum.as_ref().is_none_or(|name| self.holds(name, cosigned))
    }

    // A group's members are defined before it, so the recursion ends.
    fn holds(&self, name: &str, cosigned: &BTreeSet<&str>) -> bool {
        match self.groups.get(name) {
            Some(group) => {
                group.threshold <= group.members.iter().filter(|it| self.holds(it, cosigned)).count()
            }
            None => cosigned.contains(name),
        }
    }
}

fn address(text: &str) -> Option<[u8; 20]> {
    let digits = text.strip_prefix("0x")?;
    if digits.len() != 40 || !digits.is_ascii() {
        return None;
    }
    let mut address = [0; 20];
    for (byte, digits) in address.iter_mut().zip(digits.as_bytes().as_chunks::<2>().0) {
        let [high, low] = digits.map(|it| char::from(it).to_digit(16));
        *byte = (high? * 16 + low?) as u8;
    }
    Some(address)
}
