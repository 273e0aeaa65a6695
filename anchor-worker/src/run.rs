//! The worker: one loop that seals, and one for each place that anchors there.

use std::sync::Arc;
use std::time::Duration;

use chain::{Account, AuditLog};
use store::PgPool;
use tiles::TileStore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::anchor::{AnchorError, Anchorer, Stepped};
use crate::keys::LogKeys;
use crate::machine::AnchorPolicy;
use crate::seal::{SealError, Sealer};
use crate::witnesses::Witnesses;

/// How long to wait between two rounds of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// After a round that did what it could.
    pub gap: Duration,
    /// After repeated failures, at most. The first failure waits a gap, each further one twice as long.
    pub back_off_max: Duration,
}

impl Pacing {
    /// Sealing's: 200 ms after the last seal.
    pub const SEAL: Self = Self { gap: Duration::from_millis(200), back_off_max: Duration::from_secs(5) };
    /// Anchoring's: about as often as a chain has blocks.
    pub const ANCHOR: Self = Self { gap: Duration::from_secs(1), back_off_max: Duration::from_secs(30) };

    pub(crate) fn after_failures(&self, failures: u32) -> Duration {
        self.gap.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.back_off_max.max(self.gap))
    }
}

/// What a worker works on.
pub struct Config {
    /// The database.
    pub pool: PgPool,
    /// The log's folder.
    pub folder: Arc<TileStore>,
    /// The log's keys.
    pub keys: LogKeys,
    /// The pace of sealing.
    pub seal_pacing: Pacing,
    /// The witnesses that are shown each checkpoint.
    pub witnesses: Option<Witnesses>,
    /// After how long an idle log's checkpoint is published again.
    pub freshness: Duration,
    /// Where to anchor; nowhere is allowed.
    pub places: Vec<PlaceConfig>,
}

/// One place to anchor to.
pub struct PlaceConfig {
    /// The log's place in the contract, through each endpoint of the chain; one at least.
    pub endpoints: Vec<AuditLog>,
    /// Who pays and signs.
    pub account: Account,
    /// When.
    pub policy: AnchorPolicy,
    /// The pace of looking.
    pub pacing: Pacing,
}

/// Seals and anchors until told to stop, or until sealing halts. A place whose sender halts raises its alarm, the
/// gauge `daftari_anchor_halted`, and stands still; sealing and the other places go on.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), SealError> {
    let Config { pool, folder, keys, seal_pacing, witnesses, freshness, places } = config;
    let contracts = places.iter().flat_map(|it| it.endpoints.iter().cloned()).collect();
    let mut sealer = Sealer::new(pool.clone(), Arc::clone(&folder), keys)
        .with_contracts(contracts)
        .with_freshness(freshness);
    if let Some(witnesses) = witnesses {
        sealer = sealer.with_witnesses(witnesses);
    }
    // Whoever leaves, by an error too, stops the rest: a log in doubt is not anchored either.
    let stop = shutdown.child_token();
    let mut anchoring = JoinSet::new();
    for place in places {
        let PlaceConfig { endpoints, account, policy, pacing } = place;
        let folder = Arc::clone(&folder);
        let anchorer = Anchorer::with_endpoints(pool.clone(), folder, endpoints, account, policy);
        anchoring.spawn(anchor_until(anchorer, pacing, stop.clone()));
    }
    let sealed = seal_until(sealer, seal_pacing, stop.clone()).await;
    stop.cancel();
    while let Some(ended) = anchoring.join_next().await {
        ended.expect("anchoring does not panic");
    }
    sealed
}

async fn seal_until(mut sealer: Sealer, pacing: Pacing, stop: CancellationToken) -> Result<(), SealError> {
    let mut failures = 0;
    loop {
        match sealer.seal().await {
            Ok(_) => failures = 0,
            Err(SealError::Retry(obstacle)) => {
                failures += 1;
                tracing::warn!(%obstacle, failures, "sealing waits");
            }
            Err(halt) => return Err(halt),
        }
        if rests_until_stopped(pacing.after_failures(failures), &stop).await {
            return Ok(());
        }
    }
}

async fn anchor_until(mut anchorer: Anchorer, pacing: Pacing, stop: CancellationToken) {
    let chain_id = anchorer.chain_id();
    let halted = metrics::gauge!("daftari_anchor_halted", "chain_id" => chain_id.to_string());
    halted.set(0.0);
    let (mut failures, mut has_halted) = (0, false);
    loop {
        let stepped = anchorer.step().await;
        let is_halt = matches!(stepped, Err(AnchorError::Halt(_)));
        halted.set(f64::from(u8::from(is_halt)));
        match stepped {
            // What was stored is sent at once.
            Ok(Stepped::Armed) => {
                failures = 0;
                continue;
            }
            Ok(_) => failures = 0,
            Err(AnchorError::Retry(obstacle)) => {
                failures += 1;
                tracing::warn!(%obstacle, chain_id, failures, "anchoring waits");
            }
            // It stands still until an operator lets it go on; told once.
            Err(AnchorError::Halt(doubt)) => {
                failures += 1;
                if !has_halted {
                    tracing::error!(%doubt, chain_id, "anchoring halts; sealing goes on");
                }
            }
        }
        has_halted = is_halt;
        if rests_until_stopped(pacing.after_failures(failures), &stop).await {
            break;
        }
    }
    if let Err(error) = anchorer.leave().await {
        tracing::warn!(%error, chain_id, "the lease could not be given up");
    }
}

pub(crate) async fn rests_until_stopped(rest: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = tokio::time::sleep(rest) => false,
    }
}
