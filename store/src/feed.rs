//! The feed: postings in the order of the log, each with all its entries and the partner who asked for it. All of it comes
//! from rows that never change, so none of it takes a lock.

use ledger::AccountKind;
use proof::{Balances, PostingKind};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::amounts::Amounts;
use crate::archived;
use crate::error::StoreError;
use crate::log_head;

/// A page looks at no more leaves than this, however few of them are the program's: it is an answer in bounded time.
const SPAN_MAX: u64 = 10_000;

/// A posting as the feed tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Its leaf.
    pub leaf_index: u64,
    /// Its id.
    pub posting_id: Uuid,
    /// What it does.
    pub kind: PostingKind,
    /// When it was recorded, in microseconds since 1970.
    pub recorded_at_us: i64,
    /// From when it counts.
    pub effective_at_us: i64,
    /// The posting that it undoes.
    pub reverses: Option<Uuid>,
    /// The hold or the pending earning that it goes on from.
    pub follows: Option<Uuid>,
    /// What the merchant calls it.
    pub merchant_reference: Option<String>,
    /// Why it was done.
    pub reason: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// What a point was worth, as `<decimal> <currency>`.
    pub rate: Option<String>,
    /// The partner who asked for it, or for the posting that it goes on from or undoes.
    pub partner_id: Option<String>,
    /// What it did to each account. An administrative act has none.
    pub entries: Vec<FedEntry>,
}

/// An account's side of a posting, as the feed tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedEntry {
    /// The account's name in leaves.
    pub account: Uuid,
    /// What it is for.
    pub kind: AccountKind,
    /// Whose it is, of a member.
    pub member_id: Option<Uuid>,
    /// Whose it is, of a partner.
    pub partner_id: Option<String>,
    /// The unit.
    pub unit: u16,
    /// The account's version after it.
    pub version: u64,
    /// What it changed.
    pub change: Balances,
    /// What that came to.
    pub after: Balances,
}

/// A part of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// The postings, in the order of the log.
    pub postings: Vec<Fed>,
    /// Where to go on: nothing before it is missing.
    pub next_leaf_index: u64,
    /// How many leaves the log had: there is more where this is further.
    pub log_size: u64,
}

#[derive(FromRow)]
pub(crate) struct PostingRow {
    leaf_index: i64,
    posting_id: Uuid,
    kind: i16,
    recorded_at: i64,
    effective_at: i64,
    reverses: Option<Uuid>,
    follows: Option<Uuid>,
    merchant_reference: Option<String>,
    reason: Option<String>,
    description: Option<String>,
    rate: Option<String>,
    actor: Option<String>,
    first_actor: Option<String>,
}

#[derive(FromRow)]
struct EntryRow {
    leaf_index: i64,
    account: Uuid,
    kind: i16,
    member_id: Option<Uuid>,
    partner_id: Option<String>,
    unit: i16,
    sequence: i64,
    #[sqlx(flatten)]
    amounts: Amounts,
}

// Of what goes on from another posting, or undoes it, also who had asked for that one. The limit keeps the planner from
// joining all postings with all postings.
pub(crate) const POSTINGS: &str = "
select posting.leaf_index, posting.posting_id, posting.kind, posting.recorded_at, posting.effective_at,
    posting.reverses, posting.follows, posting.merchant_reference, posting.reason, posting.description, posting.rate,
    posting.actor, origin.actor as first_actor
from posting
left join lateral (
    select actor
    from posting as first
    where first.posting_id = coalesce(posting.follows, posting.reverses)
        and first.program_id = posting.program_id
    limit 1
) as origin on true
";

