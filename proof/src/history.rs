//! An account's receipts, held against each other: each names the one before it, and a map says which is the last.

use std::collections::BTreeMap;

use crate::entry::{Balances, Entry, NO_LEAF};
use crate::hash::{Hash, Id};
use crate::map::{MapAccount, MapValue};
use crate::receipt::Part;
use crate::verify::Verified;

/// What receipts of one account prove together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The account.
    pub account: Id,
    /// Its unit.
    pub unit: u16,
    /// The number of the first entry that is held; 1 where nothing came before.
    pub first: u64,
    /// The number of the last one.
    pub last: u64,
    /// The balances after it.
    pub balances: Balances,
    /// Up to which log size a map says that nothing is missing at the end.
    pub complete_to: Option<u64>,
}

/// Why receipts of an account do not fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryRefusal {
    /// Nothing of any account is opened.
    #[error("none of the receipts opens an entry")]
    Empty,
    /// A receipt is not there.
    #[error("the receipts of entries {after} and {next} are there, and none between them")]
    Missing {
        /// The last entry before the gap.
        after: u64,
        /// The first one behind it.
        next: u64,
    },
    /// Two receipts show two entries of one number.
    #[error("there are two entries of number {sequence}: the log has two histories of this account")]
    Twice {
        /// The number.
        sequence: u64,
    },
    /// An entry does not follow from the one before.
    #[error("entry {sequence} does not follow from the one before it")]
    Broken {
        /// Its number.
        sequence: u64,
    },
    /// The map knows later entries than are held.
    #[error("the map of {log_size} leaves knows entries up to {map}, and the receipts end at {held}")]
    Behind {
        /// The map's log size.
        log_size: u64,
        /// The last entry in the map.
        map: u64,
        /// The last one that is held below that size.
        held: u64,
    },
    /// The map says another thing of the last entry.
    #[error("the map of {log_size} leaves says another thing of entry {sequence} than its receipt")]
    MapDisagrees {
        /// The map's log size.
        log_size: u64,
        /// The entry.
        sequence: u64,
    },
}

struct Link {
    leaf_index: u64,
    entry: Entry,
    commitment: Hash,
}

/// Holds verified receipts against each other, in any order, and against verified maps. Gives each account that they
/// open, or the first thing that does not fit.
pub fn verify_history(
    receipts: &[Verified],
    maps: &[(MapAccount, MapValue)],
) -> Result<Vec<History>, HistoryRefusal> {
    let mut accounts: BTreeMap<(Id, u16), BTreeMap<u64, Link>> = BTreeMap::new();
    for receipt in receipts {
        for part in &receipt.leaf.entries {
            let Part::Opened { value, .. } = part else { continue };
            let link =
                Link { leaf_index: receipt.leaf_index, entry: value.clone(), commitment: part.commitment() };
            let links = accounts.entry((value.account, value.unit)).or_default();
            let (sequence, place) = (value.sequence, (link.leaf_index, link.commitment));
            // The same entry may be shown by several receipts, as they grow better.
            if let Some(before) = links.insert(sequence, link)
                && (before.leaf_index, before.commitment) != place
            {
                return Err(HistoryRefusal::Twice { sequence });
            }
        }
    }
    if accounts.is_empty() {
        return Err(HistoryRefusal::Empty);
    }
    accounts
        .into_iter()
        .map(|((account, unit), links)| {
            let links: Vec<Link> = links.into_values().collect();
            for pair in links.windows(2) {
                check_follows(&pair[0], &pair[1])?;
            }
            let maps = maps.iter().filter(|(it, _)| (it.account, it.unit) == (account, unit));
            let mut complete_to = None;
            for (map, value) in maps {
                check_map(&links, map.log_size, value)?;
                complete_to = complete_to.max(Some(map.log_size));
            }
            let (first, last) = (&links[0].entry, &links[links.len() - 1].entry);
            let (first, last, balances) = (first.sequence, last.sequence, last.after);
            Ok(History { account, unit, first, last, balances, complete_to })
        })
        .collect()
}

fn check_follows(before: &Link, after: &Link) -> Result<(), HistoryRefusal> {
    let (old, new) = (&before.entry, &after.entry);
    if new.sequence != old.sequence + 1 {
        return Err(HistoryRefusal::Missing { after: old.sequence, next: new.sequence });
    }
    let follows = |old: i64, change: i64, new: i64| old.checked_add(change) == Some(new);
    let is_whole = new.previous_leaf_index != NO_LEAF
        && new.previous_leaf_index == before.leaf_index
        && new.previous_commitment == before.commitment
        && follows(old.after.available, new.change.available, new.after.available)
        && follows(old.after.held, new.change.held, new.after.held)
        && follows(old.after.pending, new.change.pending, new.after.pending);
    if is_whole { Ok(()) } else { Err(HistoryRefusal::Broken { sequence: new.sequence }) }
}

/// A map speaks of the last entry below its log size; later ones are beyond it.
fn check_map(links: &[Link], log_size: u64, value: &MapValue) -> Result<(), HistoryRefusal> {
    let last = links.iter().rfind(|it| it.leaf_index < log_size);
    let held = last.map_or(0, |it| it.entry.sequence);
    match last {
        Some(last) if held == value.sequence => {
            let shown = (last.leaf_index, last.commitment, last.entry.after);
            let is_same = shown == (value.leaf_index, value.commitment, value.balances);
            if is_same { Ok(()) } else { Err(HistoryRefusal::MapDisagrees { log_size, sequence: held }) }
        }
        _ if held < value.sequence => Err(HistoryRefusal::Behind { log_size, map: value.sequence, held }),
        _ => Err(HistoryRefusal::MapDisagrees { log_size, sequence: held }),
    }
}
