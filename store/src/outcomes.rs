//! Outcomes: what was asked under a key and what came of it, so that asking again gives the same answer.

use std::collections::HashMap;

use ledger::{Fingerprint, Outcome, Refusal};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;

/// A key with whom it belongs to.
pub(crate) type OutcomeKey = (i16, String, String);

/// What is remembered under a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) outcome: Outcome,
}

#[derive(FromRow)]
struct Row {
    ordinal: i64,
    fingerprint: Vec<u8>,
    posting_id: Option<Uuid>,
    leaf_index: Option<i64>,
    refusal: Option<i16>,
    points: i64,
    available: i64,
}

/// What is remembered under these keys. Asked after the account locks, so that a retry waits for its twin.
pub(crate) async fn remembered(
    conn: &mut PgConnection,
    keys: &[OutcomeKey],
) -> Result<HashMap<OutcomeKey, Remembered>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select wanted.ordinal, fingerprint, posting_id, leaf_index, refusal, points, available
         from unnest($1::smallint[], $2::text[], $3::text[]) with ordinality as wanted (program_id, source, key, ordinal)
         join outcome using (program_id, source, key)",
    )
    .bind(keys.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(keys.iter().map(|it| it.1.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|it| it.2.as_str()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((keys[row.ordinal as usize - 1].clone(), remember(row)?))).collect()
}

/// What is remembered under one key: the fingerprint of what was asked, and what came of it.
pub async fn remembered_outcome(
    conn: &mut PgConnection,
    program_id: i16,
    source: &str,
    key: &str,
) -> Result<Option<(Fingerprint, Outcome)>, StoreError> {
    let known = remembered(conn, &[(program_id, source.to_owned(), key.to_owned())]).await?;
    Ok(known.into_values().next().map(|it| (it.fingerprint, it.outcome)))
}

fn remember(row: Row) -> Result<Remembered, StoreError> {
    let damaged = || StoreError::Damaged("an outcome that is neither accepted nor refused".to_owned());
    let outcome = match (row.posting_id, row.leaf_index, row.refusal) {
        (Some(posting_id), Some(leaf_index), None) => Outcome::Accepted {
            posting_id,
            leaf_index: leaf_index as u64,
            points: row.points,
            available: row.available,
        },
        (None, None, Some(code)) => {
            Outcome::Refused(Refusal::recall(code, row.available, row.points).ok_or_else(damaged)?)
        }
        _ => return Err(damaged()),
    };
    let fingerprint = row.fingerprint.try_into().map_err(|_| damaged())?;
    Ok(Remembered { fingerprint, outcome })
}
