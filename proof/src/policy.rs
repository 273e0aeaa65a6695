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

/// A verifier's policy, in the text form of C2SP `tlog-policy` with one keyword more, `anchor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Keys of logs; the first of an origin is that log's first key.
    pub log_keys: Vec<VerifierKey>,
    /// Keys of witnesses, by their name in the policy.
    pub witnesses: Vec<(String, VerifierKey)>,
    /// Where the logs are anchored.
    pub anchors: Vec<AnchorPlace>,
    witness_urls: BTreeMap<String, String>,
    groups: BTreeMap<String, Group>,
    quorum: Option<String>,
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
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["log", vkey] | ["log", vkey, _] => policy.add_log(vkey).map_err(at)?,
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
                _ => return Err(at("it is not one of log, witness, group, quorum, anchor with its words")),
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
        if self.log_keys.contains(&key) {
            return Err("a key is named once");
        }
        self.log_keys.push(key);
        Ok(())
    }

    fn add_witness(&mut self, name: &str, vkey: &str) -> Result<(), &'static str> {
        let key = VerifierKey::parse(vkey).map_err(|error| error.0)?;
        if !key.is_witness_key() {
            return Err("a witness's key is an Ed25519 cosignature key, type 0x04");
        }
        if self.witnesses.iter().any(|(_, it)| *it == key) {
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
        Self { log_keys: self.log_keys.clone(), ..Self::default() }
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
