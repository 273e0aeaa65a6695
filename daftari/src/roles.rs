//! What a process can be. Each role opens its doors, runs until it is told to stop, and drains.

pub(crate) mod anchor;
pub(crate) mod anchors;
pub(crate) mod api;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod books;
pub(crate) mod bridge;
pub(crate) mod contracts;
pub(crate) mod export;
mod guard;
pub(crate) mod ingest;
pub(crate) mod log;
pub(crate) mod members;
pub(crate) mod migrate;
pub(crate) mod monitor;
mod policy_file;
mod scrub;
pub(crate) mod sweep;
mod trust;
pub(crate) mod up;
pub(crate) mod verifier;
pub(crate) mod verify;
pub(crate) mod webhook;
pub(crate) mod witness;

use std::sync::Arc;

use ::api::{Gate, Operations, Outside};
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use store::{Acting, By, Commits, Committer, Deed, Keyring, LogIdentity, PgPool, Program};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Database, Door, Who};
use crate::keys;

/// One for each lane, and one to look whether the database holds what is published.
const COMMITTER_CONNECTIONS: u32 = 3;

/// The books of one program, open.
pub(crate) struct OpenBooks {
    pub(crate) pool: PgPool,
    pub(crate) log: LogIdentity,
    pub(crate) program: Program,
    /// The program's sandbox, which is served beside it.
    pub(crate) sandbox: Option<Program>,
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
        let sandbox = store::sandbox_of(&mut conn, &keyring, program.program_id).await?;
        drop(conn);
        Ok(Self { pool, log, program, sandbox, database: database.clone() })
    }

    /// Starts the committer of these books on connections of its own: readers cannot keep it waiting.
    pub(crate) async fn committer(&self) -> anyhow::Result<(Committer, JoinHandle<()>)> {
        let pool = store::connect(&self.database.database_url.0, COMMITTER_CONNECTIONS).await?;
        let guard = guard::guard(&self.database.outside, &self.log)?;
        Ok(Committer::start_guarded(pool, &self.log, self.keyring()?, guard).await?)
    }

    /// The same for a role that goes on until it is told to stop.
    pub(crate) async fn lasting_committer(&self) -> anyhow::Result<(Committer, JoinHandle<()>)> {
        guard::warn_unguarded(&self.database.outside);
        self.committer().await
    }

    /// Begins an act in them.
    pub(crate) async fn acting(&self) -> anyhow::Result<Acting> {
        begin_act(&self.pool, &self.database.outside, &self.log).await
    }

    /// Records what was done, and keeps it.
    pub(crate) async fn done(&self, acting: Acting, who: &Who, deed: Deed) -> anyhow::Result<()> {
        acting.done(&self.keyring()?, self.program.program_id, &by(who), &deed).await?;
        Ok(())
    }

    /// Who lets callers in under this address.
    pub(crate) fn gate(&self, door: &Door, public_url: &str) -> anyhow::Result<Gate> {
        let outside = match (&door.member_issuer, &door.member_audience, &door.member_keys_url) {
            (Some(issuer), Some(audience), Some(url)) => Some(Outside::new(issuer, audience, url)?),
            _ => None,
        };
        let (pool, keyring) = (self.pool.clone(), Arc::new(self.keyring()?));
        let gate = Gate::trusting(pool, keyring, self.program.program_id, public_url, outside);
        Ok(match &self.sandbox {
            Some(sandbox) => gate.with_sandbox(sandbox.program_id),
            None => gate,
        })
    }

    /// The keyring, read anew: each user of it has its own.
    pub(crate) fn keyring(&self) -> anyhow::Result<Keyring> {
        keys::keyring(&self.database.wrapping_key_file)
    }
}

/// Begins an act, where what is known outside lets the log go on.
pub(crate) async fn begin_act(
    pool: &PgPool,
    outside: &config::Outside,
    log: &LogIdentity,
) -> anyhow::Result<Acting> {
    let guard = guard::guard(outside, log)?;
    Acting::begin(pool, &guard).await.map_err(|error| match guard.halted() {
        Some(why) => anyhow::anyhow!("nothing is written to the log: {why}"),
        None => error.into(),
    })
}

/// Who acts, as leaves name operators.
pub(crate) fn by(who: &Who) -> By {
    By { actor: format!("operator:{}", who.actor), reason: who.reason.clone() }
}

/// What was done to something, from what it was before to what it is after.
pub(crate) fn deed(
    action: &str,
    subject: impl Into<String>,
    before: Option<Value>,
    after: Option<Value>,
) -> Deed {
    Deed { action: action.to_owned(), subject: subject.into(), before, after }
}

/// Serves health and metrics alone, for a role that serves nothing else.
pub(crate) async fn serve_operations(
    listener: TcpListener,
    pool: PgPool,
    commits: Option<Commits>,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let public_url = format!("http://{}", listener.local_addr()?);
    let router = ::api::complete(::api::Routes::default(), Operations { pool, commits, metrics, public_url });
    Ok(::api::serve(listener, router, None, stop).await?)
}

/// Ends the rest when the committer ends before it was told to: it can only have panicked, and half a process would
/// look like a whole one. Start-up recovers.
pub(crate) async fn watch(committing: JoinHandle<()>, stop: CancellationToken) -> anyhow::Result<()> {
    let ended = committing.await.context("the committer panicked");
    stop.cancel();
    ended
}
