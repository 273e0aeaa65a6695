//! `daftari anchor`: seals the log and anchors it.

use std::sync::Arc;
use std::time::Duration;

use anchor_worker::{AnchorPolicy, AtSpendCap, LogKey, Pacing, PlaceConfig, Witnesses};
use anyhow::{Context, bail};
use chain::{Account, AuditLog, Chain};
use proof::{AnchorPlace, Policy};
use store::{LogIdentity, PgPool};
use tiles::TileStore;
use tokio::net::TcpListener;

use crate::config::{self, Anchor, parse_address};
use crate::roles::{contracts, scrub, serve_operations};
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
        Some(target) => vec![target.place(&key.log()).await?],
        None => Vec::new(),
    };
    let operations = tokio::spawn(serve_operations(listener, pool.clone(), metrics, stop.clone()));
    let store = config.tiles.open()?;
    let policy = Policy::of_log(key.verifier_key());
    let mut worker = worker(pool, store, key, places);
    worker.witnesses = witnesses(&config)?;
    let scrubbing = config
        .scrub_every
        .map(|every| tokio::spawn(scrub::scrub(Arc::clone(&worker.folder), policy, every.0, stop.clone())));
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
    key: LogKey,
    places: Vec<PlaceConfig>,
) -> anchor_worker::Config {
    let (folder, witnesses) = (Arc::new(folder), None);
    anchor_worker::Config { pool, folder, key, seal_pacing: Pacing::SEAL, witnesses, places }
}

fn witnesses(config: &Anchor) -> anyhow::Result<Option<(Witnesses, Duration)>> {
    let Some(path) = &config.witness_policy_file else { return Ok(None) };
    let at = || format!("the policy {} cannot be read", path.display());
    let policy = Policy::parse(&std::fs::read_to_string(path).with_context(at)?).with_context(at)?;
    Ok(Some((Witnesses::new(policy, config.witness_budget.0)?, config.witness_freshness.0)))
}

/// What the configuration says of when to anchor, and at what price.
fn policy(config: &Anchor, chain_id: u64) -> AnchorPolicy {
    let fee_ceiling_wei = u128::from(config.anchor_ceiling_gwei) * 1_000_000_000;
    AnchorPolicy {
        staleness_max_ms: config.anchor_staleness.map_or(0, |it| it.0.as_millis() as u64),
        fee_ceiling_wei,
        fee_limit_wei: 4 * fee_ceiling_wei,
        spend_cap_wei: config.anchor_spend_cap_milli.map(|it| u128::from(it) * 1_000_000_000_000_000),
        at_spend_cap: match config.anchor_at_spend_cap {
            config::AtSpendCap::DeadlineWins => AtSpendCap::DeadlineWins,
            config::AtSpendCap::Stop => AtSpendCap::Stop,
        },
        ..AnchorPolicy::new(chain_id, config.anchor_gap.0)
    }
}

/// One place to anchor to, with the usual policy.
pub(crate) fn place_of(audit_log: AuditLog, account: Account, gap: Duration) -> PlaceConfig {
    let policy = AnchorPolicy::new(audit_log.chain().id(), gap);
    PlaceConfig { endpoints: vec![audit_log], account, policy, pacing: Pacing::ANCHOR }
}

/// Where the configuration says to anchor. Reading it connects to nothing.
struct Target {
    config: Anchor,
    rpc_urls: Vec<String>,
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
        let rpc_urls = rpc_url.0.split(',').map(|it| it.trim().to_owned()).collect();
        Ok(Some(Self { config: config.clone(), rpc_urls, chain_id, contract, registrant, account }))
    }

    /// The place, once an endpoint has shown that the contract there is ours: to any other nothing is ever sent. The chain
    /// is that of the first endpoint that answers; the others may be down for now.
    async fn place(self, log: &LogIdentity) -> anyhow::Result<PlaceConfig> {
        let mut found = Err(anyhow::anyhow!("--chain-rpc-url is empty"));
        for url in &self.rpc_urls {
            found = Chain::connect(url).await.map_err(anyhow::Error::from);
            if found.is_ok() {
                break;
            }
        }
        let chain = found?;
        let chain_id = self.chain_id.unwrap_or(chain.id());
        let at = AnchorPlace { chain_id, contract: self.contract, registrant: self.registrant };
        AuditLog::new(chain, at, &log.log_id)?.check_code().await?;
        let endpoint = |url: &String| AuditLog::new(Chain::of_id(url, chain_id)?, at, &log.log_id);
        let endpoints = self.rpc_urls.iter().map(endpoint).collect::<Result<_, _>>()?;
        let policy = policy(&self.config, chain_id);
        Ok(PlaceConfig { endpoints, account: self.account, policy, pacing: Pacing::ANCHOR })
    }
}
