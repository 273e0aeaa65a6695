//! `books check`: recomputes everything from the rows and names the first thing that is wrong.
//!
//! It runs beside the service in three passes of short transactions, each in memory that does not grow with the number of
//! members: leaf by leaf up to the log's size of its beginning, outcome by outcome, and account by account ([`Walk`]), with a look
//! for lots and reservations of accounts that are no member's.
//! Across passes it keeps a bit for each leaf, and 24 bytes for each member who was ever suspended, closed or merged.
//!
//! Postings that are archived are read from their files (`begin_reading`), or nothing is checked.
//!
//! What it cannot recompute, because no posting tells it: what holds counted of a merchant's day of which nothing was captured;
//! of a request of several items, when what it set aside is due, which house an open hold is for before some of it was captured,
//! and whom it suspended or closed; under which key, and in which words, anything but an earning was asked for. Of a request of
//! one item the fingerprint in its outcome tells these, and no leaf tells the fingerprint.

mod accounts;
pub(crate) mod erasures;
mod leaves;
mod lots;
pub(crate) mod outcomes;
mod owners;
mod reversals;
mod shape;

use proof::Hash;
use sqlx::PgConnection;

use crate::error::StoreError;
use crate::history::History;
use crate::keyring::Keyring;
use crate::{archived, archives, log_head};

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BooksReport {
    /// Leaves, from 0 on, without a hole.
    pub leaves: u64,
    /// Entries.
    pub entries: u64,
    /// Those of them that nobody can open any more, because their member was erased.
    pub closed: u64,
    /// The root over all leaves.
    pub root: Hash,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is looking at: leaves, outcomes, accounts.
    pub what: &'static str,
    /// How many are done.
    pub done: u64,
    /// How many there are, about.
    pub total: u64,
}

/// Where progress is told.
pub type Watch<'a> = dyn FnMut(Progress) + Send + 'a;

/// What all passes go by.
struct Scope<'a> {
    keyring: Option<&'a Keyring>,
    /// The log's size when the check began.
    size: i64,
    history: History,
}

/// Recomputes the books: amounts, order, lots, reservations, limits, outcomes, commitments and the tree. Takes a connection
/// to itself; the service may go on meanwhile.
pub async fn check_books(conn: &mut PgConnection) -> Result<BooksReport, StoreError> {
    check_books_watched(conn, None, &mut |_| {}).await
}

/// The same, and opens every posting with the secrets: then no word and no event can differ from what was logged.
pub async fn check_books_opened(
    conn: &mut PgConnection,
    keyring: &Keyring,
) -> Result<BooksReport, StoreError> {
    check_books_watched(conn, Some(keyring), &mut |_| {}).await
}

/// The same, with or without the secrets, and tells how far it has come.
pub async fn check_books_watched(
    conn: &mut PgConnection,
    keyring: Option<&Keyring>,
    watch: &mut Watch<'_>,
) -> Result<BooksReport, StoreError> {
    archives::hold_still(conn).await?;
    let report = check_everything(conn, keyring, watch).await;
    let let_go = archives::let_move(conn).await;
    let report = report?;
    let_go.map(|()| report)
}

async fn check_everything(
    conn: &mut PgConnection,
    keyring: Option<&Keyring>,
    watch: &mut Watch<'_>,
) -> Result<BooksReport, StoreError> {
    archived::demand_all(conn).await?;
    // The size first: whatever was settled for a leaf below it is then read with it.
    let size = log_head::log_size(conn).await? as i64;
    let scope = Scope { keyring, size, history: History::read(conn).await? };
    let (mut report, asked) = leaves::check(conn, &scope, watch).await?;
    leaves::check_nothing_beyond(conn).await?;
    let told = outcomes::check(conn, &scope, asked, watch).await?;
    accounts::check(conn, &scope, told, watch).await?;
    owners::check(conn).await?;
    report.closed = erasures::check(conn, size).await?;
    Ok(report)
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Damaged(problem())) }
}
