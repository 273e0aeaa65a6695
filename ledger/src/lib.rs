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
//! A command is about the accounts of its request's unit. `Merge` and `SetStatus` too: they join or close one account of a member, and
//! those of other units stay as they are. What an operator may settle for all of a program is in its [`Terms`], and what events earn in
//! its [`RuleSets`]:
//!
//! | what is settled | where it is written | where it counts |
//! | --- | --- | --- |
//! | when points expire: never, a while after they were earned, or after idle time | [`Expiry`] | [`Terms::last_day`], [`Terms::last_idle_day`]; `Account::due` |
//! | days of grace for what a reversal gives back; the debt that one may bring | `grace_days`, `debt_max` | `reverse.rs` |
//! | what a member must keep | `floor` | `Desk::choose` in `spend.rs`, which every spend passes |
//! | limits of one posting, a day, a month, and a merchant's day | [`FlowLimits`] | `Desk::check_limits` and `Desk::count` in `decide.rs` |
//! | how long holds last | [`HoldPolicy`] | `hold.rs` |
//! | above which amount a second person approves | `approval_above` | adjustments in `operate.rs`, their reversals in `reverse.rs` |
//! | what becomes of a stranger's event | [`Strangers`] | `store` enrols before it decides, `ingest` lets wait what was refused; here a member is known or not |
//! | what an event earns, in how many decimals, and how it is rounded | [`RuleSet`] | [`RuleSet::earn`], before an `Earn` is asked for |
//! | what a point is worth | [`Rates`] | [`Item::rate`]: told with a posting, and no decision goes by it |
//!
//! Limits count what is begun: a hold when it is placed or increased, and not when it is captured; a pending earning at once. A void, a
//! lapse, a cancellation or a reversal gives nothing back.
//!
//! Three things hold for every command, in one place each:
//!
//! - *What is due is done first* ([`Books::decide`]): earnings mature, holds lapse and points expire before a request on
//!   their account is decided, and [`Account::when_due`] shows a reader the same (what finds breakage full stays, and is shown as
//!   expired). So under the same terms no balance of now, and no decision by it, depends on a sweep. Versions may, since what ends on
//!   several days is one entry where nothing was posted between; so may what balances were at an instant, since what was due takes
//!   effect when it is posted; and what is posted before the terms change goes by those of before.
//! - *A posting balances* ([`Posting::new`]), and an account's open lots make up what it holds (`Account::apply`).
//! - *A refusal changes nothing* but what had fallen due (`Books::undo`): a request's items are posted all, or none.
//!
//! A refusal is remembered under its key as [`Refusal::row`] says it. Where that has no row, as of what is malformed, is ahead of the
//! clock, lacks an approver or goes by a version that is out of date, the same key is decided anew; `store` does so with a few more.

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
