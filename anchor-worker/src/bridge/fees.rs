//! What a settlement or a batch of claims offers: never more than the operator's ceiling, however often it has to outbid itself.

use chain::{Fees, fees_for};

/// For how many blocks the fee cap must suffice.
const BLOCKS: u32 = 12;

/// What the next transaction offers, where one of ours with these fees may wait in its place. None where the price is above the
/// ceiling, or what would outbid it.
pub(super) fn offer(
    base_fee_wei: u128,
    tip_wei: u128,
    ceiling_wei: u128,
    waits: Option<Fees>,
) -> Option<Fees> {
    if ceiling_wei < base_fee_wei.saturating_add(tip_wei) {
        return None;
    }
    let fresh = fees_for(base_fee_wei, tip_wei, BLOCKS);
    let fresh = Fees { fee_wei_max: fresh.fee_wei_max.min(ceiling_wei), ..fresh };
    let Some(before) = waits else { return Some(fresh) };
    // Nodes ask a tenth more of a replacement, in both.
    let more = |wei: u128| wei.saturating_add(wei / 8).saturating_add(1);
    let fees = Fees {
        fee_wei_max: fresh.fee_wei_max.max(more(before.fee_wei_max)),
        tip_wei_max: fresh.tip_wei_max.max(more(before.tip_wei_max)),
    };
    (fees.fee_wei_max <= ceiling_wei).then_some(fees)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    #[test]
    fn a_chain_that_stands_still_never_makes_it_offer_more_than_the_ceiling() {
        let ceiling = 1_000 * GWEI;
        let mut waits = offer(100 * GWEI, 25 * GWEI, ceiling, None);
        let mut offered = Vec::new();
        // An hour: each half minute it outbids itself, until the ceiling is reached.
        for _ in 0..120 {
            let Some(next) = offer(100 * GWEI, 25 * GWEI, ceiling, waits) else { break };
            offered.extend(waits);
            waits = Some(next);
        }
        let last = waits.unwrap();
        assert!(offered.len() < 20, "{offered:?}");
        assert!(ceiling * 8 / 9 - 2 < last.fee_wei_max && last.fee_wei_max <= ceiling, "{last:?}");
        for (before, after) in offered.iter().zip(offered.iter().skip(1)) {
            assert!(before.fee_wei_max + before.fee_wei_max / 8 < after.fee_wei_max);
            assert!(before.tip_wei_max + before.tip_wei_max / 8 < after.tip_wei_max);
        }
    }

    #[test]
    fn a_price_above_the_ceiling_is_not_paid_and_a_cap_ends_at_it() {
        let check = |base, ceiling, waits, expected| {
            let told = offer(base, 10, ceiling, waits).map(|it| (it.fee_wei_max, it.tip_wei_max));
            assert_eq!(told, expected, "{base} {ceiling}");
        };
        let waiting = |fee_wei_max, tip_wei_max| Some(Fees { fee_wei_max, tip_wei_max });
        check(90, 99, None, None);
        check(90, 100, None, Some((100, 10)));
        check(u128::MAX, u128::MAX - 1, None, None);
        check(0, 1_000, None, Some((10, 10)));
        check(0, 1_000, waiting(80, 16), Some((91, 19)));
        check(0, 91, waiting(80, 16), Some((91, 19)));
        check(0, 90, waiting(80, 16), None);
        // The price has outgrown what waits.
        check(500, 1_000, waiting(80, 16), Some((913, 19)));
        check(0, u128::MAX - 1, waiting(u128::MAX, 0), None);
    }
}
