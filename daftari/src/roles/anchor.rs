//! `daftari anchor`: seals the log and anchors it.

mod places;

use std::sync::Arc;
use std::time::Duration;

use anchor_worker::{AnchorPolicy, FRESHNESS, LogKeys, Pacing, PlaceConfig, Witnesses};
use anyhow::Context;
use chain::{Account, AuditLog};
use store::PgPool;
use tiles::TileStore;
use tokio::net::TcpListener;

use crate::config::Anchor;
use crate::roles::policy_file::PolicyFile;
use crate::roles::{scrub, serve_operations};
use crate::{keys, logging, signals};

/// Seal and anchor hold few connections: they read in order, and write little.
const CONNECTIONS: u32 = 6;

pub(crate) async fn run(config: Anchor) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let metrics = logging::collect_metrics()?;
    let targets = places::read(&config).await?;
    let held = keys::log_keys(&config.log).await?;
    let pool =
        store::connect(&config.database_url.0, CONNECTIONS).await.context("cannot use the database")?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let mut places = Vec::new();
    for target in targets {
        places.push(target.place(&held.log()).await?);
    }
    let operations = tokio::spawn(serve_operations(listener, pool.clone(), None, metrics, stop.clone()));
    let store = config.tiles.open()?;
    let policy = held.policy();
    let mut worker = worker(pool, store, held, places);
    worker.witnesses = witnesses(&config)?;
    worker.freshness = config.witness_freshness.0;
    let every = config.scrub_every.0;
    let scrubbing = (!every.is_zero()).then(|| {
        let (store, first) = (Arc::clone(&worker.folder), every.min(scrub::FIRST));
        tokio::spawn(scrub::scrub(store, policy, first, every, stop.clone()))
    });
    let sealed = anchor_worker::run(worker, stop.clone()).await;
    stop.cancel();
    if let Some(scrubbing) = scrubbing {
        scrubbing.await?;
    }
    operations.await??;
    Ok(sealed?)
}

/// A worker with the usual pace.
pub(crate) fn worker(
    pool: PgPool,
    folder: TileStore,
    keys: impl Into<LogKeys>,
    places: Vec<PlaceConfig>,
) -> anchor_worker::Config {
    let (folder, keys) = (Arc::new(folder), keys.into());
    let (seal_pacing, witnesses, freshness) = (Pacing::SEAL, None, FRESHNESS);
    anchor_worker::Config { pool, folder, keys, seal_pacing, witnesses, freshness, places }
}

fn witnesses(config: &Anchor) -> anyhow::Result<Option<Witnesses>> {
    let Some(path) = &config.witness_policy_file else { return Ok(None) };
    let file = PolicyFile::open(path)?;
    Ok(Some(Witnesses::following(Box::new(move || file.now().1), config.witness_budget.0)?))
}

/// One place to anchor to, with the usual policy.
pub(crate) fn place_of(audit_log: AuditLog, account: Account, gap: Duration) -> PlaceConfig {
    let policy = AnchorPolicy::new(audit_log.chain().id(), gap);
    PlaceConfig { endpoints: vec![audit_log], account, policy, pacing: Pacing::ANCHOR }
}
