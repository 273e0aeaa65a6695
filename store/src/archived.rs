//! What readers are told of postings that were moved into files: which file, never less than there is.

use sqlx::{Connection, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::error::StoreError;

/// One look at the database, in which nothing moves: whoever asks for rows and for what is archived in one look, in whichever
/// order, is told all of them or that some are archived. It is rolled back when it is over: a connection rests in none.
pub(crate) async fn look(conn: &mut PgConnection) -> Result<Transaction<'_, Postgres>, StoreError> {
    Ok(conn.begin_with("begin isolation level repeatable read read only").await?)
}

/// The first leaf that no archive has before it: everything from there on is here.
pub(crate) async fn archived_end(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let end =
        sqlx::query_scalar("select coalesce(max(end_leaf_index), 0) from archive where restored_at is null")
            .fetch_one(conn)
            .await?;
    Ok(end)
}

/// Demands that all that stands from this leaf on is here.
pub(crate) async fn demand_since(conn: &mut PgConnection, leaf_index: i64) -> Result<(), StoreError> {
    let found = archive_from(conn, leaf_index).await?;
    found.map_or(Ok(()), |it| Err(it.of(leaf_index)))
}

/// Demands that this leaf is in no archive.
pub(crate) async fn demand_here(conn: &mut PgConnection, leaf_index: i64) -> Result<(), StoreError> {
    let found: Option<i64> =
        sqlx::query_scalar("select leaf_index from archived_posting where leaf_index = $1")
            .bind(leaf_index)
            .fetch_optional(&mut *conn)
            .await?;
    match found {
        Some(_) => demand_since(conn, leaf_index).await,
        None => Ok(()),
    }
}

/// Demands that none of these postings, each by its program and id, is in an archive.
pub(crate) async fn demand_postings(
    conn: &mut PgConnection,
    postings: &[(i16, Uuid)],
) -> Result<(), StoreError> {
    let found: Option<i64> = sqlx::query_scalar(
        "select leaf_index
         from unnest($1::smallint[], $2::uuid[]) as wanted (program_id, posting_id)
         join archived_posting using (program_id, posting_id)
         order by leaf_index desc
         limit 1",
    )
    .bind(postings.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(postings.iter().map(|it| it.1).collect::<Vec<_>>())
    .fetch_optional(&mut *conn)
    .await?;
    match found {
        Some(leaf_index) => demand_since(conn, leaf_index).await,
        None => Ok(()),
    }
}

/// Demands that these versions, in their order, are all of an account's that come after one: whoever got fewer than `limit`
/// is to have got to the last.
pub(crate) async fn demand_versions(
    conn: &mut PgConnection,
    account: i64,
    after: i64,
    found: impl Iterator<Item = i64>,
    limit: i64,
) -> Result<(), StoreError> {
    let mut expected = after + 1;
    for version in found {
        if version != expected {
            return demand_version(conn, account, expected).await;
        }
        expected += 1;
    }
    if expected <= after.saturating_add(limit) {
        demand_version(conn, account, expected).await
    } else {
        Ok(())
    }
}

/// Demands that this version of an account, which was looked for, is yet to come.
pub(crate) async fn demand_version(
    conn: &mut PgConnection,
    account: i64,
    version: i64,
) -> Result<(), StoreError> {
    // The leaf before the next that is here: what is archived comes back from there on.
    let leaf_index: Option<i64> = sqlx::query_scalar(
        "select coalesce(
             (select previous_leaf_index from entry where account_id = $1 and sequence > $2 order by sequence limit 1),
             last_leaf_index
         )
         from balance
         where account_id = $1
             and sequence >= $2
             and exists (select from archive where restored_at is null)",
    )
    .bind(account)
    .bind(version)
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    match leaf_index {
        Some(leaf_index) => demand_here(conn, leaf_index).await,
        None => Ok(()),
    }
}

/// Demands that nothing is archived.
pub(crate) async fn demand_all(conn: &mut PgConnection) -> Result<(), StoreError> {
    demand_since(conn, 0).await
}

/// Where an archive is.
struct At {
    end: i64,
    file: String,
}

impl At {
    fn of(self, leaf_index: i64) -> StoreError {
        StoreError::Archived { leaf_index: leaf_index.min(self.end - 1) as u64, file: self.file }
    }
}

/// The archive that this leaf is in, or the first one after it.
async fn archive_from(conn: &mut PgConnection, leaf_index: i64) -> Result<Option<At>, StoreError> {
    let found: Option<(i64, String)> = sqlx::query_as(
        "select end_leaf_index, file
         from archive
         where restored_at is null
             and end_leaf_index > $1
         order by end_leaf_index
         limit 1",
    )
    .bind(leaf_index)
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|(end, file)| At { end, file }))
}
