//! What a loyalty program may do, as functions from values to values: no I/O, no clock, no randomness of its own.
//!
//! An [`Event`] comes in and a [`RuleSet`] says what it earns; a [`Request`] is decided against the [`Books`], and
//! the answer is an [`Outcome`]: a [`Posting`] that balances, or a [`Refusal`].

#![warn(missing_docs)]

mod account;
mod books;
mod event;
mod points;
mod posting;
mod request;
mod rules;

#[cfg(test)]
mod tests;

pub use account::{Account, AccountKind, Limits};
pub use books::{Books, Outcome, Parties, Refusal, RefusalCode, is_ahead};
pub use event::{DEFAULT_SOURCE, Event, EventError};
pub use points::{HOUSE_LIMIT, MEMBER_LIMIT, Points, PointsError};
pub use posting::{Entry, Posting, PostingError};
pub use request::{Command, Fingerprint, MemberRef, Request};
pub use rules::{Earning, RuleError, RuleSet};
