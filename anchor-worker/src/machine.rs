//! The decision: what is next for the anchors of one log in one place, from what is stored, what the endpoints show and
//! the clock. Pure: the shell asks the endpoints, calls [`decide`], writes down its notes, then does its act.
//!
//! What makes it safe is not that it believes the right endpoint, but that believing the wrong one is cheap: a nonce is
//! used once, and the contract takes an anchor only where it extends the head. So of views that disagree the one that
//! owes more is believed first, and what it does in vain costs nothing.

mod fees;
mod follow;
mod policy;
mod view;

use std::collections::BTreeMap;

use chain::Fees;
use store::{AttemptState, Pinned};

use crate::schedule::{Timing, Verdict};

pub use fees::{bumped, first_fees};
pub use policy::{AnchorPolicy, AtSpendCap};
pub use view::Memory;
use view::View;

/// What one endpoint shows, all of it as of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The newest block's number.
    pub block: u64,
    /// Its base fee.
    pub base_fee_wei: u128,
    /// The newest block that the endpoint calls final, where it says.
    pub finalized: Option<u64>,
    /// The contract's head.
    pub head: HeadSeen,
    /// How many transactions of the sender are in blocks.
    pub nonce: u64,
    /// The same as of the finalized block.
    pub nonce_final: Option<u64>,
    /// What the sender has to pay with.
    pub balance_wei: u128,
    /// What the endpoint says of each of our open attempts.
    pub sights: BTreeMap<i64, Sight>,
}

/// The contract's head, held against our own checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSeen {
    /// Its size.
    pub size: u64,
    /// Whether it is a checkpoint of this log, or nothing yet.
    pub is_ours: bool,
    /// Whether the contract takes anchors from us.
    pub admits_us: bool,
    /// What it does not cover yet, if anything.
    pub owed: Option<Owed>,
}

/// What a head does not cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The size of the newest checkpoint.
    pub size: u64,
    /// When the oldest leaf beyond the head was recorded.
    pub oldest_ms: u64,
    /// When the oldest leaf beyond the head that is in a hurry was recorded.
    pub hurried_ms: Option<u64>,
}

/// What an endpoint says of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It does not know it.
    Unknown,
    /// It waits for a block.
    Pooled,
    /// It is in a block.
    Mined {
        /// The block's number.
        block: u64,
        /// The block's hash.
        block_hash: [u8; 32],
        /// Whether it did what it was to do; else it was reverted.
        succeeded: bool,
    },
}

/// A signed and stored transaction whose story has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its row.
    pub id: i64,
    /// Whether another account signed it than the one that sends now: the writer's key was moved since.
    pub is_foreign: bool,
    /// Its nonce.
    pub nonce: u64,
    /// The head that it extends.
    pub extends: u64,
    /// The size of the checkpoint that it carries.
    pub size: u64,
    /// What it offers.
    pub fees: Fees,
    /// How far it has come.
    pub state: AttemptState,
    /// When it was stored.
    pub stored_ms: u64,
    /// When it was last handed to a node.
    pub sent_ms: Option<u64>,
    /// How often nodes refused it as too cheap a replacement.
    pub refusals: u32,
    /// The hash of the block that holds it, as noted last.
    pub block_hash: Option<[u8; 32]>,
}

impl Attempt {
    /// Whether it pins the head rather than extends it.
    pub fn is_pin(&self) -> bool {
        self.extends == self.size
    }
}

/// All that a decision rests on.
#[derive(Clone, Debug)]
pub struct World<'a> {
    /// The database's clock.
    pub now_ms: u64,
    /// What each endpoint shows; none where it did not answer.
    pub reports: &'a [Option<Report>],
    /// The open attempts, in the order in which they were stored.
    pub attempts: &'a [Attempt],
    /// The size up to which anchors can no longer be undone.
    pub settled_size: u64,
    /// The nonce after the last that we ever used, if we ever did.
    pub nonce_next: Option<u64>,
    /// How much gas an anchor may take.
    pub gas_max: u64,
    /// What is known of pins.
    pub pinned: Pinned,
    /// What was spent in the last 24 hours.
    pub spent_wei: u128,
    /// The usual time between two blocks.
    pub block_ms: u64,
}