/// A program's postings from this leaf on, at most so many. Whoever goes on at the page's `next_leaf_index` misses nothing
/// and sees nothing twice. A page may be empty although there is more.
pub async fn feed(
    conn: &mut PgConnection,
    program_id: i16,
    first_leaf_index: u64,
    limit: u32,
) -> Result<FeedPage, StoreError> {
    // Every leaf below the committed size is committed: there are no holes to wait for.
    let log_size = log_head::log_size(conn).await?;
    let first = i64::try_from(first_leaf_index).unwrap_or(i64::MAX);
    archived::demand_since(conn, first).await?;
    let end = log_size.min(first_leaf_index.saturating_add(SPAN_MAX)).max(first_leaf_index);
    if end == first_leaf_index {
        return Ok(FeedPage { postings: vec![], next_leaf_index: first_leaf_index, log_size });
    }
    let statement = format!(
        "{POSTINGS}
         where posting.leaf_index >= $1
             and posting.leaf_index < $2
             and posting.program_id = $3
         order by posting.leaf_index
         limit $4"
    );
    let rows: Vec<PostingRow> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(first)
        .bind(i64::try_from(end).unwrap_or(i64::MAX))
        .bind(program_id)
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await?;
    let next_leaf_index = match rows.last() {
        Some(last) if rows.len() == limit as usize => last.leaf_index as u64 + 1,
        _ => end,
    };
    let postings = with_entries(conn, rows).await?;
    // What has begun to move meanwhile may be missing among them.
    archived::demand_since(conn, first).await?;
    Ok(FeedPage { postings, next_leaf_index, log_size })
}

/// The postings that brought this account to the versions after `version`, at most so many, in order.
pub async fn feed_of(
    conn: &mut PgConnection,
    account: i64,
    version: u64,
    limit: u32,
) -> Result<Vec<Fed>, StoreError> {
    let mut look = archived::look(conn).await?;
    let conn = &mut *look;
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    let places: Vec<(i64, i64)> = sqlx::query_as(
        "select sequence, leaf_index
         from entry
         where account_id = $1
             and sequence > $2
         order by sequence
         limit $3",
    )
    .bind(account)
    .bind(version)
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    archived::demand_versions(conn, account, version, places.iter().map(|it| it.0), i64::from(limit)).await?;
    let indexes: Vec<i64> = places.into_iter().map(|it| it.1).collect();
    let statement = format!("{POSTINGS} where posting.leaf_index = any($1) order by posting.leaf_index");
    let rows: Vec<PostingRow> =
        sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(indexes).fetch_all(&mut *conn).await?;
    let fed = with_entries(conn, rows).await?;
    look.rollback().await?;
    Ok(fed)
}

pub(crate) async fn with_entries(
    conn: &mut PgConnection,
    postings: Vec<PostingRow>,
) -> Result<Vec<Fed>, StoreError> {
    let entries: Vec<EntryRow> = sqlx::query_as(
        "select entry.leaf_index, account.id as account, account.kind, account.member_id, account.partner_id,
             account.unit, entry.sequence,
             entry.available_change, entry.held_change, entry.pending_change,
             entry.available_after, entry.held_after, entry.pending_after
         from entry
         -- The limit keeps the planner from reading all accounts.
         cross join lateral (select * from account where account.account_id = entry.account_id limit 1) as account
         where leaf_index = any($1)
         order by leaf_index, ordinal",
    )
    .bind(postings.iter().map(|it| it.leaf_index).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut entries = entries.into_iter().peekable();
    let mut fed = Vec::with_capacity(postings.len());
    for posting in postings {
        let own = std::iter::from_fn(|| entries.next_if(|it| it.leaf_index == posting.leaf_index));
        let own = own.map(EntryRow::read).collect::<Result<_, _>>()?;
        fed.push(posting.read(own));
    }
    Ok(fed)
}

impl PostingRow {
    fn read(self, entries: Vec<FedEntry>) -> Fed {
        let partner = |actor: Option<String>| actor?.strip_prefix("partner:").map(str::to_owned);
        Fed {
            leaf_index: self.leaf_index as u64,
            posting_id: self.posting_id,
            kind: PostingKind(self.kind as u8),
            recorded_at_us: self.recorded_at,
            effective_at_us: self.effective_at,
            reverses: self.reverses,
            follows: self.follows,
            merchant_reference: self.merchant_reference,
            reason: self.reason,
            description: self.description,
            rate: self.rate,
            partner_id: partner(self.actor).or_else(|| partner(self.first_actor)),
            entries,
        }
    }
}

impl EntryRow {
    fn read(self) -> Result<FedEntry, StoreError> {
        let unknown = || StoreError::Damaged(format!("the account {} is of no kind", self.account));
        Ok(FedEntry {
            account: self.account,
            kind: AccountKind::from_i16(self.kind).ok_or_else(unknown)?,
            member_id: self.member_id,
            partner_id: self.partner_id,
            unit: self.unit as u16,
            version: self.sequence as u64,
            change: self.amounts.change(),
            after: self.amounts.after(),
        })
    }
}
