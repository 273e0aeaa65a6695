//! The leaves that are no postings: read opened, and account maps to their last row.

use proof::{Body, KeyHistory, Leaf, MapIndex, MapRow, OpenedLeaf, Part};
use tiles::Beside;

use super::{KeySaid, Walk};
use crate::finding::Finding;
use crate::source::SourceError;

impl Walk<'_> {
    /// Reads the declarations that the walk has passed since the last time, up to this leaf.
    pub(super) async fn read_declarations(
        &mut self,
        keys: &mut KeyHistory,
        to: u64,
    ) -> Result<(), SourceError> {
        for leaf in std::mem::take(&mut self.declarations) {
            self.report.declarations += 1;
            let leaf_index = leaf.leaf_index;
            match self.read_declaration(&leaf, keys).await {
                Ok(Body::Map { log_size, .. }) if leaf_index < log_size => {
                    self.note([map(leaf_index, "it describes leaves that come after it")]);
                }
                Ok(Body::Map { accounts, root, .. }) => {
                    self.report.maps += 1;
                    let found = self.read_map(leaf_index, accounts, root).await;
                    self.note(unless_unreachable(found, |problem| map(leaf_index, &problem))?);
                }
                Ok(Body::Key { retired, public_key, .. }) => {
                    self.report.keys.push(KeySaid {
                        leaf_index,
                        retired,
                        public_key: hex::encode(public_key),
                    });
                }
                Ok(_) => {}
                Err(error) => {
                    let unreadable = |problem| Finding::DeclarationUnreadable { leaf_index, problem };
                    self.note(unless_unreachable(Err(error), unreadable)?);
                }
            }
        }
        self.check_retirements(keys, to);
        Ok(())
    }

    /// What is known of the keys before the first leaf that is read now. What an earlier walk has passed it has read, so
    /// there the policy is taken at its word.
    pub(super) fn keys_before(&self) -> KeyHistory {
        let (policy, origin, begin) = (&self.audit.policy, &self.checkpoint.origin, self.report.resumed_from);
        let own: Vec<_> = policy.log_keys.iter().filter(|it| it.name() == origin).collect();
        let first = *own.first().expect("the checkpoint was verified");
        let mut keys = KeyHistory::new(first.clone());
        let retired = policy.retired.iter().filter(|it| it.key.name() == origin);
        let introduced = own[1..].iter().map(|key| (0, 0, false, *key));
        let retired = retired.map(|it| (it.leaf_index, it.retired_at as i64, true, &it.key));
        for (leaf_index, time, retired, key) in introduced.chain(retired).filter(|it| it.0 < begin) {
            let body = Body::Key { retired, signature_type: 1, public_key: key.public_key().to_vec() };
            let log_id = proof::log_id(origin, first.public_key());
            let time_us = time.saturating_mul(1_000_000);
            keys.read(leaf_index, &proof::declaration(log_id, [0; 16], time_us, body));
        }
        keys
    }

    /// A key that the policy calls retired was retired by the log, in the leaf and at the time that the policy names.
    fn check_retirements(&mut self, keys: &KeyHistory, to: u64) {
        let read = std::mem::replace(&mut self.declared_to, to)..to;
        let policy = &self.audit.policy;
        let retired = policy.retired.iter().filter(|it| it.key.name() == self.checkpoint.origin);
        let found: Vec<_> = retired
            .filter(|it| read.contains(&it.leaf_index))
            .filter(|it| {
                let term = keys.terms().iter().find(|term| term.key == it.key);
                let leaf = term.and_then(|term| term.retired);
                leaf.is_none_or(|leaf| {
                    let retired_at = leaf.recorded_at_us.div_euclid(1_000_000) as u64;
                    (leaf.leaf_index, retired_at) != (it.leaf_index, it.retired_at)
                })
            })
            .map(|it| Finding::KeyNotRetired { leaf_index: it.leaf_index })
            .collect();
        self.note(found);
    }

    /// What the leaf says, which is public, and what follows for the keys.
    async fn read_declaration(&self, leaf: &Leaf, keys: &mut KeyHistory) -> Result<Body, SourceError> {
        let beside = Beside::Declaration(leaf.leaf_index);
        let bytes = self.audit.source.beside(beside).await?;
        let damaged = |problem: String| SourceError::Damaged { path: beside.path(), problem };
        let opened =
            OpenedLeaf::decode(&bytes, leaf.leaf_index).map_err(|error| damaged(error.to_string()))?;
        if opened.leaf(leaf.leaf_index) != *leaf {
            return Err(damaged("it opens to another leaf than the log has".to_owned()));
        }
        keys.read(leaf.leaf_index, &opened);
        match opened.body {
            Some(Part::Opened { value, .. }) => Ok(value),
            _ => Err(damaged("its body is closed".to_owned())),
        }
    }

    /// Reads a map part by part, no more of it at a time.
    async fn read_map(
        &self,
        leaf_index: u64,
        accounts: u64,
        root: proof::Hash,
    ) -> Result<Option<Finding>, SourceError> {
        let index = self.audit.source.beside(Beside::MapIndex(root)).await?;
        let index = MapIndex::decode(&index).ok();
        let Some(index) = index.filter(|it| (it.accounts(), it.root()) == (accounts, root)) else {
            return Ok(Some(map(leaf_index, "its index does not give the root that the leaf commits to")));
        };
        for part in 0..index.parts() {
            let bytes = self.audit.source.beside(Beside::MapPart(root, part as u32)).await?;
            if !MapRow::decode_all(&bytes).is_ok_and(|rows| index.is_part(part, &rows)) {
                return Ok(Some(map(leaf_index, &format!("its part {part} was changed"))));
            }
        }
        Ok(None)
    }
}

fn map(leaf_index: u64, problem: &str) -> Finding {
    Finding::MapDiffers { leaf_index, problem: problem.to_owned() }
}

/// That the log does not answer ends the audit; that it answers with something else is a finding.
fn unless_unreachable(
    read: Result<Option<Finding>, SourceError>,
    finding: impl FnOnce(String) -> Finding,
) -> Result<Option<Finding>, SourceError> {
    match read {
        Err(SourceError::Unreachable(problem)) => Err(SourceError::Unreachable(problem)),
        Err(error) => Ok(Some(finding(error.to_string()))),
        Ok(found) => Ok(found),
    }
}