/// A change of an attempt's state, to be written down before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The attempt.
    pub id: i64,
    /// Its new state.
    pub state: AttemptState,
    /// The block that holds it, where it is in one.
    pub block: Option<(u64, [u8; 32])>,
}

/// A transaction to sign and to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its nonce.
    pub nonce: u64,
    /// The head that it extends.
    pub extends: u64,
    /// The checkpoint that it carries.
    pub size: u64,
    /// What it offers.
    pub fees: Fees,
    /// The attempt that it replaces.
    pub replaces: Option<i64>,
    /// The endpoint whose view it rests on.
    pub endpoint: usize,
    /// Whether the deadline presses.
    pub presses: bool,
}

/// What to do, after the notes are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing, for now.
    Rest,
    /// Hand these attempts' stored bytes to every endpoint in this order, once more or for the first time.
    Broadcast(Vec<i64>),
    /// Sign this, and store it. The next round sends it.
    Arm(Plan),
    /// Stop this place's sender until an operator says otherwise.
    Halt(Doubt),
}

/// Why a place's sender stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The contract holds a checkpoint that this log has not signed.
    HeadDisagrees {
        /// Its size.
        size: u64,
    },
    /// Our transaction was reverted, and nothing of ours explains it.
    Reverted {
        /// The size of the checkpoint that it carried.
        size: u64,
        /// The block.
        block: u64,
    },
}

/// What an operator should know. Each is a gauge, and a chapter of `docs/runbook.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// No endpoint answers in step.
    NoEndpoint,
    /// Endpoints contradict each other, or themselves.
    Disagreement,
    /// The sender's nonce went to a transaction that is not ours.
    StrangerNonce,
    /// At the present price the sender can pay for a few days only.
    LowFunds,
    /// The sender cannot pay for an anchor.
    NoFunds,
    /// The contract takes no anchors from us.
    NotAdmitted,
    /// The day's spending has reached its cap.
    SpendCap,
    /// The price is beyond the limit, so even the deadline does not buy an anchor.
    PriceLimit,
    /// The oldest leaf is older than was promised.
    Late,
    /// A transaction was reverted, because a reorganisation or another sender moved the head under it.
    LostRace,
    /// What was final is gone.
    FinalityBroken,
}

impl Alarm {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoEndpoint,
        Self::Disagreement,
        Self::StrangerNonce,
        Self::LowFunds,
        Self::NoFunds,
        Self::NotAdmitted,
        Self::SpendCap,
        Self::PriceLimit,
        Self::Late,
        Self::LostRace,
        Self::FinalityBroken,
    ];

    /// Its name, as metrics and the runbook have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoEndpoint => "no_endpoint",
            Self::Disagreement => "disagreement",
            Self::StrangerNonce => "stranger_nonce",
            Self::LowFunds => "low_funds",
            Self::NoFunds => "no_funds",
            Self::NotAdmitted => "not_admitted",
            Self::SpendCap => "spend_cap",
            Self::PriceLimit => "price_limit",
            Self::Late => "late",
            Self::LostRace => "lost_race",
            Self::FinalityBroken => "finality_broken",
        }
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to write down first.
    pub notes: Vec<Note>,
    /// What to do then.
    pub act: Act,
    /// Why, in one line.
    pub why: String,
    /// What an operator should know.
    pub alarms: Vec<Alarm>,
    /// The endpoint that is believed, if any.
    pub believed: Option<usize>,
}

