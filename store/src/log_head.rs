//! The log's head: one row, whose lock puts commits in an order.

use sqlx::PgConnection;

use crate::error::StoreError;

/// Which log these books write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The hash of the origin and the first signing key.
    pub log_id: proof::Hash,
    /// The origin.
    pub origin: String,
}

/// The head as it stands: under its lock, or after a batch that is not committed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogHead {
    /// The next leaf's index.
    pub(crate) size: i64,
    /// Grows with each change of what an operator settles.
    pub(crate) epoch: i64,
    /// The last recorded time, in microseconds since 1970.
    pub(crate) recorded_at: i64,
}

/// Begins the log on an empty database; on one that has a log already, checks that it is this one.
pub async fn ensure_log(conn: &mut PgConnection, log: &LogIdentity) -> Result<(), StoreError> {
    sqlx::query("insert into log_head (log_id, origin, size, recorded_at) values ($1, $2, 0, 0) on conflict do nothing")
        .bind(&log.log_id[..])
        .bind(&log.origin)
        .execute(&mut *conn)
        .await?;
    let origin: String = sqlx::query_scalar("select origin from log_head").fetch_one(&mut *conn).await?;
    let is_ours: bool = sqlx::query_scalar("select exists (select from log_head where log_id = $1)")
        .bind(&log.log_id[..])
        .fetch_one(&mut *conn)
        .await?;
    if is_ours {
        return Ok(());
    }
    Err(StoreError::Missing(format!(
        "this database holds the log {origin}, begun with another key than the one given: give its key and origin, \
         and after a rotation its first key's public bytes too"
    )))
}

/// Locks the head: from here to the commit, nobody else appends. With it come the database's clock, and PostgreSQL's
/// timeline, which is another one after a failover or a restore.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    log_id: &proof::Hash,
) -> Result<(LogHead, i64, i32), StoreError> {
    let (size, epoch, recorded_at, clock_us, timeline) = sqlx::query_as(
        "select size, epoch, recorded_at, (extract(epoch from clock_timestamp()) * 1000000)::bigint,
             ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
         from log_head
         where log_id = $1
         for no key update",
    )
    .bind(&log_id[..])
    .fetch_one(conn)
    .await?;
    Ok((LogHead { size, epoch, recorded_at }, clock_us, timeline))
}

/// The head as the last commit left it.
pub(crate) async fn committed(conn: &mut PgConnection, log_id: &proof::Hash) -> Result<LogHead, StoreError> {
    let (size, epoch, recorded_at) =
        sqlx::query_as("select size, epoch, recorded_at from log_head where log_id = $1")
            .bind(&log_id[..])
            .fetch_one(conn)
            .await?;
    Ok(LogHead { size, epoch, recorded_at })
}

/// Says that what an operator settles has changed: whoever decides reads it again first. Answers from which leaf on it has:
/// until the caller commits, nobody appends.
pub(crate) async fn raise_epoch(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let size = sqlx::query_scalar("update log_head set epoch = epoch + 1 returning size");
    // Before the log has begun, it is all before its first leaf.
    Ok(size.fetch_optional(conn).await?.unwrap_or_default())
}

/// Under which epoch the programs are now.
pub(crate) async fn epoch(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select epoch from log_head").fetch_one(conn).await?)
}

/// The database's clock, in microseconds since 1970.
pub async fn clock_us(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let now = sqlx::query_scalar("select (extract(epoch from clock_timestamp()) * 1000000)::bigint");
    Ok(now.fetch_one(conn).await?)
}

/// The instant as which something would be recorded now, in microseconds since 1970.
pub(crate) async fn recorded_us(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let now = sqlx::query_scalar(
        "select greatest(recorded_at, (extract(epoch from clock_timestamp()) * 1000000)::bigint) from log_head",
    );
    Ok(now.fetch_one(conn).await?)
}

/// The database's clock, and PostgreSQL's timeline.
pub(crate) async fn clock(conn: &mut PgConnection) -> Result<(i64, i32), StoreError> {
    let clock = sqlx::query_as(
        "select (extract(epoch from clock_timestamp()) * 1000000)::bigint,
             ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int",
    );
    Ok(clock.fetch_one(conn).await?)
}

/// How many leaves the log has.
pub async fn log_size(conn: &mut PgConnection) -> Result<u64, StoreError> {
    let size: i64 = sqlx::query_scalar("select coalesce(max(size), 0) from log_head").fetch_one(conn).await?;
    Ok(size as u64)
}

/// How many bytes the books take on disk, indexes and all.
pub async fn bytes_on_disk(conn: &mut PgConnection) -> Result<u64, StoreError> {
    let bytes: i64 =
        sqlx::query_scalar("select pg_database_size(current_database())").fetch_one(conn).await?;
    Ok(bytes as u64)
}

/// The log that this database holds.
pub async fn log_identity(conn: &mut PgConnection) -> Result<LogIdentity, StoreError> {
    let row: Option<(Vec<u8>, String)> =
        sqlx::query_as("select log_id, origin from log_head").fetch_optional(conn).await?;
    let (log_id, origin) = row.ok_or_else(|| {
        StoreError::Missing("this database holds no log yet: run daftari migrate".to_owned())
    })?;
    Ok(LogIdentity { log_id: crate::accounts::hash(&log_id)?, origin })
}
