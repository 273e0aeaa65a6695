//! The bridge: points between the books and a chain. It reads what a gateway shows, once it is final, has the books credit
//! what was burned there, take back what was never claimed and post what expired there, and hands in claims, which anybody may.
//!
//! Nothing is remembered here. What the books have done stands under the key of the burn or of the withdrawal, and
//! what the chain has done, the gateway says: so a round that was cut off anywhere is begun again, and two bridges at
//! once do nothing twice.

mod agreement;
mod audit;
mod check;
mod claims;
mod errors;
mod fees;
mod heads;
mod missed;
mod post;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chain::{Account, AuditLog, Fees, Gateway, GatewayTerms};
use proof::{AnchorPlace, Hash};
use store::{Committer, GatewayAt, GatewayFacts, Keyring, PgConnection, PgPool, StoreError};
use tiles::TileStore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::run::{Pacing, rests_until_stopped};

pub use agreement::agreed_terms;
pub use audit::{BridgeAudit, audit_bridge};
pub use errors::{BridgeDoubt, BridgeError, BridgeObstacle};

/// One gateway, and what is needed to serve it.
pub struct BridgeConfig {
    /// The database.
    pub pool: PgPool,
    /// Opens the bodies of withdrawals.
    pub keyring: Keyring,
    /// Where credits are posted.
    pub committer: Committer,
    /// The log, for the proofs of claims.
    pub tiles: Arc<TileStore>,
    /// The gateway, through each endpoint of its chain; one at least.
    pub endpoints: Vec<Gateway>,
    /// The log's place in the audit contract, through the same endpoints.
    pub audit_logs: Vec<AuditLog>,
    /// What the gateway was made with.
    pub terms: GatewayTerms,
    /// Whose points it mints.
    pub program_id: i16,
    /// In which unit.
    pub unit: u16,
    /// From which block on the gateway is read where it is not known yet.
    pub first_block: u64,
    /// Who pays for settlements and claims; without it they are left to others.
    pub account: Option<Account>,
    /// Claims that are believed although they pay none of the books' withdrawals: an operator knows what they are.
    pub accepted_claims: Vec<Hash>,
    /// Nothing is sent while a unit of gas costs more.
    pub fee_ceiling_wei: u128,
    /// How often the books are held against the chain, at most; zero is never.
    pub check_every: Duration,
    /// How deep a block must be although it is called final.
    pub final_depth_min: u64,
    /// How deep where nobody says what is final.
    pub final_depth_alone: u64,
}

impl BridgeConfig {
    /// What the books know of the gateway.
    fn known_terms(&self) -> ledger::Gateway {
        let GatewayTerms { points, epoch_s, zone_s, .. } = self.terms;
        ledger::Gateway { unit: self.unit, token: points, epoch_s, zone_s }
    }

    /// What is wrong where the gateway's local days end after those of the program, as its policy is now.
    async fn check_days(&self, conn: &mut PgConnection) -> Result<Option<BridgeObstacle>, StoreError> {
        let terms = self.known_terms();
        let program = store::terms(conn, self.program_id).await?;
        let today = program.moment(store::clock_us(conn).await?).day;
        let is_behind = !terms.keeps_days(&program, today);
        Ok(is_behind.then_some(BridgeObstacle::LocalTime { zone_s: terms.zone_s }))
    }
}

/// A transaction that was handed over and is in no block yet.
#[derive(Debug)]
struct Pending {
    nonce: u64,
    fees: Fees,
    raw: Vec<u8>,
    sent: std::time::Instant,
}

