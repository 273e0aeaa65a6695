//! The books again, written for clarity: the reference that `ledger` and `store` are compared with.
//!
//! A [`Model`] keeps each member's points as a list of [`Piece`]s and knows nothing of SQL, batches or undo: it tries a
//! request on a copy of what the request concerns, and throws the copy away where the request is refused. What a posting
//! changed is found by comparing what was there before with what is there after. Of `ledger` it uses the plain types of
//! requests, refusals and terms, what a command names, the order of `Lot`s, and the calendar: `Terms::last_day`, `Terms::last_idle_day`
//! and `Day::plus`; the dates of `Terms::moment` come from whoever drives it. By these it knows what has ended, and a mistake in them
//! both sides make alike: `ledger`'s own tests look for it. All else that decides is written again here.
//!
//! To replay a log: open its accounts, and in leaf order decide each accepted request at its recorded time, under the
//! terms that held. What was due before a request that was then refused, or for a sweep, was posted without one: it is
//! decided as `Command::Settle` of its account. The log's postings are then the effects, one after the other, and a
//! refusal is explained where the model, at a log size between the call and its answer, gives the same on a dry run.
//!
//! A [`Generator`] makes random requests from a seed, one after the other or in waves, for whoever decides them;
//! [`shrink`] makes a failing list of them short.

mod attempt;
mod commands;
mod generate;
mod shrink;
mod state;

pub use attempt::{Answer, Effect, Model};
pub use generate::{
    Generator, PROGRAM, RULES, Random, gateway, gateway_terms, houses, is_paid, member, random_policy,
};
pub use shrink::shrink;
pub use state::{Chains, House, Member, Piece, Place, SetAside};