/// Decides the next step. `timing` is the scheduler's word on what is owed.
pub fn decide(
    policy: &AnchorPolicy,
    memory: &mut Memory,
    world: &World<'_>,
    timing: &dyn Fn(&Owed) -> Verdict,
) -> Decision {
    let agreement = view::agree(policy, memory, world);
    let mut decision = Decision {
        notes: Vec::new(),
        act: Act::Rest,
        why: String::new(),
        alarms: agreement.alarms.clone(),
        believed: None,
    };
    let Some(first) = agreement.views.first() else {
        decision.why = "no endpoint answers in step".to_owned();
        decision.alarms.push(Alarm::NoEndpoint);
        return decision;
    };
    decision.believed = Some(first.endpoint);
    if !first.head(world).is_ours {
        let size = first.head(world).size;
        decision.why = format!("the contract's head of {size} leaves is not a checkpoint of this log");
        // A single voice does not stop us for good, nor does it move us.
        match agreement.quorum <= first.count {
            true => decision.act = Act::Halt(Doubt::HeadDisagrees { size }),
            false => decision.alarms.push(Alarm::Disagreement),
        }
        return decision;
    }
    let followed = follow::follow(policy, world, &agreement);
    decision.notes = followed.notes;
    decision.alarms.extend(followed.alarms);
    if let Some((doubt, is_certain)) = followed.doubt {
        decision.why = "a transaction was reverted, and nothing of ours explains it".to_owned();
        match is_certain {
            true => decision.act = Act::Halt(doubt),
            false => decision.alarms.push(Alarm::Disagreement),
        }
        return decision;
    }
    // While there is time, the view that most endpoints share, or the one that owes more, is waited for. When the
    // deadline presses, each endpoint has its turn to be believed: what a wrong one makes us send is refused by nonce or
    // by contract.
    let verdict_of = |view: &View| view.head(world).owed.map(|owed| timing(&owed));
    let presses = |view: &View| verdict_of(view).is_some_and(|it| it.timing == Timing::Press);
    let view = match agreement.views.iter().any(presses) {
        true => memory.turn(&agreement.views),
        false => first.clone(),
    };
    let view = &view;
    let verdict = verdict_of(view);
    if verdict.as_ref().is_some_and(|it| it.due_ms < world.now_ms) {
        decision.alarms.push(Alarm::Late);
    }
    let report = view.report(world);
    if days_left(policy, world.gas_max, report.base_fee_wei, report.balance_wei) < policy.warn_days {
        decision.alarms.push(Alarm::LowFunds);
    }
    let is_shared = agreement.quorum <= view.count;
    // Nothing of ours waits there, so nothing of ours was lost by it; but somebody has the key.
    if is_shared && world.nonce_next.is_some_and(|next| next < report.nonce) {
        decision.alarms.push(Alarm::StrangerNonce);
    }
    // What another key signed is followed; it is neither sent again nor replaced by this one.
    let own: Vec<Attempt> = world.attempts.iter().filter(|it| !it.is_foreign).cloned().collect();
    let world = &World { attempts: &own, ..world.clone() };
    let (act, why) = next(policy, world, view, is_shared, verdict, &followed.states, &mut decision.alarms);
    (decision.act, decision.why) = (act, why);
    decision.alarms.sort();
    decision.alarms.dedup();
    decision
}

/// For how many days the balance suffices at this price, if an anchor is sent as often as the policy may ask for one.
pub fn days_left(policy: &AnchorPolicy, gas: u64, base_fee_wei: u128, balance_wei: u128) -> f64 {
    const DAY_MS: f64 = 24.0 * 3600.0 * 1000.0;
    let price_wei = base_fee_wei.saturating_add(policy.tip_floor_wei);
    let anchors = balance_wei as f64 / (price_wei as f64 * gas as f64);
    // Without a promise an anchor is sent after each gap; nobody pays for more than one in a minute for days.
    let apart_ms = policy.staleness_max_ms.max(policy.gap_min_ms).max(60_000);
    anchors * apart_ms as f64 / DAY_MS
}

