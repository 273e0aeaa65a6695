//! What an operator decides for a place.

use std::time::Duration;

const GWEI: u128 = 1_000_000_000;

/// What happens when the day's spending has reached its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtSpendCap {
    /// The deadline wins: nothing is sent for being cheap, and what is due is sent all the same.
    DeadlineWins,
    /// Nothing is sent until the day is over.
    Stop,
}

/// When to anchor, what to pay, and what to believe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnchorPolicy {
    /// The greatest age of the oldest leaf that is not anchored; zero asks for an anchor as soon as there is something.
    pub staleness_max_ms: u64,
    /// The same for a leaf that is in a hurry.
    pub hurry_ms: u64,
    /// The least time between two anchors; a deadline does not wait for it.
    pub gap_min_ms: u64,
    /// How often the head is pinned, so that receipts can be checked by the contract's storage alone; zero is never.
    pub pin_every_ms: u64,
    /// After how long the same bytes are sent again, in case they were dropped.
    pub resend_after_ms: u64,
    /// After how many blocks without being in one a transaction offers more.
    pub stuck_blocks: u32,
    /// For how many blocks the fee cap must suffice.
    pub fee_blocks: u32,
    /// The least tip that pools let in.
    pub tip_floor_wei: u128,
    /// The tip beyond which being in no block is not the tip's fault.
    pub tip_max_wei: u128,
    /// The highest price for a unit of gas, as long as the deadline does not press.
    pub fee_ceiling_wei: u128,
    /// The highest price for a unit of gas, ever. It must be twice the ceiling or more, so that there is room to bump.
    pub fee_limit_wei: u128,
    /// What may be spent in 24 hours.
    pub spend_cap_wei: Option<u128>,
    /// What happens then.
    pub at_spend_cap: AtSpendCap,
    /// For how many days the balance must suffice, or an operator is warned.
    pub warn_days: f64,
    /// How deep a transaction must be although its block is called final.
    pub final_depth_min: u64,
    /// How deep it must be where nobody says what is final.
    pub final_depth_alone: u64,
    /// How deep it must be to be looked after no longer: deeper than any chain has ever been rewound.
    pub archive_depth: u64,
    /// For how long an endpoint that shows fewer blocks than before counts as behind. A chain that was rewound has caught
    /// up by then.
    pub rewind_patience_ms: u64,
    /// How many blocks an endpoint may be behind the others.
    pub lag_blocks: u64,
}

impl AnchorPolicy {
    /// The policy for a chain that anchors as soon as there is something, with at least so long between two anchors.
    pub fn new(chain_id: u64, gap_min: Duration) -> Self {
        let tip_floor_wei = chain::tip_floor_wei(chain_id);
        Self {
            staleness_max_ms: 0,
            hurry_ms: 60_000,
            gap_min_ms: gap_min.as_millis() as u64,
            pin_every_ms: 0,
            resend_after_ms: 30_000,
            stuck_blocks: 12,
            fee_blocks: 12,
            tip_floor_wei,
            tip_max_wei: tip_floor_wei * 20,
            fee_ceiling_wei: 5_000 * GWEI,
            fee_limit_wei: 20_000 * GWEI,
            spend_cap_wei: None,
            at_spend_cap: AtSpendCap::DeadlineWins,
            warn_days: 7.0,
            final_depth_min: 3,
            // Polygon has been rewound by up to 126 blocks.
            final_depth_alone: 2 * 128,
            archive_depth: 2 * 128,
            rewind_patience_ms: 10_000,
            lag_blocks: 16,
        }
    }
}
