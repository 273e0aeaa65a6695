//! Imports: what was refused of a file is posted from another one, and never from the same.

use sqlx::PgConnection;

use crate::error::StoreError;

/// Keeps everybody else from importing under this source until the connection ends. Answers whether the import has come to its
/// end before, and had lines that were refused.
pub async fn begin_import(
    conn: &mut PgConnection,
    program_id: i16,
    source: &str,
) -> Result<bool, StoreError> {
    let locked = sqlx::query("select pg_advisory_lock($1, hashtext($2))")
        .bind(i32::from(program_id))
        .bind(source)
        .execute(&mut *conn)
        .await;
    locked.map_err(|error| match StoreError::from(error) {
        error if error.is_waiting_too_long() => {
            StoreError::Missing("somebody imports this file just now: wait until they are done".to_owned())
        }
        error => error,
    })?;
    let has_ended: bool =
        sqlx::query_scalar("select exists (select from ended_import where program_id = $1 and source = $2)")
            .bind(program_id)
            .bind(source)
            .fetch_one(conn)
            .await?;
    Ok(has_ended)
}

/// Notes that the import has come to its end, and had lines that were refused.
pub async fn end_import(conn: &mut PgConnection, program_id: i16, source: &str) -> Result<(), StoreError> {
    sqlx::query("insert into ended_import (program_id, source) values ($1, $2)")
        .bind(program_id)
        .bind(source)
        .execute(conn)
        .await?;
    Ok(())
}
