//! Where to anchor: one place by flags, or several by a file, each with its endpoints, key, policy and budget.

use std::path::{Path, PathBuf};

use anchor_worker::{AnchorPolicy, AtSpendCap, Pacing, PlaceConfig};
use anyhow::{Context, bail, ensure};
use chain::{Account, AuditLog, Chain, ChainError};
use proof::AnchorPlace;
use serde::Deserialize;
use store::LogIdentity;

use crate::config::{self, Anchor, ChainKeyAt, Span, parse_address};
use crate::keys;
use crate::roles::contracts;

/// One place, as the configuration names it. Reading it connects to nothing.
pub(super) struct Target {
    rpc_urls: Vec<String>,
    chain_id: Option<u64>,
    contract: [u8; 20],
    registrant: [u8; 20],
    account: Account,
    terms: Terms,
}

/// When to anchor there, and at what price.
struct Terms {
    gap: Span,
    staleness: Option<Span>,
    pin_every: Span,
    ceiling_gwei: u64,
    spend_cap_milli: Option<u64>,
    at_spend_cap: config::AtSpendCap,
    warn_days: f64,
}

/// A place in the file of places: what the flags say of one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rpc_urls: Vec<String>,
    addresses: PathBuf,
    key_file: Option<PathBuf>,
    key_password_file: Option<PathBuf>,
    key_command: Option<String>,
    sender: Option<String>,
    gap: Option<Span>,
    staleness: Option<Span>,
    pin_every: Option<Span>,
    ceiling_gwei: Option<u64>,
    spend_cap_milli: Option<u64>,
    at_spend_cap: Option<config::AtSpendCap>,
}

/// The places of the configuration; none is allowed.
pub(super) async fn read(config: &Anchor) -> anyhow::Result<Vec<Target>> {
    if let Some(file) = &config.places {
        return read_file(file, config).await;
    }
    let Some(rpc_url) = &config.chain_rpc_url else { return Ok(Vec::new()) };
    let Some(account) = keys::account(&config.chain_key).await? else {
        bail!("a chain needs --chain-key-file or --chain-key-command")
    };
    let (chain_id, contract, registrant) = match (&config.addresses, &config.contract, &config.registrant) {
        (Some(file), _, _) => {
            let place = contracts::addresses(file)?.place();
            (Some(place.chain_id), place.contract, place.registrant)
        }
        (None, Some(contract), Some(registrant)) => {
            (None, parse_address(contract)?, parse_address(registrant)?)
        }
        _ => bail!("a chain needs --addresses, or --contract and --registrant"),
    };
    Ok(vec![Target {
        rpc_urls: rpc_url.urls(),
        chain_id,
        contract,
        registrant,
        account,
        terms: Terms::of(config),
    }])
}

/// The file holds endpoints' keys, so nobody else may read it.
async fn read_file(file: &Path, config: &Anchor) -> anyhow::Result<Vec<Target>> {
    let at = || format!("the places in {}", file.display());
    let written: Vec<Written> = serde_json::from_str(&keys::read_secret(file)?).with_context(at)?;
    let mut targets = Vec::new();
    for it in written {
        let place = contracts::addresses(&it.addresses)?.place();
        let usual = Terms::of(config);
        let key = ChainKeyAt {
            chain_key_file: it.key_file,
            chain_key_password_file: it.key_password_file,
            chain_key: None,
            chain_key_command: it.key_command,
            chain_sender: it.sender,
        };
        let account = keys::account(&key).await.with_context(at)?;
        targets.push(Target {
            rpc_urls: it.rpc_urls,
            chain_id: Some(place.chain_id),
            contract: place.contract,
            registrant: place.registrant,
            account: account.context("a place needs key_file or key_command").with_context(at)?,
            terms: Terms {
                gap: it.gap.unwrap_or(usual.gap),
                staleness: it.staleness.or(usual.staleness),
                pin_every: it.pin_every.unwrap_or(usual.pin_every),
                ceiling_gwei: it.ceiling_gwei.unwrap_or(usual.ceiling_gwei),
                spend_cap_milli: it.spend_cap_milli.or(usual.spend_cap_milli),
                at_spend_cap: it.at_spend_cap.unwrap_or(usual.at_spend_cap),
                warn_days: usual.warn_days,
            },
        });
    }
    for (number, one) in targets.iter().enumerate() {
        let same = targets[..number]
            .iter()
            .any(|it| it.chain_id == one.chain_id && it.account.address() == one.account.address());
        // Each place counts its sender's nonces for itself.
        ensure!(!same, "{}: two places on one chain need two keys", at());
    }
    Ok(targets)
}

