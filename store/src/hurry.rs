//! Leaves that are to be anchored soon: those that speak of the log's keys, and postings of a kind or an amount that their program has
//! marked, and those that were marked one by one. Nothing here stands in a batch's way: who anchors looks for them in what was committed.

use proof::{LeafKind, PostingKind};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;

/// Postings in a hurry in a stretch of the log, seen as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hurried {
    /// When the oldest was recorded, in milliseconds since 1970.
    pub oldest_ms: u64,
    /// The last one's leaf.
    pub last_leaf: u64,
}

#[derive(FromRow)]
struct HurriedRow {
    oldest_ms: Option<i64>,
    last_leaf: Option<i64>,
}

impl HurriedRow {
    fn hurried(self) -> Option<Hurried> {
        Some(Hurried { oldest_ms: self.oldest_ms? as u64, last_leaf: self.last_leaf? as u64 })
    }
}

/// Has every posting of this kind that changes a balance by so much anchored soon, or no longer. [`PostingKind::NONE`] is
/// any kind. Answers what it had to be before. The caller holds the program's lock.
pub async fn set_hurry_rule(
    conn: &mut PgConnection,
    program_id: i16,
    kind: PostingKind,
    amount_min: Option<u64>,
) -> Result<Option<u64>, StoreError> {
    let before: Option<i64> =
        sqlx::query_scalar("select amount_min from hurry_rule where program_id = $1 and kind = $2")
            .bind(program_id)
            .bind(i16::from(kind.0))
            .fetch_optional(&mut *conn)
            .await?;
    match amount_min {
        Some(amount) => {
            let set = "insert into hurry_rule (program_id, kind, amount_min)
                 values ($1, $2, $3)
                 on conflict on constraint hurry_rule_pk do update
                 set amount_min = excluded.amount_min";
            let amount = i64::try_from(amount).unwrap_or(i64::MAX);
            sqlx::query(set).bind(program_id).bind(i16::from(kind.0)).bind(amount).execute(conn).await?
        }
        None => {
            let forget = "delete from hurry_rule where program_id = $1 and kind = $2";
            sqlx::query(forget).bind(program_id).bind(i16::from(kind.0)).execute(conn).await?
        }
    };
    Ok(before.map(|it| it as u64))
}

/// Has one posting anchored soon. Answers its leaf, or nothing where there is no such posting.
pub async fn hurry_posting(conn: &mut PgConnection, posting_id: Uuid) -> Result<Option<u64>, StoreError> {
    let leaf_index: Option<i64> = sqlx::query_scalar(
        "with found as (
             select leaf_index from posting where posting_id = $1
         ), marked as (
             insert into hurried_posting (leaf_index)
             select leaf_index from found
             on conflict on constraint hurried_posting_pk do nothing
         )
         select leaf_index from found",
    )
    .bind(posting_id)
    .fetch_optional(conn)
    .await?;
    Ok(leaf_index.map(|it| it as u64))
}

/// The postings in these leaves that a program's rules have anchored soon.
pub async fn hurried_by_rule(
    conn: &mut PgConnection,
    begin: u64,
    end: u64,
) -> Result<Option<Hurried>, StoreError> {
    let row: HurriedRow = sqlx::query_as(
        "select min(recorded_at) / 1000 as oldest_ms, max(leaf_index) as last_leaf
         from posting
         where $1 <= leaf_index and leaf_index < $2
             and exists (
                 select from hurry_rule as rule
                 where rule.program_id = posting.program_id and rule.kind in (0, posting.kind)
                     and rule.amount_min <= (
                         select coalesce(max(greatest(abs(available_change), abs(held_change), abs(pending_change))), 0)
                         from entry
                         where entry.leaf_index = posting.leaf_index
                     )
             )",
    )
    .bind(begin as i64)
    .bind(end as i64)
    .fetch_one(conn)
    .await?;
    Ok(row.hurried())
}

/// The postings in these leaves that were marked one by one, and what is said of the log's keys, which chains are to hear of.
pub async fn hurried_by_mark(
    conn: &mut PgConnection,
    begin: u64,
    end: u64,
) -> Result<Option<Hurried>, StoreError> {
    let row: HurriedRow = sqlx::query_as(
        "select min(recorded_at) / 1000 as oldest_ms, max(leaf_index) as last_leaf
         from (
             select posting.leaf_index, posting.recorded_at
             from hurried_posting as marked
             join posting on posting.leaf_index = marked.leaf_index
             where $1 <= marked.leaf_index and marked.leaf_index < $2
             union all
             select leaf_index, declaration.recorded_at
             from declaration
             join leaf using (leaf_index)
             where $1 <= leaf_index and leaf_index < $2 and leaf.kind = $3
         ) as marked",
    )
    .bind(begin as i64)
    .bind(end as i64)
    .bind(LeafKind::Key as i16)
    .fetch_one(conn)
    .await?;
    Ok(row.hurried())
}

/// Whether this leaf is anchored soon.
pub async fn is_hurried(conn: &mut PgConnection, leaf_index: u64) -> Result<bool, StoreError> {
    let end = leaf_index + 1;
    Ok(hurried_by_mark(conn, leaf_index, end).await?.is_some()
        || hurried_by_rule(conn, leaf_index, end).await?.is_some())
}
