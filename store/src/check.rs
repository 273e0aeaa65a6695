//! `books check`: recomputes everything from the rows and names the first thing that is wrong.

use std::collections::HashMap;

use proof::{Commitments, Frontier, Hash, LeafKind};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};

use crate::accounts::hash;
use crate::error::StoreError;
use crate::keyring::Keyring;
use crate::{log_head, postings, programs};

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BooksReport {
    /// Leaves, from 0 on, without a hole.
    pub leaves: u64,
    /// Entries.
    pub entries: u64,
    /// The root over all leaves.
    pub root: Hash,
}

/// How many leaves are read at a time.
const STRIDE: i64 = 10_000;
const OPENING_STRIDE: i64 = 1_000;

#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
struct Running {
    sequence: i64,
    available: i64,
    held: i64,
    pending: i64,
    leaf_index: i64,
    commitment: Hash,
}

struct EntryRow {
    leaf_index: i64,
    account_id: i64,
    unit: i16,
    running: Running,
    change: [i64; 3],
    previous_leaf_index: Option<i64>,
    previous_commitment: Option<Vec<u8>>,
}

impl FromRow<'_, PgRow> for EntryRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let commitment: Vec<u8> = row.try_get("commitment")?;
        Ok(Self {
            leaf_index: row.try_get("leaf_index")?,
            account_id: row.try_get("account_id")?,
            unit: row.try_get("unit")?,
            running: Running {
                sequence: row.try_get("sequence")?,
                available: row.try_get("available_after")?,
                held: row.try_get("held_after")?,
                pending: row.try_get("pending_after")?,
                leaf_index: row.try_get("leaf_index")?,
                commitment: commitment.try_into().unwrap_or_default(),
            },
            change: [
                row.try_get("available_change")?,
                row.try_get("held_change")?,
                row.try_get("pending_change")?,
            ],
            previous_leaf_index: row.try_get("previous_leaf_index")?,
            previous_commitment: row.try_get("previous_commitment")?,
        })
    }
}

#[derive(FromRow)]
struct LeafRow {
    leaf_index: i64,
    kind: i16,
    commitment: Vec<u8>,
    header_commitment: Option<Vec<u8>>,
    details_commitment: Option<Vec<u8>>,
    body_commitment: Option<Vec<u8>>,
}

/// Recomputes the books up to the log's size of now: amounts, order, commitments and the tree. Takes a connection to
/// itself; reads in order and bounded strides.
pub async fn check_books(conn: &mut PgConnection) -> Result<BooksReport, StoreError> {
    check_in_one_snapshot(conn, None).await
}

/// The same, and opens every posting with the secrets: then no word and no event can differ from what was logged.
pub async fn check_books_opened(
    conn: &mut PgConnection,
    keyring: &Keyring,
) -> Result<BooksReport, StoreError> {
    check_in_one_snapshot(conn, Some(keyring)).await
}

async fn check_in_one_snapshot(
    conn: &mut PgConnection,
    keyring: Option<&Keyring>,
) -> Result<BooksReport, StoreError> {
    // One snapshot for all reads, so that postings made meanwhile do not look like damage.
    sqlx::query("begin isolation level repeatable read read only").execute(&mut *conn).await?;
    let checked = check(conn, keyring).await;
    sqlx::query("rollback").execute(&mut *conn).await?;
    checked
}