impl Terms {
    fn of(config: &Anchor) -> Self {
        Self {
            gap: config.anchor_gap,
            staleness: config.anchor_staleness,
            pin_every: config.anchor_pin_every,
            ceiling_gwei: config.anchor_ceiling_gwei,
            spend_cap_milli: config.anchor_spend_cap_milli,
            at_spend_cap: config.anchor_at_spend_cap,
            warn_days: config.anchor_warn_days,
        }
    }

    fn policy(&self, chain_id: u64) -> AnchorPolicy {
        let fee_ceiling_wei = u128::from(self.ceiling_gwei) * 1_000_000_000;
        AnchorPolicy {
            staleness_max_ms: self.staleness.map_or(0, |it| it.0.as_millis() as u64),
            pin_every_ms: self.pin_every.0.as_millis() as u64,
            fee_ceiling_wei,
            fee_limit_wei: 4 * fee_ceiling_wei,
            spend_cap_wei: self.spend_cap_milli.map(|it| u128::from(it) * 1_000_000_000_000_000),
            at_spend_cap: match self.at_spend_cap {
                config::AtSpendCap::DeadlineWins => AtSpendCap::DeadlineWins,
                config::AtSpendCap::Stop => AtSpendCap::Stop,
            },
            warn_days: self.warn_days,
            ..AnchorPolicy::new(chain_id, self.gap.0)
        }
    }
}

impl Target {
    /// The place. An endpoint that shows another contract than ours ends it here, before anything is sent; a chain that is
    /// down for now keeps nobody waiting, if its id is known: its contract is looked at as soon as it answers.
    pub(super) async fn place(self, log: &LogIdentity) -> anyhow::Result<PlaceConfig> {
        let mut found = Err(anyhow::anyhow!("no endpoint of the chain is given"));
        for url in &self.rpc_urls {
            found = self.look(url, log).await;
            if found.is_ok() {
                break;
            }
        }
        let chain_id = match (found, self.chain_id) {
            (Ok(chain_id), _) => chain_id,
            (Err(error), Some(chain_id)) if is_passing(&error) => {
                tracing::warn!(%error, chain_id, "the chain does not answer yet");
                chain_id
            }
            (Err(error), _) => return Err(error),
        };
        let at = AnchorPlace { chain_id, contract: self.contract, registrant: self.registrant };
        let endpoint = |url: &String| AuditLog::new(Chain::of_id(url, chain_id)?, at, &log.log_id);
        let endpoints = self.rpc_urls.iter().map(endpoint).collect::<Result<_, _>>()?;
        let policy = self.terms.policy(chain_id);
        Ok(PlaceConfig { endpoints, account: self.account, policy, pacing: Pacing::ANCHOR })
    }

    async fn look(&self, url: &str, log: &LogIdentity) -> anyhow::Result<u64> {
        let chain = Chain::connect(url).await?;
        let chain_id = self.chain_id.unwrap_or(chain.id());
        let at = AnchorPlace { chain_id, contract: self.contract, registrant: self.registrant };
        AuditLog::new(chain, at, &log.log_id)?.check_code().await?;
        Ok(chain_id)
    }
}

fn is_passing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ChainError::Unreachable(_) | ChainError::Refused(_)))
}
