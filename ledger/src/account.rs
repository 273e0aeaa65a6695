//! An account as a decision sees it: who it is, what it holds, and the entry that it had last.

use proof::{Balances, Hash};
use uuid::Uuid;

use crate::points::{HOUSE_LIMIT, MEMBER_LIMIT};

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A member's points of one unit.
    Member = 1,
    /// Points come from here.
    Issuance = 2,
    /// Points redeemed without a partner.
    Redemption = 3,
    /// Points that expired.
    Breakage = 4,
    /// Points redeemed with one partner.
    Settlement = 5,
    /// Points that are on a chain.
    Bridge = 6,
}

/// The lowest and the highest that an account's available balance may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The floor.
    pub min: i64,
    /// The ceiling.
    pub max: i64,
}

impl AccountKind {
    /// The kind of this number, as the database writes it.
    pub fn from_i16(kind: i16) -> Option<Self> {
        Some(match kind {
            1 => Self::Member,
            2 => Self::Issuance,
            3 => Self::Redemption,
            4 => Self::Breakage,
            5 => Self::Settlement,
            6 => Self::Bridge,
            _ => return None,
        })
    }

    /// The bounds of its available balance.
    pub fn limits(self) -> Limits {
        match self {
            Self::Member => Limits { min: 0, max: MEMBER_LIMIT },
            _ => Limits { min: -HOUSE_LIMIT, max: HOUSE_LIMIT },
        }
    }
}

/// One account's state: everything that the next entry depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The random name under which it stands in leaves.
    pub id: Uuid,
    /// What it is for.
    pub kind: AccountKind,
    /// The unit; 1 is the program's points.
    pub unit: u16,
    /// How many entries it has had.
    pub sequence: u64,
    /// What it holds.
    pub balances: Balances,
    /// Its last entry: the leaf and the commitment.
    pub last: Option<(u64, Hash)>,
}
