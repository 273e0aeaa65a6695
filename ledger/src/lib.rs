//! What a loyalty program may do, as functions from values to values: no I/O, no clock, no randomness of its own.
//!
//! An [`Event`] comes in and a [`RuleSet`] says what it earns. A [`Request`] is decided against the [`Books`] under the
//! program's [`Terms`]: the [`Decision`] is a list of [`Posting`]s that balance, and for each item what came of it, or a
//! [`Refusal`]. Each posting becomes a leaf: a commitment to it, and to the balances after it, in the public log. Kinds,
//! balances, movements of lots and the words of a leaf are `proof`'s. `store` remembers keys, enrols members, and brings in the
//! accounts that a request names. A [`Command`] is anything that can be asked:
//!
//! | subject | commands | file |
//! | --- | --- | --- |
//! | what comes to a member | `Earn` (at once, later or on confirmation), `Confirm`, `Cancel`, `Import`, `Deposit` | `earn.rs` |
//! | what goes from a member | `Redeem` (exactly or up to), `Transfer`, `Withdraw` | `spend.rs` |
//! | what is set aside | `Hold`, `Capture`, `Void`, `Increase`, `Prolong` | `hold.rs` |
//! | what is undone | `Reverse` | `reverse.rs` |
//! | what an operator does | `Adjust`, `Extend`, `Merge`, `SetStatus`, `Budget`, `ExpireOnChain` | `operate.rs` |
//! | what is due, and nothing else | `Settle`, which the sweep alone asks | `decide.rs` |
//!
//! A posting's kind is its command's name, but for these: `Confirm` posts a `mature`, `Prolong` an `extend`, `Budget` an
//! `adjust`, `SetStatus` an `act`, `ExpireOnChain` an `expire`, a `Redeem` that somebody must look at a `hold`. What falls due is
//! a `mature`, a `lapse` or an `expire`.
//!
//! Three things hold for every one of them, in one place each:
//!
//! - *What is due is done first* ([`Books::decide`]): earnings mature, holds lapse and points expire before a request on
//!   their account is decided, and [`Account::when_due`] shows a reader the same. So under the same terms no balance of now, and
//!   no decision by it, depends on a sweep. Versions may, since what ends on several days is one entry where nothing was posted
//!   between; so may what balances were at an instant, since what was due takes effect when it is posted; and what is posted before
//!   the terms change goes by those of before.
//! - *A posting balances* ([`Posting::new`]), and an account's open lots make up what it holds (`Account::apply`).
//! - *A refusal changes nothing* but what had fallen due (`Books::undo`): a request's items are posted all, or none.

#![warn(missing_docs)]

mod account;
mod books;
mod day;
mod decide;
mod earn;
mod event;
mod hold;
mod operate;
mod points;
mod policy;
mod posting;
mod rates;
mod refusal;
mod request;
mod reverse;
mod rules;
mod side;
mod spend;

#[cfg(test)]
mod tests;

pub use account::{
    Account, AccountKind, Flow, Fund, Lot, Parts, Reservation, ReservationKind, Status, Tally, Used,
};
pub use books::{Books, Claim, Decision, Done, Original, Refused};
pub use day::{Day, Moment, Stretch, Zone};
pub use earn::is_ahead;
pub use event::{DEFAULT_SOURCE, Event, EventError};
pub use points::{HOUSE_LIMIT, MEMBER_LIMIT, Points, PointsError};
pub use policy::{Expiry, FlowLimits, Gateway, HoldPolicy, Limit, Policy, PolicyError, Strangers, Terms};
pub use posting::{Entry, Posting, PostingError};
pub use rates::{Rate, Rates};
pub use refusal::{Refusal, RefusalRow};
pub use request::{
    Command, Destination, Differences, Fingerprint, HELD_FOR_REVIEW, House, Item, Maturity, MemberRef, Name,
    Request, Screening,
};
pub use rules::{Earning, Rounding, RuleDocument, RuleError, RuleSet, RuleSets};
pub use side::due_id;