/// The bridge to one gateway.
pub struct Bridge {
    config: BridgeConfig,
    at: GatewayAt,
    holder: Uuid,
    /// How many blocks are asked for at once.
    stride: u64,
    expiries: BTreeMap<u64, u64>,
    /// Heads that this process has had settled and that may not be final.
    settling: BTreeMap<(u64, Hash), claims::Tried>,
    pending: Option<Pending>,
    /// At which endpoint the next round of claims begins.
    turn: usize,
    /// Whether no endpoint took what was handed over last: told once.
    is_refused: bool,
    /// Claims that the gateway refuses, by leaf, with its reason: told once.
    refused: BTreeMap<u64, String>,
    /// Claims that were handed in, by leaf.
    tried: BTreeMap<u64, claims::Tried>,
    /// How far payments were looked for that no event showed.
    search: missed::Search,
    /// By endpoint, the contract's head that it showed last, where it is none of this log's: told once.
    strange: BTreeMap<usize, (u64, Hash)>,
    /// Heads that were settled and are none of this log's: told once.
    settled_strange: Vec<(u64, Hash)>,
    checks: check::Checks,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bridged {
    /// How many blocks were read.
    pub blocks: u64,
    /// How many burns were credited.
    pub credited: u64,
    /// How many withdrawals were taken back.
    pub taken_back: u64,
    /// How many points were posted to breakage.
    pub expired: u64,
    /// How many transactions were handed over.
    pub sent: u64,
}

impl Bridge {
    /// The bridge of this configuration. From here on the books know its gateway, and send points there.
    pub async fn open(config: BridgeConfig) -> Result<Self, BridgeError> {
        assert!(!config.endpoints.is_empty(), "a gateway is seen through an endpoint");
        let gateway = &config.endpoints[0];
        let at = GatewayAt { chain_id: gateway.chain().id(), contract: gateway.contract() };
        let conn = &mut *config.pool.acquire().await.map_err(StoreError::from)?;
        let first_block = config.first_block;
        let is_known = store::gateway_state(conn, &at).await?.is_some();
        match (config.audit_logs[0].is_settled_by(&config.terms), is_known) {
            (true, _) => {}
            // It has followed the log to its successor: what was settled before is still claimed, credited and taken back.
            (false, true) => tracing::warn!(chain_id = at.chain_id, "the gateway settles another log now"),
            (false, false) => return Err(BridgeObstacle::OtherLog.into()),
        }
        if !is_known {
            // Whatever is claimed or burned from now on is then in a block that will be read.
            let (min, alone) = (config.final_depth_min, config.final_depth_alone);
            let last = agreement::agreed_final(&config.endpoints, min, alone).await?.unwrap_or(0);
            if last < first_block {
                return Err(BridgeObstacle::FirstBlock { first_block, last }.into());
            }
            // Of what came before, these books could credit nothing and post nothing that expires.
            let points = &config.terms.points;
            if let Some(unexpired @ 1..) =
                agreement::supply_before(&config.endpoints, points, first_block).await?
            {
                return Err(BridgeObstacle::UsedBefore { first_block, unexpired }.into());
            }
        }
        if let Some(obstacle) = config.check_days(conn).await? {
            return Err(obstacle.into());
        }
        let terms = config.known_terms();
        let facts = GatewayFacts { program_id: config.program_id, terms, first_block };
        store::ensure_gateway(conn, &at, &facts).await?;
        Ok(Self {
            config,
            at,
            holder: Uuid::new_v4(),
            stride: watch::STRIDE_MAX,
            expiries: BTreeMap::new(),
            settling: BTreeMap::new(),
            pending: None,
            turn: 0,
            is_refused: false,
            refused: BTreeMap::new(),
            tried: BTreeMap::new(),
            search: missed::Search::BEGIN,
            strange: BTreeMap::new(),
            settled_strange: Vec::new(),
            checks: check::Checks::new(),
        })
    }

    /// One round: reads, credits, takes back, posts what expired, claims.
    pub async fn step(&mut self) -> Result<Bridged, BridgeError> {
        self.look_at_settled().await?;
        let blocks = self.watch().await?;
        let credited = self.credit().await?;
        let (open, taken_back) = self.take_back().await?;
        let expired = self.expire().await?;
        let sent = self.claim(&open).await?;
        self.tell().await?;
        Ok(Bridged { blocks, credited, taken_back, expired, sent })
    }

    async fn tell(&self) -> Result<(), BridgeError> {
        let label = self.at.chain_id.to_string();
        let conn = &mut *self.connection().await?;
        let state = store::gateway_state(conn, &self.at).await?;
        let open = store::burns(conn, &self.at, true, 1000).await?;
        let unknown = open.iter().filter(|it| it.problem.is_some()).count();
        metrics::gauge!("daftari_bridge_known_until", "chain_id" => label.clone())
            .set(state.map_or(0, |it| it.known_until) as f64);
        metrics::gauge!("daftari_bridge_burns_open", "chain_id" => label.clone()).set(open.len() as f64);
        metrics::gauge!("daftari_bridge_burns_in_trouble", "chain_id" => label.clone()).set(unknown as f64);
        metrics::gauge!("daftari_bridge_claims_refused", "chain_id" => label).set(self.refused.len() as f64);
        Ok(())
    }

    async fn connection(&self) -> Result<store::Pooled, StoreError> {
        Ok(self.config.pool.acquire().await?)
    }

    /// Where the lease of this bridge's sender is kept: beside those of anchors, as the gateway and the sender.
    fn lease(&self, account: &Account) -> AnchorPlace {
        AnchorPlace { chain_id: self.at.chain_id, contract: self.at.contract, registrant: account.address() }
    }
}

/// Bridges until it is told to stop. What cannot be done now is tried again; what is in doubt stands still, with the alarm
/// `daftari_bridge_halted`.
pub async fn bridge_until(mut bridge: Bridge, pacing: Pacing, stop: CancellationToken) {
    let chain_id = bridge.at.chain_id;
    let halted = metrics::gauge!("daftari_bridge_halted", "chain_id" => chain_id.to_string());
    let (mut failures, mut has_halted) = (0, false);
    loop {
        let stepped = bridge.step().await;
        let is_halt = matches!(stepped, Err(BridgeError::Halt(_)));
        halted.set(f64::from(u8::from(is_halt)));
        match stepped {
            // There may be more to read.
            Ok(done) if done.blocks == bridge.stride => {
                failures = 0;
                continue;
            }
            Ok(done) => {
                failures = 0;
                if done.credited + done.taken_back + done.expired + done.sent != 0 {
                    tracing::info!(chain_id, ?done, "bridged");
                }
                bridge.check_when_due().await;
            }
            Err(BridgeError::Retry(obstacle)) => {
                failures += 1;
                tracing::warn!(%obstacle, chain_id, failures, "the bridge waits");
            }
            Err(BridgeError::Halt(doubt)) => {
                failures += 1;
                if !has_halted {
                    tracing::error!(%doubt, chain_id, "the bridge halts; everything else goes on");
                }
            }
        }
        has_halted = is_halt;
        if rests_until_stopped(pacing.after_failures(failures), &stop).await {
            return;
        }
    }
}
