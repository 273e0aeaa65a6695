//! An account's statement of a period, and what makes it more than our word: each line has its receipt beside it, and so have
//! the entries just outside the period, where there are such.

use std::collections::BTreeMap;

use proof::{Balances, Entry, Part, Verified};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::history::ProvesHistory;

/// The name of a statement's file among receipts.
pub const STATEMENT: &str = "statement.json";

/// Three balances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// What can be spent.
    pub available: i64,
    /// What is reserved.
    pub held: i64,
    /// What has not matured.
    pub pending: i64,
}

/// A line: what one posting did to the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The entry's number in the account.
    pub sequence: u64,
    /// Its leaf.
    pub leaf_index: u64,
    /// The posting.
    pub transaction_id: Uuid,
    /// What it did.
    pub kind: String,
    /// When it was recorded, in microseconds since 1970.
    pub recorded_at_us: i64,
    /// What it changed.
    pub change: Holds,
    /// What that came to.
    pub after: Holds,
}

/// What an account held before a period, what was recorded in it, and what it held after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The log's origin.
    pub log: String,
    /// The account's random name.
    pub account: Uuid,
    /// Its unit.
    pub unit: u16,
    /// The period's first instant, in microseconds since 1970.
    pub from_us: i64,
    /// The first instant after it.
    pub to_us: i64,
    /// What it held before.
    pub opening: Holds,
    /// What was recorded, in order.
    pub lines: Vec<Line>,
    /// What it held after.
    pub closing: Holds,
}

impl From<Balances> for Holds {
    fn from(it: Balances) -> Self {
        Self { available: it.available, held: it.held, pending: it.pending }
    }
}

impl Statement {
    /// Holds the statement against receipts that are verified and follow each other. Says what is proven, or the first thing
    /// that is wrong.
    pub fn check(&self, receipts: &[Verified], histories: &[ProvesHistory]) -> Result<String, String> {
        let shown = self.shown(receipts)?;
        let within = |line: &Line| (self.from_us..self.to_us).contains(&line.recorded_at_us);
        let lines: Vec<&Line> = shown.values().filter(|it| within(it)).collect();
        if lines != self.lines.iter().collect::<Vec<_>>() {
            return Err("its lines are not what the receipts say".to_owned());
        }
        let before = shown.values().rfind(|it| it.recorded_at_us < self.from_us);
        let after = shown.values().find(|it| self.to_us <= it.recorded_at_us);
        let first = lines.first().copied().or(after).map(|it| it.sequence);
        let opening = match (before, first) {
            (Some(before), _) => before.after,
            (None, None | Some(1)) => Holds::default(),
            (None, Some(first)) => {
                return Err(format!("nothing shows that entry {} is not of the period", first - 1));
            }
        };
        let closing = lines.last().map_or(opening, |it| it.after);
        if (self.opening, self.closing) != (opening, closing) {
            return Err("its balances are not what the receipts say".to_owned());
        }
        let complete_to = histories
            .iter()
            .find(|it| (it.account, it.unit) == (self.account, self.unit))
            .and_then(|it| it.complete_to);
        let end = match (after, complete_to) {
            (Some(next), _) => format!("entry {} comes after it", next.sequence),
            (None, Some(size)) => format!("nothing more was recorded up to leaf {size}"),
            (None, None) => "no map says whether something more was recorded".to_owned(),
        };
        Ok(format!(
            "the statement of {} lines from {} to {} available is what they say, nothing of the period is missing before \
             or between them, and {end}",
            lines.len(),
            opening.available,
            closing.available
        ))
    }

    /// What the receipts show of the account, by number.
    fn shown(&self, receipts: &[Verified]) -> Result<BTreeMap<u64, Line>, String> {
        let mut shown = BTreeMap::new();
        for receipt in receipts {
            let theirs = |it: &&Entry| it.account == self.account.into_bytes() && it.unit == self.unit;
            let Some(entry) = receipt.leaf.entries.iter().filter_map(Part::opened).find(theirs) else {
                continue;
            };
            if receipt.checkpoint.origin != self.log {
                return Err("its log is another than the receipts'".to_owned());
            }
            let header = receipt.leaf.header.opened();
            let header =
                header.ok_or_else(|| format!("the receipt of entry {} has no time", entry.sequence))?;
            shown.insert(
                entry.sequence,
                Line {
                    sequence: entry.sequence,
                    leaf_index: receipt.leaf_index,
                    transaction_id: Uuid::from_bytes(header.posting_id),
                    kind: header
                        .posting_kind
                        .name()
                        .map_or_else(|| header.posting_kind.0.to_string(), str::to_owned),
                    recorded_at_us: header.recorded_at_us,
                    change: entry.change.into(),
                    after: entry.after.into(),
                },
            );
        }
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_one_unit_completes_no_statement_of_another() {
        let (account, holds) = (Uuid::from_bytes([7; 16]), Holds::default());
        let (log, lines) = ("log.example".to_owned(), Vec::new());
        let statement =
            Statement { log, account, unit: 1, from_us: 0, to_us: 9, opening: holds, lines, closing: holds };
        let history =
            |unit, complete_to| ProvesHistory { account, unit, first: 1, last: 1, available: 0, complete_to };
        let check = |histories: &[ProvesHistory], expected: &str| {
            let told = statement.check(&[], histories).unwrap();
            assert!(told.contains(expected), "{told}");
        };
        check(&[history(0, Some(100)), history(1, None)], "no map says whether something more was recorded");
        check(&[history(0, None), history(1, Some(100))], "nothing more was recorded up to leaf 100");
    }
}
