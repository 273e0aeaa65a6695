//! Whether the books hold what callers were told: every acknowledged posting once, and nothing that nobody asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context;
use futures::future::try_join_all;
use tokio::sync::watch;
use uuid::Uuid;

use super::callers::{Answer, Asked, Caller, Left, MEMBERS, Place, Told, Wish};
use super::ground;

/// How many callers ask again at the same time.
const ASKING: usize = 32;
/// How many findings are told in words.
const NAMED_MAX: usize = 5;

/// What everybody was told, by key.
pub(super) struct Record {
    by_key: HashMap<Uuid, (Asked, Answer)>,
    findings: Findings,
    /// Requests that had no answer, and were found posted when they were asked again.
    pub(super) persisted: u64,
    /// Requests that had no answer, and were posted when they were asked again.
    pub(super) failed: u64,
}

/// What is not as it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Acknowledged, and not there as it was told.
    pub(super) lost: Vec<String>,
    /// There more than once, or though nobody asked for it.
    pub(super) doubled: Vec<String>,
    /// Balances that are not what the acknowledged postings come to.
    pub(super) unbalanced: Vec<String>,
    /// Accepted by a service that drained, and not answered.
    pub(super) undrained: Vec<String>,
}

impl Findings {
    /// These and those.
    pub(super) fn add(&mut self, other: Self) {
        let Self { lost, doubled, unbalanced, undrained } = other;
        self.lost.extend(lost);
        self.doubled.extend(doubled);
        self.unbalanced.extend(unbalanced);
        self.undrained.extend(undrained);
    }

    /// The first few in words; nothing where all is well.
    pub(super) fn in_words(&self) -> Option<String> {
        let all = [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("unbalanced", &self.unbalanced),
            ("not drained", &self.undrained),
        ];
        let some: Vec<String> = all
            .iter()
            .filter(|(_, found)| !found.is_empty())
            .map(|(what, found)| {
                format!("{} {what}: {}", found.len(), found[..found.len().min(NAMED_MAX)].join("; "))
            })
            .collect();
        (!some.is_empty()).then(|| some.join(". "))
    }
}

impl Record {
    /// Puts together what everybody was told. `drained` are the lives of the service that were ended by SIGTERM.
    pub(super) fn of(told: Vec<Told>, drained: &HashSet<u32>) -> Self {
        let mut record =
            Self { by_key: HashMap::new(), findings: Findings::default(), persisted: 0, failed: 0 };
        let mut asked_at_once: HashMap<Uuid, u32> = HashMap::new();
        for it in &told {
            *asked_at_once.entry(it.asked.key).or_default() += 1;
        }
        for it in told {
            // What was sent twice at once may have been posted and answered by way of its twin.
            if !it.left.is_empty() && asked_at_once[&it.asked.key] == 1 {
                *(if it.replayed { &mut record.persisted } else { &mut record.failed }) += 1;
                let by_drains =
                    it.left.iter().all(|it| matches!(it, Left::Silent(life) if drained.contains(life)));
                if it.replayed && by_drains {
                    record.findings.undrained.push(name(&it.asked, &it.answer));
                }
            }
            let known = record.by_key.entry(it.asked.key).or_insert_with(|| (it.asked, it.answer.clone()));
            if known.1 != it.answer {
                let twice = format!("{} and {:?}", name(&known.0, &known.1), it.answer);
                record.findings.doubled.push(twice);
            }
        }
        record
    }

