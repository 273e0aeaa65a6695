//! A posting with what became of it: what goes on from it, or undoes it.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::archived;
use crate::error::StoreError;
use crate::feed::{Fed, POSTINGS, PostingRow, with_entries};

/// A posting and its consequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The posting.
    pub posting: Fed,
    /// What went on from it or undid it, in the order of the log.
    pub later: Vec<Fed>,
}

/// The story of a posting of this program; `None` where there is none.
pub async fn story(
    conn: &mut PgConnection,
    program_id: i16,
    posting_id: Uuid,
) -> Result<Option<Story>, StoreError> {
    let mut look = archived::look(conn).await?;
    let conn = &mut *look;
    let statement = format!(
        "{POSTINGS}
         where posting.program_id = $2
             and (posting.posting_id = $1 or posting.follows = $1 or posting.reverses = $1)
         order by posting.leaf_index"
    );
    let rows: Vec<PostingRow> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(posting_id)
        .bind(program_id)
        .fetch_all(&mut *conn)
        .await?;
    let mut all = with_entries(&mut *conn, rows).await?;
    let Some(place) = all.iter().position(|it| it.posting_id == posting_id) else {
        archived::demand_postings(conn, &[(program_id, posting_id)]).await?;
        look.rollback().await?;
        return Ok(None);
    };
    look.rollback().await?;
    let posting = all.remove(place);
    Ok(Some(Story { posting, later: all }))
}

/// Holds that stand and were placed for a review. Kind and reason as `posting_for_review` has them: it serves where they are known
/// beforehand.
pub(crate) const FOR_REVIEW: &str = "select posting.leaf_index, reservation.due_at
     from reservation
     join posting using (posting_id)
     where reservation.kind = 1
         and reservation.due_at > greatest(
             (select recorded_at from log_head),
             (extract(epoch from clock_timestamp()) * 1000000)::bigint
         ) + coalesce((select max(ahead_us) from sandbox_clock where sandbox_clock.program_id = $1), 0)
         and posting.program_id = $1
         and posting.kind = 7
         and posting.reason = 'screening: held for review'
         and posting.leaf_index >= $2
     order by posting.leaf_index
     limit $3";

/// The program's holds that stand and were placed for a review, from this leaf on, with the microsecond at which each lapses.
pub async fn holds_for_review(
    conn: &mut PgConnection,
    program_id: i16,
    first_leaf_index: u64,
    limit: u32,
) -> Result<Vec<(Fed, i64)>, StoreError> {
    let due: Vec<(i64, i64)> = sqlx::query_as(FOR_REVIEW)
        .bind(program_id)
        .bind(i64::try_from(first_leaf_index).unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await?;
    let statement = format!("{POSTINGS} where posting.leaf_index = any($1) order by posting.leaf_index");
    let rows: Vec<PostingRow> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(due.iter().map(|it| it.0).collect::<Vec<_>>())
        .fetch_all(&mut *conn)
        .await?;
    let postings = with_entries(conn, rows).await?;
    Ok(postings.into_iter().zip(due.into_iter().map(|it| it.1)).collect())
}

/// Until when a hold stands, or when an earning matures, in microseconds; `None` where it is over or has no end.
pub async fn due_at(conn: &mut PgConnection, posting_id: Uuid) -> Result<Option<i64>, StoreError> {
    let due: Option<Option<i64>> = sqlx::query_scalar("select due_at from reservation where posting_id = $1")
        .bind(posting_id)
        .fetch_optional(conn)
        .await?;
    Ok(due.flatten())
}