async fn check(conn: &mut PgConnection, keyring: Option<&Keyring>) -> Result<BooksReport, StoreError> {
    let log = log_head::log_identity(conn).await?;
    let size = log_head::log_size(conn).await? as i64;
    let roots: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("select size, root from checkpoint order by size").fetch_all(&mut *conn).await?;
    let roots: HashMap<i64, Vec<u8>> = roots.into_iter().collect();
    let rules = programs::rule_sets(conn).await?;
    let mut accounts: HashMap<i64, Running> = HashMap::new();
    let mut frontier = Frontier::default();
    let mut entries_seen = 0;
    let mut begin = 0;
    while begin < size {
        let end = size.min(begin + STRIDE);
        let leaves = leaves_between(conn, begin, end).await?;
        let entries = entries_between(conn, begin, end).await?;
        entries_seen += entries.len() as u64;
        let mut entries = entries.into_iter().peekable();
        for (leaf_index, leaf) in (begin..).zip(&leaves) {
            ensure(leaf.leaf_index == leaf_index, || format!("leaf {leaf_index} is missing"))?;
            let mut commitments = Vec::new();
            let mut sums: HashMap<i16, i128> = HashMap::new();
            while let Some(entry) = entries.next_if(|it| it.leaf_index == leaf_index) {
                commitments.push(entry.running.commitment);
                *sums.entry(entry.unit).or_default() +=
                    entry.change.iter().copied().map(i128::from).sum::<i128>();
                follow(&mut accounts, &entry)?;
            }
            ensure(sums.values().all(|it| *it == 0), || {
                format!("the entries of leaf {leaf_index} do not sum to zero")
            })?;
            let encoded = rehash(leaf, commitments, log.log_id)?;
            frontier.push(proof::leaf_hash(&encoded), |_, _| {});
            if let Some(root) = roots.get(&(leaf_index + 1)) {
                ensure(root[..] == frontier.root(), || {
                    format!("the checkpoint of size {} was signed over another history", leaf_index + 1)
                })?;
            }
        }
        ensure(leaves.len() as i64 == end - begin, || {
            format!("leaf {} is missing", begin + leaves.len() as i64)
        })?;
        ensure(entries.peek().is_none(), || {
            format!("an entry between {begin} and {end} belongs to no leaf")
        })?;
        if let Some(keyring) = keyring {
            // Events may be long: fewer at a time.
            for first in (begin..end).step_by(OPENING_STRIDE as usize) {
                let last = end.min(first + OPENING_STRIDE);
                postings::check_openings(conn, keyring, &log, &rules, first, last).await?;
            }
        }
        begin = end;
    }
    check_nothing_beyond(conn, size).await?;
    check_balances(conn, &accounts).await?;
    check_outcomes(conn).await?;
    Ok(BooksReport { leaves: size as u64, entries: entries_seen, root: frontier.root() })
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Damaged(problem())) }
}

