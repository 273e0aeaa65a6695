//! Archives: ranges of old postings that move into files and back (docs/adr/0039). Here is what is written down of them, and
//! who may move rows when; the files are whoever's asks.
//!
//! What moves is what of a posting stands in `posting`, `entry` and `event`, as one line of JSON. Each step is a short
//! transaction that may be done twice: what has moved is known by its row in `archived_posting`.

mod lines;
mod reading;

use proof::Hash;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};

pub use self::lines::{ArchiveLine, archive_lines, give_back, take_away, vacuum_archived};
pub use self::reading::{begin_reading, end_reading, read_lines};
use crate::archived;
use crate::error::StoreError;

/// A range that was moved, or is being moved, into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its number.
    pub archive_id: i64,
    /// The range's first leaf.
    pub first_leaf_index: u64,
    /// The first leaf after it.
    pub end_leaf_index: u64,
    /// How many postings moved: those of its leaves that nothing goes on from any more.
    pub postings: u64,
    /// The SHA-256 of the file's lines.
    pub digest: Hash,
    /// The file's name.
    pub file: String,
    /// How far it has come.
    pub stage: ArchiveStage,
}

/// How far an archive has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveStage {
    /// The file is whole, and rows are going.
    Moving,
    /// All have gone.
    Moved,
    /// Rows are coming back.
    Returning,
}

#[derive(FromRow)]
struct Row {
    archive_id: i64,
    first_leaf_index: i64,
    end_leaf_index: i64,
    postings: i64,
    digest: Vec<u8>,
    file: String,
    is_moved: bool,
    is_recalled: bool,
}

/// The archives that are not back, in the order of the log: together a beginning of it.
pub async fn archives(conn: &mut PgConnection) -> Result<Vec<Archive>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select archive_id, first_leaf_index, end_leaf_index, postings, digest, file,
             moved_at is not null as is_moved, recalled_at is not null as is_recalled
         from archive
         where restored_at is null
         order by first_leaf_index",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

/// The names of all files that were ever written down here, also of those whose postings are back.
pub async fn archive_files(conn: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar("select distinct file from archive order by file").fetch_all(conn).await?)
}

impl Row {
    fn read(self) -> Result<Archive, StoreError> {
        Ok(Archive {
            archive_id: self.archive_id,
            first_leaf_index: self.first_leaf_index as u64,
            end_leaf_index: self.end_leaf_index as u64,
            postings: self.postings as u64,
            digest: crate::accounts::hash(&self.digest)?,
            file: self.file,
            stage: match (self.is_moved, self.is_recalled) {
                (_, true) => ArchiveStage::Returning,
                (true, false) => ArchiveStage::Moved,
                (false, false) => ArchiveStage::Moving,
            },
        })
    }
}

/// Keeps everybody else who moves rows, or needs them to stay where they are, away until [`end_moving`], or until the connection
/// ends.
pub async fn begin_moving(conn: &mut PgConnection) -> Result<(), StoreError> {
    wait(conn, "select pg_advisory_lock($1)").await
}

/// Lets others move rows, or go by them, again.
pub async fn end_moving(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_unlock($1)").bind(MOVING).execute(conn).await?;
    Ok(())
}

/// Of everybody who moves postings, or goes by all of them.
const MOVING: i64 = 3_987_654;

/// Waits for as long as any lock is waited for: whoever had it may be about to end.
async fn wait(conn: &mut PgConnection, lock: &'static str) -> Result<(), StoreError> {
    let locked = sqlx::query(lock).bind(MOVING).execute(conn).await;
    locked.map(drop).map_err(|error| match StoreError::from(error) {
        error if error.is_waiting_too_long() => StoreError::Missing(
            "somebody archives, restores, checks or erases just now: wait until they are done".to_owned(),
        ),
        error => error,
    })
}

/// Keeps everybody from moving rows until [`let_move`], or until the connection ends.
pub(crate) async fn hold_still(conn: &mut PgConnection) -> Result<(), StoreError> {
    wait(conn, "select pg_advisory_lock_shared($1)").await
}

/// Demands that no row is on its way, and that nobody goes by all of them; in a transaction, until it ends: what they say may be
/// changed.
pub async fn demand_settled(conn: &mut PgConnection) -> Result<(), StoreError> {
    // Not shared: whoever goes by all rows would meet some as they were, and others as they are.
    wait(conn, "select pg_advisory_xact_lock($1)").await?;
    let file: Option<String> = sqlx::query_scalar(
        "select file from archive where restored_at is null and (moved_at is null or recalled_at is not null)",
    )
    .fetch_optional(conn)
    .await?;
    file.map_or(Ok(()), |file| {
        let problem =
            format!("{file} is not archived or restored to its end: do that first, nothing was erased");
        Err(StoreError::Missing(problem))
    })
}

