//! A posting: a balanced set of entries. One that does not balance cannot be built.

use proof::{Balances, PostingKind};

/// One account's side of a posting, before the account's state is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<A> {
    /// The account.
    pub account: A,
    /// The unit.
    pub unit: u16,
    /// What changes.
    pub change: Balances,
}

/// A balanced set of entries, atomic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting<A> {
    kind: PostingKind,
    entries: Vec<Entry<A>>,
}

/// Entries that are no posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostingError {
    /// The entries of a unit do not sum to zero.
    #[error("the entries of unit {unit} sum to {sum}, not to zero")]
    Unbalanced {
        /// The unit.
        unit: u16,
        /// What its entries come to.
        sum: i128,
    },
    /// An account stands in it twice.
    #[error("an account has more than one entry")]
    AccountTwice,
    /// None, or more than a leaf can commit to.
    #[error("a posting has 1 to 255 entries")]
    EntryCount,
}

impl<A: Copy + Ord> Posting<A> {
    /// The only way to a posting: the entries of each unit sum to zero and no account stands in it twice.
    pub fn new(kind: PostingKind, mut entries: Vec<Entry<A>>) -> Result<Self, PostingError> {
        if !(1..=255).contains(&entries.len()) {
            return Err(PostingError::EntryCount);
        }
        entries.sort_by_key(|it| it.account);
        if entries.windows(2).any(|pair| pair[0].account == pair[1].account) {
            return Err(PostingError::AccountTwice);
        }
        for entry in &entries {
            let sum: i128 =
                entries.iter().filter(|it| it.unit == entry.unit).map(|it| total(&it.change)).sum();
            if sum != 0 {
                return Err(PostingError::Unbalanced { unit: entry.unit, sum });
            }
        }
        Ok(Self { kind, entries })
    }

    /// What it does.
    pub fn kind(&self) -> PostingKind {
        self.kind
    }

    /// Its entries, in ascending order of account.
    pub fn entries(&self) -> &[Entry<A>] {
        &self.entries
    }
}

fn total(change: &Balances) -> i128 {
    i128::from(change.available) + i128::from(change.held) + i128::from(change.pending)
}
