//! What a process can be. Each role opens its doors, runs until it is told to stop, and drains.

pub(crate) mod anchor;
pub(crate) mod api;
pub(crate) mod books;
pub(crate) mod ingest;
pub(crate) mod migrate;
pub(crate) mod up;
pub(crate) mod verifier;
pub(crate) mod verify;

use ::api::Operations;
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use store::{Keyring, LogIdentity, PgPool, Program};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Database;
use crate::keys;

/// The books of one program, open.
pub(crate) struct OpenBooks {
    pub(crate) pool: PgPool,
    pub(crate) log: LogIdentity,
    pub(crate) program: Program,
    database: Database,
}

impl OpenBooks {
    /// Opens the books of a database that `daftari migrate` or `daftari up` has made.
    pub(crate) async fn open(database: &Database) -> anyhow::Result<Self> {
        let keyring = keys::keyring(&database.wrapping_key_file)?;
        let pool = store::connect(&database.database_url.0, database.database_connections)
            .await
            .context("cannot use the database")?;
        let mut conn = pool.acquire().await?;
        let log = store::log_identity(&mut conn).await?;
        let program = store::program_named(&mut conn, &keyring, &database.program).await?;
        let program = program.with_context(|| format!("there is no program {:?}", database.program))?;
        drop(conn);
        Ok(Self { pool, log, program, database: database.clone() })
    }

    /// The keyring, read anew: each user of it has its own.
    pub(crate) fn keyring(&self) -> anyhow::Result<Keyring> {
        keys::keyring(&self.database.wrapping_key_file)
    }
}

/// Serves health and metrics alone, for a role that serves nothing else.
pub(crate) async fn serve_operations(
    listener: TcpListener,
    pool: PgPool,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let public_url = format!("http://{}", listener.local_addr()?);
    let router = ::api::complete(axum::Router::new(), Operations { pool, metrics, public_url });
    Ok(::api::serve(listener, router, stop).await?)
}
