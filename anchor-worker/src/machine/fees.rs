//! What a transaction offers: the first time, and when it has to offer more.

use chain::{Fees, fees_for};

use super::AnchorPolicy;

/// How much more nodes ask of a replacement: 10 %. What meets that exactly is refused by some, every time.
const BUMP_PER_MILLE: u128 = 1125;
/// How much more again for each refusal.
const REFUSED_PER_MILLE: u128 = 125;
const REFUSALS_MAX: u32 = 8;
/// When the deadline presses, a cap is renewed every few blocks, so it need not suffice for long.
const PRESSED_BLOCKS: u32 = 8;

/// The fees of a first transaction: the lowest tip that pools let in, and a cap that outlasts the wait. None where that is
/// more than the policy pays.
pub fn first_fees(policy: &AnchorPolicy, base_fee_wei: u128, presses: bool) -> Option<Fees> {
    let tip_wei_max = policy.tip_floor_wei;
    let highest_wei = if presses { policy.fee_limit_wei / 2 } else { policy.fee_ceiling_wei };
    let price_wei = base_fee_wei.saturating_add(tip_wei_max);
    let cap = fees_for(base_fee_wei, tip_wei_max, blocks(policy, presses)).fee_wei_max;
    (price_wei <= highest_wei).then_some(Fees { fee_wei_max: cap.min(highest_wei), tip_wei_max })
}

/// The fees of a replacement: what is needed now, and at least an eighth and 1 wei more than before in both.
pub fn bumped(policy: &AnchorPolicy, last: Fees, base_fee_wei: u128, presses: bool, refusals: u32) -> Fees {
    let per_mille = BUMP_PER_MILLE + REFUSED_PER_MILLE * u128::from(refusals.min(REFUSALS_MAX));
    let more = |wei: u128| wei.saturating_mul(per_mille).div_ceil(1000).saturating_add(1);
    let tip_wei_max = more(last.tip_wei_max).max(policy.tip_floor_wei);
    let needed = fees_for(base_fee_wei, tip_wei_max, blocks(policy, presses)).fee_wei_max;
    let highest_wei = if presses { policy.fee_limit_wei } else { policy.fee_ceiling_wei };
    Fees { fee_wei_max: needed.min(highest_wei).max(more(last.fee_wei_max)), tip_wei_max }
}

fn blocks(policy: &AnchorPolicy, presses: bool) -> u32 {
    if presses { policy.fee_blocks.min(PRESSED_BLOCKS) } else { policy.fee_blocks }
}