async fn leaves_between(conn: &mut PgConnection, begin: i64, end: i64) -> Result<Vec<LeafRow>, StoreError> {
    let rows = sqlx::query_as(
        "select leaf_index, leaf.kind, leaf.commitment, header_commitment, details_commitment, body_commitment
         from leaf
         left join posting using (leaf_index)
         where leaf_index >= $1
             and leaf_index < $2
         order by leaf_index",
    )
    .bind(begin)
    .bind(end)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

async fn entries_between(conn: &mut PgConnection, begin: i64, end: i64) -> Result<Vec<EntryRow>, StoreError> {
    let rows = sqlx::query_as(
        "select entry.*, account.unit
         from entry
         join account using (account_id)
         where leaf_index >= $1
             and leaf_index < $2
         order by leaf_index, ordinal",
    )
    .bind(begin)
    .bind(end)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// An entry follows the account's entry before it: the next sequence, balances that add up, and the right name of it.
fn follow(accounts: &mut HashMap<i64, Running>, entry: &EntryRow) -> Result<(), StoreError> {
    let Running { sequence, .. } = entry.running;
    let at = |problem: &str| {
        StoreError::Damaged(format!(
            "entry {sequence} of account {} at leaf {}: {problem}",
            entry.account_id, entry.leaf_index
        ))
    };
    let before = accounts.get(&entry.account_id);
    let base = before.copied().unwrap_or_default();
    if sequence != base.sequence + 1 {
        return Err(at("its sequence leaves a hole"));
    }
    let expected = [
        base.available.checked_add(entry.change[0]),
        base.held.checked_add(entry.change[1]),
        base.pending.checked_add(entry.change[2]),
    ];
    if expected != [Some(entry.running.available), Some(entry.running.held), Some(entry.running.pending)] {
        return Err(at("its balances do not follow from the entry before"));
    }
    if entry.previous_leaf_index != before.map(|it| it.leaf_index)
        || entry.previous_commitment.as_deref() != before.map(|it| &it.commitment[..])
    {
        return Err(at("it does not name the entry before"));
    }
    accounts.insert(entry.account_id, entry.running);
    Ok(())
}

fn rehash(leaf: &LeafRow, entries: Vec<Hash>, log_id: Hash) -> Result<[u8; proof::LEAF_BYTES], StoreError> {
    let at = |problem: &str| StoreError::Damaged(format!("leaf {}: {problem}", leaf.leaf_index));
    let kind =
        u8::try_from(leaf.kind).ok().and_then(LeafKind::from_u8).ok_or_else(|| at("its kind is unknown"))?;
    let commitment = hash(&leaf.commitment)?;
    if [LeafKind::Posting, LeafKind::Withdrawal].contains(&kind) {
        let (Some(header), Some(details)) = (&leaf.header_commitment, &leaf.details_commitment) else {
            return Err(at("it has no posting"));
        };
        let body = leaf.body_commitment.as_deref().map(hash).transpose()?;
        let parts = Commitments { header: hash(header)?, details: hash(details)?, body, entries };
        if parts.commitment() != commitment {
            return Err(at("its commitment is not that of its parts"));
        }
    }
    Ok(proof::Leaf { kind, log_id, leaf_index: leaf.leaf_index as u64, commitment }.encode())
}

async fn check_nothing_beyond(conn: &mut PgConnection, size: i64) -> Result<(), StoreError> {
    let beyond: i64 = sqlx::query_scalar(
        "select (select count(*) from leaf where leaf_index >= $1)
             + (select count(*) from posting where leaf_index >= $1)
             + (select count(*) from entry where leaf_index >= $1)
             + (select count(*) from checkpoint where size > $1)",
    )
    .bind(size)
    .fetch_one(conn)
    .await?;
    ensure(beyond == 0, || format!("there are rows beyond the log's size of {size}"))
}

async fn check_balances(conn: &mut PgConnection, accounts: &HashMap<i64, Running>) -> Result<(), StoreError> {
    let mut after = 0_i64;
    let mut with_entries = 0;
    loop {
        let rows: Vec<PgRow> =
            sqlx::query("select * from balance where account_id > $1 order by account_id limit $2")
                .bind(after)
                .bind(STRIDE)
                .fetch_all(&mut *conn)
                .await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("account_id")?;
        for row in &rows {
            let account_id: i64 = row.try_get("account_id")?;
            let commitment: Option<Vec<u8>> = row.try_get("last_commitment")?;
            let stored = Running {
                sequence: row.try_get("sequence")?,
                available: row.try_get("available")?,
                held: row.try_get("held")?,
                pending: row.try_get("pending")?,
                leaf_index: row.try_get::<Option<i64>, _>("last_leaf_index")?.unwrap_or_default(),
                commitment: commitment.map_or(Ok(Hash::default()), |it| hash(&it))?,
            };
            let folded = accounts.get(&account_id);
            with_entries += usize::from(folded.is_some());
            ensure(stored == folded.copied().unwrap_or_default(), || {
                format!("the balance of account {account_id} is not what its entries come to")
            })?;
        }
    }
    ensure(with_entries == accounts.len(), || "an account with entries has no balance".to_owned())
}

/// Every accepted outcome names its posting, and every posting has its outcome.
async fn check_outcomes(conn: &mut PgConnection) -> Result<(), StoreError> {
    let stray: Option<i64> = sqlx::query_scalar(
        "select coalesce(posting.leaf_index, accepted.leaf_index)
         from posting
         full join (select * from outcome where leaf_index is not null) as accepted
             on accepted.leaf_index = posting.leaf_index
             and accepted.posting_id = posting.posting_id
             and accepted.program_id = posting.program_id
         where posting.leaf_index is null
             or accepted.leaf_index is null
         limit 1",
    )
    .fetch_optional(&mut *conn)
    .await?;
    ensure(stray.is_none(), || {
        format!("leaf {} and its outcome do not name each other", stray.unwrap_or_default())
    })?;
    let untrue: Option<i64> = sqlx::query_scalar(
        "select outcome.leaf_index
         from outcome
         left join lateral (
             select entry.available_change, entry.available_after
             from entry
             join account using (account_id)
             where entry.leaf_index = outcome.leaf_index
                 and account.kind = 1
         ) as theirs on true
         where outcome.leaf_index is not null
             and (abs(theirs.available_change), theirs.available_after)
                 is distinct from (outcome.points, outcome.available)
         limit 1",
    )
    .fetch_optional(conn)
    .await?;
    ensure(untrue.is_none(), || {
        format!("what was answered for leaf {} is not what its entry says", untrue.unwrap_or_default())
    })
}
