//! Connections, migrations, and databases for tests.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::roles;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// A connection that has rested for longer is asked whether it still works before it is lent. No server restarts in less
/// than this, so none that a restart has broken is lent; and under load connections do not rest, so nobody waits for it.
const RESTED_TIME_MAX: Duration = Duration::from_millis(50);

/// Opens a pool on a server that keeps what it acknowledges; refuses one that would not.
pub async fn connect(url: &str, connections_max: u32) -> Result<PgPool, StoreError> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("daftari")
        // A holder of log_head that stalls would stop every other commit: the server ends it.
        .options([
            ("lock_timeout", "10s"),
            ("statement_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "10s"),
            // What it warns of is heard, whatever a role or a database is set to.
            ("client_min_messages", "notice"),
        ])
        .log_statements(tracing::log::LevelFilter::Trace);
    // One connection by itself first: a pool would try again and again, and then only say that it took too long.
    let mut conn = options.connect().await?;
    check_durable(&mut conn).await?;
    conn.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .before_acquire(|conn, rested| {
            Box::pin(async move {
                if RESTED_TIME_MAX <= rested.idle_for {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}

async fn check_durable(conn: &mut PgConnection) -> Result<(), StoreError> {
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let value: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut *conn).await?;
        if value == "off" {
            return Err(StoreError::NotDurable { setting, value });
        }
    }
    Ok(())
}

/// Brings the schema to this version, makes room for the next leaves, and makes the roles where it may: answers whether
/// they are there.
pub async fn migrate(pool: &PgPool) -> Result<bool, StoreError> {
    let mut conn = pool.acquire().await?;
    // An index over a table that has grown takes longer than any answer may.
    sqlx::query("set statement_timeout = 0").execute(&mut *conn).await?;
    MIGRATIONS.run(&mut *conn).await?;
    sqlx::query("reset statement_timeout").execute(&mut *conn).await?;
    ensure_partitions(&mut conn).await?;
    roles::ensure_roles(&mut conn).await
}

/// Makes the partitions of the log's current size and the one after it.
pub async fn ensure_partitions(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select make_partitions()").execute(conn).await?;
    Ok(())
}

/// A new, migrated and empty database on this server, for one test: cloned from a template that the first caller makes.
pub async fn test_database(server_url: &str) -> Result<String, StoreError> {
    let template = format!(
        "daftari_template_{:x}",
        MIGRATIONS.iter().fold(0_u64, |fold, it| {
            it.checksum.iter().fold(fold, |fold, byte| fold.wrapping_mul(31).wrapping_add(u64::from(*byte)))
        })
    );
    let server = PgConnectOptions::from_str(server_url)?;
    let mut conn = server.connect().await?;
    // Held until the session ends, so that one of many test processes makes the template.
    sqlx::query("select pg_advisory_lock(4219)").execute(&mut conn).await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&template)
        .fetch_one(&mut conn)
        .await?;
    if !exists {
        let making = format!("{template}_making");
        for statement in [format!("drop database if exists {making}"), format!("create database {making}")] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut conn).await?;
        }
        let pool =
            PgPoolOptions::new().max_connections(1).connect_with(server.clone().database(&making)).await?;
        migrate(&pool).await?;
        pool.close().await;
        sqlx::query(AssertSqlSafe(format!("alter database {making} rename to {template}")))
            .execute(&mut conn)
            .await?;
    }
    drop_left(&mut conn).await?;
    let name = format!("test_{}_{}", std::process::id(), Uuid::new_v4().simple());
    sqlx::query(AssertSqlSafe(format!("create database {name} template {template}")))
        .execute(&mut conn)
        .await?;
    conn.close().await?;
    Ok(server.database(&name).to_url_lossy().to_string())
}

// A few of what test processes have left that have ended, so that many need little more room than one. What cannot go now, since
// a session of theirs is still there, goes later.
async fn drop_left(conn: &mut PgConnection) -> Result<(), StoreError> {
    let names: Vec<String> =
        sqlx::query_scalar("select datname from pg_database where datname ~ '^test_[0-9]+_'")
            .fetch_all(&mut *conn)
            .await?;
    let is_left = |it: &String| it.split('_').nth(1).is_some_and(|it| !Path::new("/proc").join(it).exists());
    for name in names.into_iter().filter(is_left).take(4) {
        let _ = sqlx::query(AssertSqlSafe(format!("drop database {name}"))).execute(&mut *conn).await;
    }
    Ok(())
}
