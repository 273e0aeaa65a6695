//! Anchor: the newest checkpoint goes to the contract. The contract's state is the truth and our records only explain
//! it, so every round begins by asking all endpoints, and a restart is no special case: [`crate::machine`] decides.

mod cost;
mod errors;
mod hurry;
mod look;
mod note;
mod published;
mod recall;
mod send;

use std::collections::BTreeMap;
use std::sync::Arc;

use chain::{ANCHOR_GAS_MAX, Account, AuditLog};
use store::{PgConnection, PgPool, Pinned, PlaceFacts, StoreError};
use tiles::TileStore;
use uuid::Uuid;

use crate::failpoint::{Act as Durable, Failpoint, Moment};
use crate::machine::{Act, Alarm, AnchorPolicy, Decision, Memory, Owed, World, days_left, decide};
use crate::schedule::{Schedule, Timing, Verdict};

pub use cost::{AnchorCosts, anchor_costs};
pub use errors::{AnchorDoubt, AnchorError, AnchorObstacle};
use hurry::Hurry;
use look::Looked;
use published::Published;
pub(crate) use published::recorded;

/// For how long a lease holds: two rounds that meet only silent endpoints fit in, and a standby takes over soon.
const LEASE_MS: u64 = 8_000;
/// After how many rounds in which no endpoint answers the lease is given up: a standby may see more.
const BLIND_ROUNDS: u32 = 3;

/// Forgets what was recorded of a development chain that has begun anew since: one that shows no anchor of ours. It must be
/// called before any anchorer of the place starts. A real chain is never believed to have begun anew.
pub async fn forget_if_reset(pool: &PgPool, audit_log: &AuditLog) -> Result<(), AnchorError> {
    let place = audit_log.place();
    if !chain::dev::is_dev(place.chain_id) || audit_log.head().await?.size != 0 {
        return Ok(());
    }
    let conn = &mut *pool.acquire().await.map_err(StoreError::from)?;
    let forgotten = store::forget_place(conn, &place).await?;
    if forgotten != 0 {
        let chain_id = place.chain_id;
        tracing::warn!(
            chain_id,
            forgotten,
            "the development chain shows no anchor: what was recorded of it is forgotten"
        );
    }
    Ok(())
}

/// What a round did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Another worker holds the lease.
    StoodBy,
    /// Nothing, for this reason.
    Rested(String),
    /// Signed and stored a transaction; the next round sends it.
    Armed,
    /// Handed stored transactions to the endpoints.
    Broadcast,
}

/// The sender of one log's anchors to one place.
pub struct Anchorer {
    pool: PgPool,
    folder: Arc<TileStore>,
    endpoints: Vec<AuditLog>,
    account: Account,
    policy: AnchorPolicy,
    holder: Uuid,
    memory: Memory,
    schedule: Schedule,
    // Whether the schedule knows what the process before knew, and when the last header was written down.
    is_recalled: bool,
    remembered_ms: u64,
    told_costs_ms: u64,
    // What this process has handed over: what another had sent may have gone with the node that took it, unless this one
    // stood by while it was sent.
    sent: BTreeMap<i64, u64>,
    has_stood_by: bool,
    hurry: Hurry,
    published: Published,
    alarms: Vec<Alarm>,
    // For how many rounds no endpoint has answered.
    blind_rounds: u32,
    // Endpoints that have shown that the contract there is ours.
    is_known: Vec<bool>,
    failpoint: Failpoint,
}

impl Anchorer {
    /// A sender from this account to this place, through one endpoint.
    pub fn new(
        pool: PgPool,
        folder: Arc<TileStore>,
        audit_log: AuditLog,
        account: Account,
        policy: AnchorPolicy,
    ) -> Self {
        Self::with_endpoints(pool, folder, vec![audit_log], account, policy)
    }

    /// A sender through several endpoints of the same chain: the same place, seen through each.
    pub fn with_endpoints(
        pool: PgPool,
        folder: Arc<TileStore>,
        endpoints: Vec<AuditLog>,
        account: Account,
        policy: AnchorPolicy,
    ) -> Self {
        assert!(!endpoints.is_empty(), "a place is seen through an endpoint");
        let is_known = vec![false; endpoints.len()];
        Self {
            pool,
            folder,
            endpoints,
            account,
            policy,
            holder: Uuid::new_v4(),
            memory: Memory::default(),
            schedule: Schedule::default(),
            is_recalled: false,
            remembered_ms: 0,
            told_costs_ms: 0,
            sent: BTreeMap::new(),
            has_stood_by: false,
            hurry: Hurry::default(),
            published: Published::default(),
            alarms: Vec::new(),
            blind_rounds: 0,
            is_known,
            failpoint: crate::nowhere(),
        }
    }

