//! A posting with what became of it: what goes on from it, or undoes it.

use sqlx::PgConnection;
use uuid::Uuid;

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
    let mut all = with_entries(conn, rows).await?;
    let Some(place) = all.iter().position(|it| it.posting_id == posting_id) else { return Ok(None) };
    let posting = all.remove(place);
    Ok(Some(Story { posting, later: all }))
}

/// Until when a hold stands, or when an earning matures, in microseconds; `None` where it is over or has no end.
pub async fn due_at(conn: &mut PgConnection, posting_id: Uuid) -> Result<Option<i64>, StoreError> {
    let due: Option<Option<i64>> = sqlx::query_scalar("select due_at from reservation where posting_id = $1")
        .bind(posting_id)
        .fetch_optional(conn)
        .await?;
    Ok(due.flatten())
}
