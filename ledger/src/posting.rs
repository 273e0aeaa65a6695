//! A posting: a balanced set of entries. One that does not balance cannot be built.

use proof::{Balances, LotMovement, PostingKind, Withdrawal};
use uuid::Uuid;

use crate::account::total;

/// One account's side of a posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The account.
    pub account: Uuid,
    /// The unit.
    pub unit: u16,
    /// Its number in the account, from 1, without holes.
    pub sequence: u64,
    /// What changes.
    pub change: Balances,
    /// What it comes to.
    pub after: Balances,
    /// Which lots change, in ascending order of id.
    pub lots: Vec<LotMovement>,
}

/// A balanced set of entries, atomic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    kind: PostingKind,
    entries: Vec<Entry>,
    /// Its id, which the API calls `transaction_id`.
    pub id: Uuid,
    /// From when it counts, in microseconds since 1970, by the program's clock; never after it is recorded, by that clock.
    pub effective_at_us: i64,
    /// The posting that it reverses.
    pub reverses: Option<Uuid>,
    /// The hold or the pending earning that it goes on from.
    pub follows: Option<Uuid>,
    /// The item of the request that asked for it; of what had fallen due, none.
    pub item: Option<usize>,
    /// What a contract pays out against it.
    pub withdrawal: Option<Withdrawal>,
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
    /// None where it is no act, some where it is one, or more than a leaf can commit to.
    #[error("a posting has 1 to 255 entries, an administrative act none")]
    EntryCount,
}

impl Posting {
    /// The only way to a posting: the entries of each unit sum to zero and no account stands in it twice.
    pub fn new(kind: PostingKind, id: Uuid, mut entries: Vec<Entry>) -> Result<Self, PostingError> {
        let count = if kind == PostingKind::ACT { 0..=0 } else { 1..=255 };
        if !count.contains(&entries.len()) {
            return Err(PostingError::EntryCount);
        }
        entries.sort_by_key(|it| it.account);
        if entries.windows(2).any(|pair| pair[0].account == pair[1].account) {
            return Err(PostingError::AccountTwice);
        }
        for entry in &entries {
            let same = entries.iter().filter(|it| it.unit == entry.unit);
            let sum: i128 = same.map(|it| i128::from(total(&it.change))).sum();
            if sum != 0 {
                return Err(PostingError::Unbalanced { unit: entry.unit, sum });
            }
        }
        Ok(Self {
            kind,
            entries,
            id,
            effective_at_us: 0,
            reverses: None,
            follows: None,
            item: None,
            withdrawal: None,
        })
    }

    /// What it does.
    pub fn kind(&self) -> PostingKind {
        self.kind
    }

    /// Its entries, in ascending order of account.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