    /// The same sender, ending where the failpoint says.
    #[must_use]
    pub fn with_failpoint(self, failpoint: Failpoint) -> Self {
        Self { failpoint, ..self }
    }

    /// The same sender as a process that has just ended, so that a test need not wait for the end of its lease.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn of_holder(self, holder: Uuid) -> Self {
        Self { holder, ..self }
    }

    /// The chain that it sends to.
    pub fn chain_id(&self) -> u64 {
        self.endpoints[0].place().chain_id
    }

    /// What an operator should know, as of the last round.
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// One round: asks all endpoints, decides, writes down what is known, then acts.
    pub async fn step(&mut self) -> Result<Stepped, AnchorError> {
        if BLIND_ROUNDS <= self.blind_rounds {
            // Without an answer it asks for no lease: between two that are blind it would go back and forth.
            if let Err(error) = self.sees().await {
                let conn = &mut *self.pool.acquire().await.map_err(StoreError::from)?;
                let place = self.endpoints[0].place();
                self.tell_age(&store::place_facts(conn, &place, &self.account.address()).await?);
                return Err(AnchorObstacle::Chain(error).into());
            }
        }
        let pool = self.pool.clone();
        let conn = &mut *pool.acquire().await.map_err(StoreError::from)?;
        let place = self.endpoints[0].place();
        let Some(token) = store::hold_lease(conn, &place, self.holder, LEASE_MS).await? else {
            // Whoever takes over begins like a new process, but for what was sent: it went to the same endpoints.
            (self.memory, self.sent, self.is_recalled) = (Memory::default(), BTreeMap::new(), false);
            (self.has_stood_by, self.blind_rounds) = (true, 0);
            // What there is to say, whoever holds the lease says.
            self.alarm(&[], "");
            return Ok(Stepped::StoodBy);
        };
        if let Some(why) = store::anchor_order(conn, &place).await?.halted {
            return Err(AnchorDoubt::Standing(why).into());
        }
        if !self.is_recalled {
            self.recall(conn).await?;
        }
        let looked = self.look(conn).await?;
        self.blind_rounds = if looked.is_blind() { self.blind_rounds.saturating_add(1) } else { 0 };
        // Read after the newest checkpoint: what is sealed after an operator has paused the place is not anchored.
        let order = store::anchor_order(conn, &place).await?;
        let facts = store::place_facts(conn, &place, &self.account.address()).await?;
        let pinned = match self.policy.pin_every_ms {
            0 => Pinned::default(),
            _ => store::pinned(conn, &place).await?,
        };
        let decision = self.decide(&looked, &facts, pinned, order.is_forced);
        // Before it is noted: what has happened once is found by no later round.
        self.tell(&looked, &facts, &decision);
        self.note(conn, &looked, &decision).await?;
        if let Err(error) = self.remember(conn, &looked, facts.now_ms).await {
            tracing::warn!(chain_id = place.chain_id, %error, "what a block costs is not written down");
        }
        let obstacle = looked.obstacle(&decision, &facts);
        if decision.alarms.contains(&Alarm::NotAdmitted) {
            // Perhaps the writer's key was moved, and a worker that has the new one stands by.
            store::release_lease(conn, &place, self.holder).await?;
        }
        if BLIND_ROUNDS <= self.blind_rounds {
            // Whoever has it meanwhile learns on.
            self.is_recalled = false;
            store::release_lease(conn, &place, self.holder).await?;
        }
        match decision.act {
            Act::Halt(doubt) => {
                store::halt_anchoring(conn, &place, &AnchorDoubt::from(doubt).to_string()).await?;
                Err(AnchorDoubt::from(doubt).into())
            }
            Act::Rest => obstacle.map_or(Ok(Stepped::Rested(decision.why)), |it| Err(it.into())),
            _ if order.paused.is_some() => Ok(Stepped::Rested("an operator has paused it".to_owned())),
            Act::Broadcast(ids) => self.broadcast(conn, &looked, &ids, &decision.why, facts.now_ms).await,
            Act::Arm(plan) => self.arm(conn, &looked, &plan, &decision.why, token).await,
        }
    }

    /// Gives the lease up, so that a standby need not wait for its end.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let conn = &mut *self.pool.acquire().await?;
        store::release_lease(conn, &self.endpoints[0].place(), self.holder).await
    }

    fn decide(&mut self, looked: &Looked, facts: &PlaceFacts, pinned: Pinned, is_forced: bool) -> Decision {
        let Self { policy, schedule, memory, .. } = self;
        if let Some(it) = looked.usual() {
            schedule.observe(policy, it.block, it.block_time_s.saturating_mul(1000), it.base_fee_wei);
        }
        let world = World {
            now_ms: facts.now_ms,
            reports: &looked.reports,
            attempts: &looked.attempts,
            settled_size: facts.settled_size,
            nonce_next: facts.nonce_next,
            gas_max: ANCHOR_GAS_MAX,
            pinned,
            spent_wei: facts.spent_wei,
            block_ms: schedule.block_ms(),
        };
        let timing = |owed: &Owed| {
            let verdict = schedule.verdict(policy, owed, facts.now_ms, facts.last_anchor_ms);
            match verdict.timing {
                Timing::Wait if is_forced => {
                    let why = "an operator asked for it".to_owned();
                    Verdict { timing: Timing::Send, why, ..verdict }
                }
                _ => verdict,
            }
        };
        decide(policy, memory, &world, &timing)
    }

    /// Tells alarms once when they begin and once when they end, and counts the beginnings: one of a single round is over before
    /// anybody asks for figures.
    fn alarm(&mut self, alarms: &[Alarm], why: &str) {
        let chain_id = self.chain_id();
        let label = chain_id.to_string();
        for alarm in Alarm::ALL {
            let (is, was) = (alarms.contains(&alarm), self.alarms.contains(&alarm));
            metrics::gauge!("daftari_anchor_alarm", "chain_id" => label.clone(), "alarm" => alarm.name())
                .set(f64::from(u8::from(is)));
            // It is there from the first round on: whoever looks at its growth has seen where it began.
            metrics::counter!("daftari_anchor_alarms_total", "chain_id" => label.clone(), "alarm" => alarm.name())
                .increment(u64::from(is && !was));
            match (was, is) {
                (false, true) => tracing::error!(chain_id, alarm = alarm.name(), why, "alarm"),
                (true, false) => tracing::info!(chain_id, alarm = alarm.name(), "the alarm is over"),
                _ => {}
            }
        }
        self.alarms = alarms.to_vec();
    }

    /// What a round found, as figures.
    fn tell(&mut self, looked: &Looked, facts: &PlaceFacts, decision: &Decision) {
        self.alarm(&decision.alarms, &decision.why);
        let label = self.chain_id().to_string();
        for (number, failures) in self.memory.failures().enumerate() {
            let number = number.to_string();
            metrics::gauge!("daftari_anchor_endpoint_failures", "chain_id" => label.clone(), "endpoint" => number)
                .set(f64::from(failures));
        }
        metrics::gauge!("daftari_anchor_spent_wei", "chain_id" => label.clone()).set(facts.spent_wei as f64);
        self.tell_age(facts);
        let Some(report) = decision.believed.and_then(|it| looked.reports[it].as_ref()) else { return };
        metrics::gauge!("daftari_unanchored_leaves", "chain_id" => label.clone())
            .set(looked.log_size.saturating_sub(report.head.size) as f64);
        metrics::gauge!("daftari_anchor_balance_wei", "chain_id" => label.clone())
            .set(report.balance_wei as f64);
        let days = days_left(&self.policy, ANCHOR_GAS_MAX, report.base_fee_wei, report.balance_wei);
        metrics::gauge!("daftari_anchor_days_left", "chain_id" => label.clone()).set(days);
        metrics::gauge!("daftari_base_fee_wei", "chain_id" => label).set(report.base_fee_wei as f64);
    }

    /// How long ago the last anchor was: what nobody can see grows old all the same.
    fn tell_age(&self, facts: &PlaceFacts) {
        if let Some(age_ms) = facts.last_anchor_ms.map(|it| facts.now_ms.saturating_sub(it)) {
            metrics::gauge!("daftari_last_anchor_age_seconds", "chain_id" => self.chain_id().to_string())
                .set(age_ms as f64 / 1000.0);
        }
    }

    fn passes(&self, act: Durable, moment: Moment) -> Result<(), AnchorError> {
        if (self.failpoint)(act, moment) {
            Err(AnchorObstacle::Failpoint(act, moment).into())
        } else {
            Ok(())
        }
    }
}

async fn log_size(conn: &mut PgConnection) -> Result<u64, AnchorError> {
    Ok(store::log_size(conn).await?)
}
