//! What a transaction offers to pay. Our own estimate: generic ones answer a tip of 1 wei on a quiet chain, which
//! Polygon's pools refuse, and a base fee that later blocks outgrow.

const GWEI: u128 = 1_000_000_000;

/// The most that a transaction pays for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// In all.
    pub fee_wei_max: u128,
    /// To the producer, beyond the base fee.
    pub tip_wei_max: u128,
}

/// The least tip that the chain's pools let in: 25 gwei on Polygon and its test net, 1 gwei elsewhere.
pub fn tip_floor_wei(chain_id: u64) -> u128 {
    match chain_id {
        137 | 80002 => 25 * GWEI,
        _ => GWEI,
    }
}

/// Fees that still suffice so many blocks from now: since a producer may set the base fee anywhere within 5 % of its
/// parent's, the only safe bound is base × 1.05^blocks.
pub fn fees_for(base_fee_wei: u128, tip_wei: u128, blocks: u32) -> Fees {
    let base = (0..blocks).fold(base_fee_wei, |fee, _| fee.saturating_add(fee.div_ceil(20)));
    Fees { fee_wei_max: base.saturating_add(tip_wei), tip_wei_max: tip_wei }
}
