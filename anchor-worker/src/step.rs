//! The decision: what to do next about the anchors of one log in one place. Pure.

use std::time::Duration;

/// When to anchor and how long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorPolicy {
    /// The least time between two anchors.
    pub gap_min: Duration,
    /// After how long the same bytes are sent again, in case they were dropped.
    pub resend_after: Duration,
    /// For how many blocks the fee cap must suffice.
    pub fee_blocks: u32,
    /// The tip.
    pub tip_wei: u128,
}

impl AnchorPolicy {
    /// The policy for a chain, with at least so long between two anchors.
    pub fn new(chain_id: u64, gap_min: Duration) -> Self {
        Self {
            gap_min,
            resend_after: Duration::from_secs(30),
            fee_blocks: 40,
            tip_wei: chain::tip_floor_wei(chain_id),
        }
    }
}

/// What is stored and what the chain shows, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The size of the newest checkpoint.
    pub checkpoint_size: u64,
    /// The size of the contract's head.
    pub head_size: u64,
    /// How long ago the newest anchor was first seen in a block.
    pub anchor_age: Option<Duration>,
    /// The oldest of our transactions that is in no block, if any.
    pub pending: Option<Pending>,
}

/// A stored transaction that is in no block: never sent, waiting, dropped, or taken away by a reorganisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// How long ago this sender last handed it to a node, if it ever did.
    pub sent_age: Option<Duration>,
    /// Whether it was in a block before.
    pub vanished: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for now.
    Wait,
    /// Hand the pending transaction's stored bytes to a node, once more or for the first time.
    Send,
    /// Sign and store an anchor of the newest checkpoint.
    Anchor,
}

/// Decides the next step.
///
/// A transaction that is stored is sent before another is signed, so one nonce is open at a time; one that a
/// reorganisation took away is pending again, so there is no reorg path. An idle log owes nothing.
pub fn next_step(policy: &AnchorPolicy, sighting: &Sighting) -> Step {
    match sighting.pending {
        Some(Pending { vanished: true, .. }) => Step::Send,
        Some(Pending { sent_age, .. }) if sent_age.is_none_or(|age| policy.resend_after <= age) => Step::Send,
        Some(_) => Step::Wait,
        None if sighting.checkpoint_size <= sighting.head_size => Step::Wait,
        None if sighting.anchor_age.is_some_and(|age| age < policy.gap_min) => Step::Wait,
        None => Step::Anchor,
    }
}