/// The next act in this view.
fn next(
    policy: &AnchorPolicy,
    world: &World<'_>,
    view: &View,
    is_shared: bool,
    verdict: Option<Verdict>,
    states: &BTreeMap<i64, AttemptState>,
    alarms: &mut Vec<Alarm>,
) -> (Act, String) {
    let report = view.report(world);
    let rest = |why: &str| (Act::Rest, why.to_owned());
    let (Some(owed), Some(verdict)) = (report.head.owed, verdict) else {
        return pin(policy, world, view, is_shared).unwrap_or_else(|| rest("nothing is owed"));
    };
    if !report.head.admits_us {
        alarms.push(Alarm::NotAdmitted);
        return rest(
            "the contract takes no anchors from this sender: it is halted, or another is its writer",
        );
    }
    let mut pending = world.attempts.iter().filter(|it| it.nonce == report.nonce);
    let Some(last) = pending.next_back() else {
        // One of ours would still take effect, yet its nonce is said to be used: that is somebody else's doing, or a lie.
        let is_odd = |it: &Attempt| {
            it.nonce < report.nonce
                && it.extends == report.head.size
                && states.get(&it.id) != Some(&AttemptState::Reverted)
        };
        if !is_shared && world.attempts.iter().any(is_odd) {
            alarms.push(Alarm::Disagreement);
            return rest("a nonce of ours is used without effect, says too few to believe it");
        }
        let waits = verdict.timing == Timing::Wait;
        return match pin(policy, world, view, is_shared).filter(|_| waits) {
            Some(pins) => pins,
            None => fresh(policy, world, view, &owed, verdict, states, alarms),
        };
    };
    // A pin that no block takes gives its nonce to an anchor that is wanted, and to none that may wait.
    let is_only_pin = last.is_pin() && verdict.timing == Timing::Wait;
    let size = if is_only_pin { report.head.size } else { owed.size };
    if last.extends == report.head.size {
        let later = later(world, last);
        // What no block will take at today's price is not sent again as it is.
        let price_wei = report.base_fee_wei.saturating_add(policy.tip_floor_wei);
        let is_outgrown = last.fees.fee_wei_max < price_wei && last.sent_ms.is_some();
        if !is_outgrown && let Some(why) = to_broadcast(policy, world, last, &verdict, states) {
            return (
                Act::Broadcast(std::iter::once(last).chain(later).map(|it| it.id).collect()),
                why.to_owned(),
            );
        }
        let Some(why) = stuck(policy, world, report, last, &verdict) else {
            return rest("a transaction waits for a block");
        };
        // Later attempts extend what this one carries: then the same checkpoint goes again, only dearer.
        let size = if later.is_empty() { size } else { last.size };
        return replace(policy, world, view, last, size, &verdict, why, alarms);
    }
    // The head moved under it: as it is, the contract would refuse it.
    replace(policy, world, view, last, size, &verdict, "the head has moved under it", alarms)
}

/// The head is pinned from time to time, while nothing presses and the price is one to pay. A pin that no block takes gives its
/// nonce to the next anchor that is wanted.
fn pin(policy: &AnchorPolicy, world: &World<'_>, view: &View, is_shared: bool) -> Option<(Act, String)> {
    let report = view.report(world);
    let size = report.head.size;
    if let Some(last) = world.attempts.iter().rfind(|it| it.nonce == report.nonce) {
        let is_unsent = last.sent_ms.is_none_or(|it| it + policy.resend_after_ms <= world.now_ms);
        let sends = last.is_pin() && last.extends == size && is_unsent;
        return sends.then(|| (Act::Broadcast(vec![last.id]), "a pin is signed and stored".to_owned()));
    }
    let is_time = world.pinned.tried_ms.is_none_or(|it| it + policy.pin_every_ms <= world.now_ms);
    let may_pin = is_shared && report.head.admits_us && world.pinned.size < size;
    if policy.pin_every_ms == 0 || !may_pin || !is_time {
        return None;
    }
    let fees = first_fees(policy, report.base_fee_wei, false)?;
    let cost_wei = fees.fee_wei_max.saturating_mul(u128::from(world.gas_max));
    let is_within = policy.spend_cap_wei.is_none_or(|cap| world.spent_wei.saturating_add(cost_wei) <= cap);
    if !is_within || report.balance_wei < cost_wei {
        return None;
    }
    let (nonce, endpoint) = (report.nonce, view.endpoint);
    let plan = Plan { nonce, extends: size, size, fees, replaces: None, endpoint, presses: false };
    Some((Act::Arm(plan), "the head is pinned, so that the contract's storage keeps it".to_owned()))
}

