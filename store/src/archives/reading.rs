//! Files that are read with the books for as long as a connection lives: their rows go into tables of the session, under views
//! that have the books' names, so that every question is answered from both.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::lines::put;
use super::{Archive, ArchiveLine, hold_still};
use crate::archived;
use crate::error::StoreError;

/// Begins to show this connection what files hold as if it had never been moved. Nothing moves while it lives.
pub async fn begin_reading(conn: &mut PgConnection) -> Result<(), StoreError> {
    hold_still(conn).await?;
    sqlx::raw_sql(
        "create temporary table read_posting (like posting including defaults including indexes);
         create temporary table read_entry (like entry including defaults including indexes);
         create temporary table read_event (like event including defaults including indexes)",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes in what these lines of an archive say, so far as it is not here.
pub async fn read_lines(
    conn: &mut PgConnection,
    archive: &Archive,
    lines: &[ArchiveLine],
) -> Result<(), StoreError> {
    let moved: Vec<i64> = sqlx::query_scalar(
        "select leaf_index from archived_posting where archive_id = $1 and leaf_index = any($2)",
    )
    .bind(archive.archive_id)
    .bind(lines.iter().map(|it| it.leaf_index).collect::<Vec<_>>())
    .fetch_all(&mut *conn)
    .await?;
    let moved: Vec<&str> =
        lines.iter().filter(|it| moved.contains(&it.leaf_index)).map(|it| it.line.as_str()).collect();
    put(conn, ["read_posting", "read_entry", "read_event"], &moved).await
}

/// From here on every question on this connection is answered from the tables and the files together.
pub async fn end_reading(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("analyze read_posting, read_entry, read_event").execute(&mut *conn).await?;
    // All that is archived is looked at.
    let mut transaction = conn.begin().await?;
    sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
    let missing: Option<i64> = sqlx::query_scalar(
        "select leaf_index
         from archived_posting
         where not exists (select from read_posting where read_posting.leaf_index = archived_posting.leaf_index)
         order by leaf_index
         limit 1",
    )
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    if let Some(leaf_index) = missing {
        archived::demand_here(conn, leaf_index).await?;
    }
    // A session's own relations are found before the schema's.
    for table in ["posting", "entry", "event"] {
        let view = format!(
            "create temporary view read_{table}_and_rest as
             select * from {table}
             union all
             select * from read_{table}"
        );
        sqlx::raw_sql(AssertSqlSafe(view)).execute(&mut *conn).await?;
    }
    sqlx::raw_sql(
        "create temporary table archive (like archive);
         create temporary table archived_posting (like archived_posting);
         alter view read_posting_and_rest rename to posting;
         alter view read_entry_and_rest rename to entry;
         alter view read_event_and_rest rename to event;
         -- What was asked on this connection before is remembered with the tables that it meant.
         discard plans",
    )
    .execute(conn)
    .await?;
    Ok(())
}
