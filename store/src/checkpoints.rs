//! Checkpoints: what was signed, recorded before it is published.

use proof::Hash;
use sqlx::{FromRow, PgConnection};

use crate::error::StoreError;
use crate::log_head;
use crate::warnings::Warnings;

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCheckpoint {
    /// How many leaves it covers.
    pub size: u64,
    /// The size of the checkpoint that it extends; 0 for the first.
    pub previous_size: u64,
    /// The root over them.
    pub root: Hash,
    /// The signed note, byte for byte as it is published.
    pub note: String,
}

/// What came of recording a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Recording {
    /// It stands: it may be published.
    Recorded,
    /// Another sealer has extended the same checkpoint already: this one must never be published.
    AlreadySealed,
}

#[derive(FromRow)]
struct CheckpointRow {
    size: i64,
    previous_size: i64,
    root: Vec<u8>,
    note: String,
}

impl TryFrom<CheckpointRow> for RecordedCheckpoint {
    type Error = StoreError;

    fn try_from(row: CheckpointRow) -> Result<Self, StoreError> {
        let root = Hash::try_from(row.root).map_err(|_| {
            StoreError::Damaged(format!("the root of checkpoint {} is not 32 bytes", row.size))
        })?;
        Ok(Self { size: row.size as u64, previous_size: row.previous_size as u64, root, note: row.note })
    }
}

/// The greatest checkpoint, if anything was ever sealed.
pub async fn latest_checkpoint(conn: &mut PgConnection) -> Result<Option<RecordedCheckpoint>, StoreError> {
    let row: Option<CheckpointRow> = sqlx::query_as(
        "select size, previous_size, root, note
         from checkpoint
         order by size desc
         limit 1",
    )
    .fetch_optional(conn)
    .await?;
    row.map(RecordedCheckpoint::try_from).transpose()
}

/// The checkpoint of exactly this size.
pub async fn checkpoint_at(
    conn: &mut PgConnection,
    size: u64,
) -> Result<Option<RecordedCheckpoint>, StoreError> {
    let row: Option<CheckpointRow> = sqlx::query_as(
        "select size, previous_size, root, note
         from checkpoint
         where size = $1",
    )
    .bind(size as i64)
    .fetch_optional(conn)
    .await?;
    row.map(RecordedCheckpoint::try_from).transpose()
}

/// The smallest checkpoint that covers this leaf.
pub async fn checkpoint_covering(
    conn: &mut PgConnection,
    leaf_index: u64,
) -> Result<Option<RecordedCheckpoint>, StoreError> {
    let row: Option<CheckpointRow> = sqlx::query_as(
        "select size, previous_size, root, note
         from checkpoint
         where size > $1
         order by size
         limit 1",
    )
    .bind(leaf_index as i64)
    .fetch_optional(conn)
    .await?;
    row.map(RecordedCheckpoint::try_from).transpose()
}

/// Records a checkpoint if nobody else has extended the same one. Must not run inside a larger transaction: only a
/// committed row allows the checkpoint to be published, and not one that its standby may lack.
pub async fn record_checkpoint(
    conn: &mut PgConnection,
    warnings: &mut Warnings,
    checkpoint: &RecordedCheckpoint,
) -> Result<Recording, StoreError> {
    let inserting = sqlx::query(
        "insert into checkpoint (size, previous_size, root, note)
         values ($1, $2, $3, $4)",
    )
    .bind(checkpoint.size as i64)
    .bind(checkpoint.previous_size as i64)
    .bind(&checkpoint.root[..])
    .bind(&checkpoint.note)
    .execute(conn);
    let (recorded, warned) = warnings.during(inserting).await;
    match recorded.map_err(StoreError::from) {
        Ok(_) if warned => Err(StoreError::Warned),
        Ok(_) => Ok(Recording::Recorded),
        Err(error) if matches!(error.constraint(), Some("checkpoint_extends_once" | "checkpoint_pk")) => {
            Ok(Recording::AlreadySealed)
        }
        Err(error) => Err(error),
    }
}

/// Commits something, which is nothing to anybody: when this returns, all that was seen in this session before is as durable as
/// a commit is here, on a synchronous standby too. What a session sees need not be: whoever waits for a standby may end, and
/// what it has written is seen from then on.
pub async fn confirm(conn: &mut PgConnection, warnings: &mut Warnings) -> Result<(), StoreError> {
    // A transaction that writes no WAL waits for nobody.
    let confirming =
        sqlx::query("select pg_logical_emit_message(true, 'daftari', 'confirmed'::text)::text").execute(conn);
    let (confirmed, warned) = warnings.during(confirming).await;
    confirmed?;
    if warned { Err(StoreError::Warned) } else { Ok(()) }
}

/// Writes down what witnesses have said of a checkpoint, each as its name and its signature line. What a witness has said
/// once of a checkpoint stays.
pub async fn record_cosignatures(
    conn: &mut PgConnection,
    size: u64,
    lines: &[(String, String)],
) -> Result<(), StoreError> {
    let (witnesses, lines): (Vec<&str>, Vec<&str>) =
        lines.iter().map(|(witness, line)| (witness.as_str(), line.as_str())).unzip();
    sqlx::query(
        "insert into cosignature (size, witness, line)
         select $1, witness, line
         from unnest($2::text[], $3::text[]) as told (witness, line)
         on conflict do nothing",
    )
    .bind(size as i64)
    .bind(witnesses)
    .bind(lines)
    .execute(conn)
    .await?;
    Ok(())
}

/// The note of the checkpoint of exactly this size, with all that witnesses have said of it.
pub async fn cosigned_note(conn: &mut PgConnection, size: u64) -> Result<Option<String>, StoreError> {
    let note = sqlx::query_scalar(
        "select note || coalesce((select string_agg(line, '' order by witness) from cosignature where size = $1), '')
         from checkpoint
         where size = $1",
    )
    .bind(size as i64)
    .fetch_optional(conn)
    .await?;
    Ok(note)
}

/// For how many milliseconds nothing has been sealed while a leaf that was recorded then has waited.
pub async fn still_ms(conn: &mut PgConnection, recorded_at_us: i64) -> Result<u64, StoreError> {
    let still: i64 = sqlx::query_scalar(
        "select (extract(epoch from clock_timestamp()) * 1000)::bigint
             - greatest($1::bigint / 1000, coalesce((extract(epoch from max(sealed_at)) * 1000)::bigint, 0))
         from (select sealed_at from checkpoint order by size desc limit 1) as last",
    )
    .bind(recorded_at_us)
    .fetch_one(conn)
    .await?;
    Ok(still.max(0) as u64)
}

/// On which timeline PostgreSQL is: another one after a failover or a restore.
pub async fn timeline(conn: &mut PgConnection) -> Result<u32, StoreError> {
    let (_, timeline) = log_head::clock(conn).await?;
    Ok(timeline as u32)
}