    /// How many postings were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.leaves().count() as u64
    }

    /// How many requests were refused, for good.
    pub(super) fn refused(&self) -> u64 {
        self.by_key.len() as u64 - self.acknowledged()
    }

    fn leaves(&self) -> impl Iterator<Item = (u64, &Asked, &Answer)> {
        self.by_key.values().filter_map(|(asked, answer)| match answer {
            Answer::Accepted { leaf_index, .. } => Some((*leaf_index, asked, answer)),
            Answer::Refused { .. } => None,
        })
    }

    /// Holds the record against the books at this URL, and asks the service on them everything again.
    pub(super) async fn against_books(
        &self,
        url: &str,
        place: &watch::Receiver<Place>,
    ) -> anyhow::Result<Findings> {
        let size = ground::log_size(url).await?;
        let mut findings = self.against_log(size);
        findings.lost.extend(self.ask_again(place, size).await?);
        findings.unbalanced = self.check_balances(place, size).await?;
        let grown = ground::log_size(url).await? - size;
        if grown != 0 {
            findings.doubled.push(format!("{grown} postings when everything was asked again"));
        }
        Ok(findings)
    }

    /// Holds the record against a log of this size: every acknowledged leaf is one of its, and every leaf was
    /// acknowledged to one key.
    fn against_log(&self, size: u64) -> Findings {
        let mut findings = self.findings.clone();
        let mut owners: BTreeMap<u64, (&Asked, &Answer)> = BTreeMap::new();
        for (leaf_index, asked, answer) in self.leaves() {
            if size <= leaf_index {
                findings.lost.push(name(asked, answer));
            } else if let Some((other, _)) = owners.insert(leaf_index, (asked, answer)) {
                findings
                    .doubled
                    .push(format!("leaf {leaf_index} for the keys {} and {}", asked.key, other.key));
            }
        }
        let unclaimed = (0..size).filter(|it| !owners.contains_key(it));
        findings.doubled.extend(unclaimed.map(|it| format!("leaf {it}, which nobody was told of")));
        findings
    }

    /// Asks everything again that a log of this size should know: each must be a replay of what was told before.
    async fn ask_again(&self, place: &watch::Receiver<Place>, size: u64) -> anyhow::Result<Vec<String>> {
        // A refusal has no leaf to tell whether a log that lost some had it: then it is not asked for.
        let is_whole = self.leaves().all(|(leaf_index, ..)| leaf_index < size);
        let is_known = |answer: &Answer| match answer {
            Answer::Accepted { leaf_index, .. } => *leaf_index < size,
            Answer::Refused { .. } => is_whole,
        };
        let known: Vec<(Asked, Answer)> =
            self.by_key.values().filter(|it| is_known(&it.1)).cloned().collect();
        let asking = known.chunks(known.len().div_ceil(ASKING).max(1)).map(|some| {
            let (some, mut caller) = (some.to_vec(), Caller::new(place.clone()));
            tokio::spawn(async move {
                let mut lost = Vec::new();
                for (asked, answer) in some {
                    let again = caller.ask(asked).await?;
                    if !again.replayed || again.answer != answer {
                        lost.push(format!("{}, which is now {:?}", name(&asked, &answer), again.answer));
                    }
                }
                anyhow::Ok(lost)
            })
        });
        let mut lost = Vec::new();
        for found in try_join_all(asking).await.context("a caller panicked")? {
            lost.extend(found?);
        }
        Ok(lost)
    }

    /// Every member has what the acknowledged postings of a log of this size come to.
    async fn check_balances(&self, place: &watch::Receiver<Place>, size: u64) -> anyhow::Result<Vec<String>> {
        let mut caller = Caller::new(place.clone());
        let mut wrong = Vec::new();
        for member in 0..MEMBERS {
            let told = self.balance(member, size);
            let has = caller.balance(member).await?;
            if has != told {
                wrong.push(format!("member {member} has {has}, and was told of {told}"));
            }
        }
        Ok(wrong)
    }

    fn balance(&self, member: u32, size: u64) -> i64 {
        let theirs =
            self.leaves().filter(|(leaf_index, asked, _)| *leaf_index < size && asked.member == member);
        let changes = theirs.map(|(_, asked, _)| match asked.wish {
            Wish::Earn => asked.points,
            Wish::Redeem => -asked.points,
        });
        changes.sum()
    }
}

fn name(asked: &Asked, answer: &Answer) -> String {
    match answer {
        Answer::Accepted { leaf_index, .. } => format!("key {} at leaf {leaf_index}", asked.key),
        Answer::Refused { code } => format!("key {}, refused with {code}", asked.key),
    }
}

#[cfg(test)]
mod tests {
    use super::Left::{Silent, Unknown};
    use super::*;

    fn told(key: u128, leaf_index: u64, replayed: bool, left: &[Left]) -> Told {
        Told {
            asked: Asked { key: Uuid::from_u128(key), wish: Wish::Earn, member: 0, points: 1 },
            answer: Answer::Accepted { transaction_id: Uuid::nil(), leaf_index, points: 1, balance: 1 },
            replayed,
            left: left.to_vec(),
        }
    }

    #[track_caller]
    fn check(told: Vec<Told>, size: u64, expected: [usize; 3]) {
        let found = Record::of(told, &HashSet::from([7])).against_log(size);
        assert_eq!([found.lost.len(), found.doubled.len(), found.undrained.len()], expected, "{found:?}");
        assert_eq!(found.in_words().is_none(), expected == [0; 3]);
    }

    #[test]
    fn what_is_lost_or_doubled_is_found() {
        check(vec![told(1, 0, false, &[]), told(2, 1, true, &[Silent(3)])], 2, [0, 0, 0]);
        check(vec![told(1, 0, false, &[]), told(1, 0, true, &[])], 1, [0, 0, 0]);
        check(vec![told(1, 0, false, &[]), told(2, 1, false, &[])], 1, [1, 0, 0]);
        check(vec![told(1, 0, false, &[])], 2, [0, 1, 0]);
        check(vec![told(1, 0, false, &[]), told(2, 0, false, &[])], 1, [0, 1, 0]);
        check(vec![told(1, 0, false, &[]), told(1, 1, false, &[])], 2, [0, 2, 0]);
    }

    #[test]
    fn a_drain_that_leaves_a_posting_unanswered_is_found() {
        check(vec![told(1, 0, true, &[Silent(7)])], 1, [0, 0, 1]);
        check(vec![told(1, 0, false, &[Silent(7)])], 1, [0, 0, 0]);
        check(vec![told(1, 0, true, &[Unknown])], 1, [0, 0, 0]);
        check(vec![told(1, 0, true, &[Silent(6), Silent(7)])], 1, [0, 0, 0]);
        check(vec![told(1, 0, true, &[Silent(7)]), told(1, 0, false, &[])], 1, [0, 0, 0]);
    }
}
