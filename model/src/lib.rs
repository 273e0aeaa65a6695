//! The books again, written for clarity: the reference that `ledger` and `store` are compared with.
//!
//! A [`Model`] keeps each member's points as a list of [`Piece`]s and knows nothing of SQL, batches or undo: it tries a
//! request on a copy of what the request concerns, and throws the copy away where the request is refused. What a posting
//! changed is found by comparing what was there before with what is there after. Of `ledger` it uses the plain types of
//! requests, refusals and terms, and nothing that decides.
//!
//! A [`Generator`] makes random requests from a seed, one after the other, for whoever decides them; [`shrink`] makes a
//! failing list of them short.

mod attempt;
mod commands;
mod generate;
mod shrink;
mod state;

pub use attempt::{Answer, Effect, Model};
pub use generate::{Generator, PROGRAM, Random, houses, member, random_policy};
pub use shrink::shrink;
pub use state::{House, Member, Piece, Place, SetAside};