/// Lets rows be moved again.
pub(crate) async fn let_move(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_unlock_shared($1)").bind(MOVING).execute(conn).await?;
    Ok(())
}

/// Up to which leaf postings may be archived: what a checkpoint covers, and, where the log is anchored, what a final
/// anchor covers.
pub async fn archivable(conn: &mut PgConnection) -> Result<u64, StoreError> {
    let (sealed, anchored): (i64, Option<i64>) = sqlx::query_as(
        "select coalesce((select max(size) from checkpoint), 0),
             case when exists (select from anchor_attempt) or exists (select from anchor)
                 then coalesce((select max(size) from anchor where final_at is not null), 0)
             end",
    )
    .fetch_one(conn)
    .await?;
    Ok(anchored.map_or(sealed, |it| it.min(sealed)) as u64)
}

/// A file that is whole, and is about to be gone by.
#[derive(Clone, Debug)]
pub struct NewArchive<'a> {
    /// The range's first leaf.
    pub first_leaf_index: u64,
    /// The first leaf after it.
    pub end_leaf_index: u64,
    /// How many postings the file has.
    pub postings: u64,
    /// The SHA-256 of its lines.
    pub digest: Hash,
    /// Its name.
    pub file: &'a str,
}

/// Writes down that a range is going to move. It follows the archives that there are.
pub async fn begin_archive(conn: &mut PgConnection, archive: &NewArchive<'_>) -> Result<(), StoreError> {
    let end = archived::archived_end(conn).await?;
    if end != archive.first_leaf_index as i64 || archivable(conn).await? < archive.end_leaf_index {
        let problem =
            format!("an archive begins at leaf {end}, and ends where leaves are sealed and anchored");
        return Err(StoreError::Missing(problem));
    }
    sqlx::query(
        "insert into archive (first_leaf_index, end_leaf_index, postings, digest, file) values ($1, $2, $3, $4, $5)",
    )
    .bind(archive.first_leaf_index as i64)
    .bind(archive.end_leaf_index as i64)
    .bind(archive.postings as i64)
    .bind(&archive.digest[..])
    .bind(archive.file)
    .execute(conn)
    .await
    .map_err(|error| match StoreError::from(error) {
        error if error.constraint() == Some("archive_begins_once") => StoreError::Missing(
            "somebody else has begun this archive just now: run it again when they are done".to_owned(),
        ),
        error => error,
    })?;
    Ok(())
}

/// How many of an archive's postings are away. They are found by their leaves: no index leads from an archive to them.
pub(crate) const AWAY: &str = "(
     select count(*)
     from archived_posting as it
     where it.archive_id = archive.archive_id
         and it.leaf_index >= archive.first_leaf_index
         and it.leaf_index < archive.end_leaf_index
 )";

/// Writes down that all of it has gone, where it has.
pub async fn end_archive(conn: &mut PgConnection, archive: &Archive) -> Result<(), StoreError> {
    step(conn, archive, "moved_at", &format!("{AWAY} = postings")).await
}

/// Writes down that the newest archive is going to come back.
pub async fn begin_return(conn: &mut PgConnection, archive: &Archive) -> Result<(), StoreError> {
    step(
        conn,
        archive,
        "recalled_at",
        "not exists (select from archive as it where it.restored_at is null and it.end_leaf_index > archive.end_leaf_index)",
    )
    .await
}

/// Writes down that all of it is back, where it is.
pub async fn end_return(conn: &mut PgConnection, archive: &Archive) -> Result<(), StoreError> {
    step(conn, archive, "restored_at", &format!("{AWAY} = 0")).await
}

async fn step(
    conn: &mut PgConnection,
    archive: &Archive,
    column: &str,
    condition: &str,
) -> Result<(), StoreError> {
    let update = format!(
        "update archive set {column} = coalesce({column}, clock_timestamp()) where archive_id = $1 and {condition}"
    );
    let mut transaction = conn.begin().await?;
    // All of an archive's postings are counted.
    sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
    let done = sqlx::query(AssertSqlSafe(update)).bind(archive.archive_id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    match done.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::Missing(format!(
            "{} has not come so far, or archives after it are to be restored first",
            archive.file
        ))),
    }
}