/// The attempts of later nonces that a reorganisation took away together with this one, each extending the one before.
fn later<'a>(world: &World<'a>, first: &'a Attempt) -> Vec<&'a Attempt> {
    let mut later: Vec<&Attempt> = Vec::new();
    let mut before = first;
    while let Some(next) =
        world.attempts.iter().rfind(|it| it.nonce == before.nonce + 1 && it.extends == before.size)
    {
        later.push(next);
        before = next;
    }
    later
}

fn to_broadcast(
    policy: &AnchorPolicy,
    world: &World<'_>,
    last: &Attempt,
    verdict: &Verdict,
    states: &BTreeMap<i64, AttemptState>,
) -> Option<&'static str> {
    let age_ms = last.sent_ms.map(|sent| world.now_ms.saturating_sub(sent));
    let patience_ms = match verdict.timing {
        Timing::Press => policy.resend_after_ms.min(world.block_ms),
        _ => policy.resend_after_ms,
    };
    match states.get(&last.id) {
        Some(AttemptState::Armed) => Some("it is signed and stored"),
        Some(AttemptState::Orphaned) if age_ms.is_none_or(|it| world.block_ms <= it) => {
            Some("a reorganisation took it away")
        }
        Some(AttemptState::Dropped) if age_ms.is_none_or(|it| world.block_ms <= it) => {
            Some("no endpoint knows it any more")
        }
        _ if age_ms.is_none_or(|it| patience_ms <= it) => Some("it may have been dropped"),
        _ => None,
    }
}

/// Why a waiting transaction needs more, if it does.
fn stuck(
    policy: &AnchorPolicy,
    world: &World<'_>,
    report: &Report,
    last: &Attempt,
    verdict: &Verdict,
) -> Option<&'static str> {
    let age_ms = world.now_ms.saturating_sub(last.stored_ms);
    let presses = verdict.timing == Timing::Press;
    if last.refusals != 0 && world.block_ms <= age_ms {
        return Some("it was refused as too cheap a replacement");
    }
    let price_wei = report.base_fee_wei.saturating_add(policy.tip_floor_wei);
    if last.fees.fee_wei_max < price_wei {
        let is_allowed = presses || price_wei <= policy.fee_ceiling_wei;
        return (is_allowed && world.block_ms <= age_ms).then_some("the base fee has outgrown it");
    }
    let stuck_blocks = if presses { policy.stuck_blocks.min(3) } else { policy.stuck_blocks };
    let is_stuck = u64::from(stuck_blocks) * world.block_ms <= age_ms;
    (is_stuck && last.fees.tip_wei_max < policy.tip_max_wei).then_some("it is in no block for too long")
}

