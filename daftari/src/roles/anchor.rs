//! `daftari anchor`: seals the log and anchors it.

use std::sync::Arc;
use std::time::Duration;

use anchor_worker::{AnchorPolicy, LogKey, Pacing, PlaceConfig};
use anyhow::Context;
use chain::{Account, AuditLog, Chain};
use proof::AnchorPlace;
use store::{LogIdentity, PgPool};
use tiles::TileFolder;
use tokio::net::TcpListener;

use crate::config::{Anchor, parse_address};
use crate::roles::serve_operations;
use crate::{keys, logging, signals};

/// Seal and anchor hold few connections: they read in order, and write little.
const CONNECTIONS: u32 = 6;

pub(crate) async fn run(config: Anchor) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let metrics = logging::collect_metrics()?;
    let key = LogKey::open(&config.log.log_key_file, &config.log.origin)?;
    let pool =
        store::connect(&config.database_url.0, CONNECTIONS).await.context("cannot use the database")?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let places = place(&config, &key.log()).await?.into_iter().collect();
    let operations = tokio::spawn(serve_operations(listener, pool.clone(), metrics, stop.clone()));
    let folder = TileFolder::open(&config.tile_dir)?;
    let sealed = anchor_worker::run(worker(pool, folder, key, places), stop.clone()).await;
    stop.cancel();
    operations.await??;
    Ok(sealed?)
}

/// A worker with the usual pace.
pub(crate) fn worker(
    pool: PgPool,
    folder: TileFolder,
    key: LogKey,
    places: Vec<PlaceConfig>,
) -> anchor_worker::Config {
    anchor_worker::Config { pool, folder: Arc::new(folder), key, seal_pacing: Pacing::SEAL, places }
}

/// One place to anchor to.
pub(crate) fn place_of(audit_log: AuditLog, account: Account, gap: Duration) -> PlaceConfig {
    let policy = AnchorPolicy::new(audit_log.chain().id(), gap);
    PlaceConfig { audit_log, account, policy, pacing: Pacing::ANCHOR }
}

async fn place(config: &Anchor, log: &LogIdentity) -> anyhow::Result<Option<PlaceConfig>> {
    let Some(url) = &config.chain_rpc_url else { return Ok(None) };
    let (Some(contract), Some(registrant), Some(key_file)) =
        (&config.contract, &config.registrant, &config.chain_key_file)
    else {
        anyhow::bail!("a chain needs --contract, --registrant and --chain-key-file");
    };
    let chain = Chain::connect(&url.0).await?;
    let place = AnchorPlace {
        chain_id: chain.id(),
        contract: parse_address(contract)?,
        registrant: parse_address(registrant)?,
    };
    let account = Account::from_key(&keys::read_secret(key_file)?)?;
    let audit_log = AuditLog::new(chain, place, &log.log_id)?;
    Ok(Some(place_of(audit_log, account, config.anchor_gap.0)))
}
