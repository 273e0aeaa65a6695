//! `daftari anchor`: seals the log and anchors it.

use std::sync::Arc;
use std::time::Duration;

use anchor_worker::{AnchorPolicy, LogKey, Pacing, PlaceConfig};
use anyhow::{Context, bail};
use chain::{Account, AuditLog, Chain};
use proof::AnchorPlace;
use store::{LogIdentity, PgPool};
use tiles::TileFolder;
use tokio::net::TcpListener;

use crate::config::{Anchor, parse_address};
use crate::roles::{contracts, serve_operations};
use crate::{keys, logging, signals};

/// Seal and anchor hold few connections: they read in order, and write little.
const CONNECTIONS: u32 = 6;

pub(crate) async fn run(config: Anchor) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let metrics = logging::collect_metrics()?;
    let target = Target::read(&config)?;
    let key = LogKey::open(&config.log.log_key_file, &config.log.origin)?;
    let pool =
        store::connect(&config.database_url.0, CONNECTIONS).await.context("cannot use the database")?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let places = match target {
        Some(target) => vec![target.place(&key.log(), config.anchor_gap.0).await?],
        None => Vec::new(),
    };
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
    PlaceConfig { endpoints: vec![audit_log], account, policy, pacing: Pacing::ANCHOR }
}

/// Where the configuration says to anchor. Reading it connects to nothing.
struct Target {
    rpc_url: String,
    chain_id: Option<u64>,
    contract: [u8; 20],
    registrant: [u8; 20],
    account: Account,
}

impl Target {
    fn read(config: &Anchor) -> anyhow::Result<Option<Self>> {
        let Some(rpc_url) = &config.chain_rpc_url else { return Ok(None) };
        let Some(key_file) = &config.chain_key_file else { bail!("a chain needs --chain-key-file") };
        let (chain_id, contract, registrant) = match (&config.addresses, &config.contract, &config.registrant)
        {
            (Some(file), _, _) => {
                let place = contracts::addresses(file)?.place();
                (Some(place.chain_id), place.contract, place.registrant)
            }
            (None, Some(contract), Some(registrant)) => {
                (None, parse_address(contract)?, parse_address(registrant)?)
            }
            _ => bail!("a chain needs --addresses, or --contract and --registrant"),
        };
        let account = Account::from_key(&keys::read_secret(key_file)?)?;
        Ok(Some(Self { rpc_url: rpc_url.0.clone(), chain_id, contract, registrant, account }))
    }

    /// The place, once it is sure that the contract there is ours: to any other nothing is ever sent.
    async fn place(self, log: &LogIdentity, gap: Duration) -> anyhow::Result<PlaceConfig> {
        let chain = Chain::connect(&self.rpc_url).await?;
        let chain_id = self.chain_id.unwrap_or(chain.id());
        let at = AnchorPlace { chain_id, contract: self.contract, registrant: self.registrant };
        let audit_log = AuditLog::new(chain, at, &log.log_id)?;
        audit_log.check_code().await?;
        Ok(place_of(audit_log, self.account, gap))
    }
}