#[expect(clippy::too_many_arguments, reason = "one story, told in one place")]
fn replace(
    policy: &AnchorPolicy,
    world: &World<'_>,
    view: &View,
    last: &Attempt,
    size: u64,
    verdict: &Verdict,
    why: &str,
    alarms: &mut Vec<Alarm>,
) -> (Act, String) {
    let report = view.report(world);
    let presses = verdict.timing == Timing::Press;
    let mut fees = bumped(policy, last.fees, report.base_fee_wei, presses, last.refusals);
    if policy.fee_limit_wei < fees.fee_wei_max && !is_pooled(world, last.nonce) {
        // Where no endpoint knows what it replaces, nothing has to be outbid.
        fees = first_fees(policy, report.base_fee_wei, presses).unwrap_or(fees);
    }
    if policy.fee_limit_wei < fees.fee_wei_max {
        alarms.push(Alarm::PriceLimit);
        return (Act::Rest, format!("{why}, but more would be beyond the limit"));
    }
    if report.balance_wei < fees.fee_wei_max.saturating_mul(u128::from(world.gas_max)) {
        alarms.push(Alarm::NoFunds);
        return (Act::Rest, format!("{why}, but the sender cannot pay for more"));
    }
    let (nonce, extends, endpoint) = (last.nonce, report.head.size, view.endpoint);
    let plan = Plan { nonce, extends, size, fees, replaces: Some(last.id), endpoint, presses };
    (Act::Arm(plan), format!("{why}; {}", verdict.why))
}

fn is_pooled(world: &World<'_>, nonce: u64) -> bool {
    let siblings = || world.attempts.iter().filter(|it| it.nonce == nonce);
    let reports = world.reports.iter().flatten();
    reports.into_iter().any(|report| siblings().any(|it| report.sights.get(&it.id) == Some(&Sight::Pooled)))
}

fn fresh(
    policy: &AnchorPolicy,
    world: &World<'_>,
    view: &View,
    owed: &Owed,
    verdict: Verdict,
    states: &BTreeMap<i64, AttemptState>,
    alarms: &mut Vec<Alarm>,
) -> (Act, String) {
    let report = view.report(world);
    let presses = verdict.timing == Timing::Press;
    if verdict.timing == Timing::Wait {
        return (Act::Rest, verdict.why);
    }
    let rest = |why: &str| (Act::Rest, why.to_owned());
    if !presses && may_still_change(world, report, states) {
        return rest(
            "a reorganisation could still let another of our transactions in: it waits until one is final",
        );
    }
    let Some(fees) = first_fees(policy, report.base_fee_wei, presses) else {
        if presses {
            alarms.push(Alarm::PriceLimit);
        }
        return rest("the price is above what the policy pays");
    };
    let price_wei = report.base_fee_wei.saturating_add(fees.tip_wei_max);
    let cost_wei = price_wei.saturating_mul(u128::from(world.gas_max));
    if policy.spend_cap_wei.is_some_and(|cap| cap < world.spent_wei.saturating_add(cost_wei)) {
        alarms.push(Alarm::SpendCap);
        if !presses || policy.at_spend_cap == AtSpendCap::Stop {
            return rest("the day's spending has reached its cap");
        }
    }
    // Nodes ask for the whole cap to be there, though less is paid.
    let affordable_wei = report.balance_wei / u128::from(world.gas_max.max(1));
    if affordable_wei < price_wei {
        alarms.push(Alarm::NoFunds);
        return rest("the sender cannot pay for an anchor");
    }
    let fees = Fees { fee_wei_max: fees.fee_wei_max.min(affordable_wei), ..fees };
    let plan = Plan {
        nonce: report.nonce,
        extends: report.head.size,
        size: owed.size,
        fees,
        replaces: None,
        endpoint: view.endpoint,
        presses,
    };
    (Act::Arm(plan), verdict.why)
}

/// Whether the transactions of an earlier nonce, of which one is in a block and none is final, carry different sizes: then
/// what comes after them could turn out to extend what is not there.
fn may_still_change(world: &World<'_>, report: &Report, states: &BTreeMap<i64, AttemptState>) -> bool {
    let is_settled =
        |it: &Attempt| matches!(states.get(&it.id), Some(AttemptState::Final | AttemptState::Reverted));
    let earlier: Vec<&Attempt> = world.attempts.iter().filter(|it| it.nonce < report.nonce).collect();
    earlier.iter().any(|one| {
        let siblings = || earlier.iter().filter(|it| it.nonce == one.nonce);
        siblings().any(|it| it.size != one.size) && !siblings().any(|it| is_settled(it))
    })
}
