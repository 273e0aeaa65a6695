//! The books as one batch of decisions sees them. Each decision sees the effect of the one before.

use std::collections::HashMap;

use proof::{Balances, Hash, NO_LEAF, PostingKind};
use uuid::Uuid;

use crate::account::Account;
use crate::event::Event;
use crate::points::Points;
use crate::posting::{Entry, Posting};
use crate::request::Command;

/// An event's time may be this far ahead of ours, for clocks that are not quite right: five minutes.
const AHEAD_US_MAX: i64 = 5 * 60 * 1_000_000;

/// Whether the event is too far ahead of the time `now_us` to be taken.
pub fn is_ahead(event: &Event, now_us: i64) -> bool {
    now_us.saturating_add(AHEAD_US_MAX) < event.timestamp_us
}

/// The accounts that a decision is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    /// The member's account.
    pub member: Uuid,
    /// The house account on the other side.
    pub house: Uuid,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was posted.
    Accepted {
        /// The posting.
        posting_id: Uuid,
        /// Its leaf.
        leaf_index: u64,
        /// How much moved.
        points: i64,
        /// The member's available points after it.
        available: i64,
    },
    /// It was refused.
    Refused(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such member, and none may be enrolled.
    #[error("the member is not known")]
    MemberUnknown,
    /// No such partner.
    #[error("the partner is not known")]
    PartnerUnknown,
    /// More is asked than is available.
    #[error("{required} points are asked and {available} are available")]
    InsufficientBalance {
        /// What is available.
        available: i64,
        /// What is asked.
        required: i64,
    },
    /// A balance would exceed its limit.
    #[error("a balance would exceed its limit")]
    LimitExceeded,
    /// It would take effect in the future.
    #[error("it would take effect more than five minutes from now")]
    InFuture,
    /// The same key came with another request.
    #[error("the key was used for another request")]
    KeyReused,
}

/// A refusal's number in the database: stable for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum RefusalCode {
    /// [`Refusal::MemberUnknown`]
    MemberUnknown = 1,
    /// [`Refusal::PartnerUnknown`]
    PartnerUnknown = 2,
    /// [`Refusal::InsufficientBalance`]
    InsufficientBalance = 3,
    /// [`Refusal::LimitExceeded`]
    LimitExceeded = 4,
}

impl Refusal {
    /// The number under which it is remembered with its key, if it depended on state; what is malformed is decided
    /// anew each time.
    pub fn remembered_as(&self) -> Option<RefusalCode> {
        match self {
            Self::MemberUnknown => Some(RefusalCode::MemberUnknown),
            Self::PartnerUnknown => Some(RefusalCode::PartnerUnknown),
            Self::InsufficientBalance { .. } => Some(RefusalCode::InsufficientBalance),
            Self::LimitExceeded => Some(RefusalCode::LimitExceeded),
            Self::InFuture | Self::KeyReused => None,
        }
    }

    /// The refusal that was remembered under this number, with the amounts that were kept beside it.
    pub fn recall(code: i16, available: i64, required: i64) -> Option<Self> {
        Some(match code {
            1 => Self::MemberUnknown,
            2 => Self::PartnerUnknown,
            3 => Self::InsufficientBalance { available, required },
            4 => Self::LimitExceeded,
            _ => return None,
        })
    }
}

/// The accounts of one batch, by the id under which they stand in leaves.
#[derive(Debug, Default)]
pub struct Books {
    accounts: HashMap<Uuid, Account>,
}

impl Books {
    /// Brings an account in, as it stands under its lock.
    pub fn insert(&mut self, account: Account) {
        self.accounts.insert(account.id, account);
    }

    /// An account that was brought in.
    ///
    /// # Panics
    /// If it was not.
    pub fn account(&self, id: Uuid) -> &Account {
        &self.accounts[&id]
    }

    /// Decides a command between accounts that were brought in, at the recorded time `now_us`.
    pub fn decide(&self, command: &Command, parties: Parties, now_us: i64) -> Result<Posting<Uuid>, Refusal> {
        let (kind, points, member_gains) = match command {
            Command::Earn { points, event, .. } => {
                if is_ahead(event, now_us) {
                    return Err(Refusal::InFuture);
                }
                (PostingKind::EARN, *points, true)
            }
            Command::Redeem { points, .. } => (PostingKind::REDEEM, *points, false),
        };
        let member = if member_gains { points.get() } else { -points.get() };
        self.check_bounds(parties.member, member, points)?;
        self.check_bounds(parties.house, -member, points)?;
        let entry = |account: Uuid, available: i64| Entry {
            account,
            unit: self.account(account).unit,
            change: Balances { available, held: 0, pending: 0 },
        };
        let entries = vec![entry(parties.member, member), entry(parties.house, -member)];
        Ok(Posting::new(kind, entries).expect("one side's change is the other's, negated"))
    }

    fn check_bounds(&self, account: Uuid, change: i64, points: Points) -> Result<(), Refusal> {
        let account = self.account(account);
        let (limits, available) = (account.kind.limits(), account.balances.available);
        // Both are below 2^62, so the sum is an i64.
        let after = available + change;
        if change < 0 && after < limits.min {
            return Err(Refusal::InsufficientBalance { available, required: points.get() });
        }
        if limits.max < after || after < limits.min { Err(Refusal::LimitExceeded) } else { Ok(()) }
    }

    /// The entries of a posting as its leaf will commit to them, in ascending order of account id.
    pub fn leaf_entries(&self, posting: &Posting<Uuid>) -> Vec<proof::Entry> {
        let entry = |it: &Entry<Uuid>| {
            let account = self.account(it.account);
            let (previous_leaf_index, previous_commitment) =
                account.last.unwrap_or((NO_LEAF, Hash::default()));
            proof::Entry {
                account: account.id.into_bytes(),
                unit: account.unit,
                sequence: account.sequence + 1,
                change: it.change,
                after: Balances {
                    available: account.balances.available + it.change.available,
                    held: account.balances.held + it.change.held,
                    pending: account.balances.pending + it.change.pending,
                },
                lots_digest: Hash::default(),
                previous_leaf_index,
                previous_commitment,
            }
        };
        posting.entries().iter().map(entry).collect()
    }

    /// Takes an entry into the books: the next decision sees it.
    pub fn apply(&mut self, entry: &proof::Entry, leaf_index: u64, commitment: Hash) {
        let id = Uuid::from_bytes(entry.account);
        let account = self.accounts.get_mut(&id).expect("an entry's account was brought in");
        assert_eq!(account.sequence + 1, entry.sequence, "entries are applied in order");
        account.sequence = entry.sequence;
        account.balances = entry.after;
        account.last = Some((leaf_index, commitment));
    }
}
