//! What the same stretch would have cost otherwise: at fixed intervals, and with everything known beforehand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use store::{PaidAnchor, SeenHeader};

use super::SLOTS;

/// What anchors cost, beside what others would have paid for the same promise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hindsight {
    /// What was paid.
    pub paid_wei: f64,
    /// What an anchor at the end of each window would have cost, whenever the first window had begun: the mean over that.
    pub fixed_wei: f64,
    /// The least for which nothing would have been late.
    pub optimum_wei: f64,
}

impl Hindsight {
    /// Of what could have been saved beside fixed intervals, the share that was; none where nothing could.
    pub fn share(&self) -> Option<f64> {
        let possible_wei = self.fixed_wei - self.optimum_wei;
        (0.0 < possible_wei).then(|| (self.fixed_wei - self.paid_wei) / possible_wei)
    }
}

/// Looks back on what was paid for until `end_ms`. A log that owed nothing would have cost nobody anything, so those times are
/// left out; from the first leaf on that is owed a window counts in full, for whoever anchors early has not made it cheaper
/// to wait. None where less than a window was owed, or nothing is known of prices or of gas.
pub fn look_back(
    headers: &[SeenHeader],
    paid: &[PaidAnchor],
    staleness_ms: u64,
    tip_wei: u128,
    end_ms: u64,
) -> Option<Hindsight> {
    let slot_ms = staleness_ms / SLOTS;
    if slot_ms == 0 {
        return None;
    }
    let mut means: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for header in headers {
        let (sum, count) = means.entry(header.time_ms / slot_ms).or_default();
        (*sum, *count) = (*sum + header.base_fee_wei as f64, *count + 1.0);
    }
    let stretch = |it: &PaidAnchor| {
        let begin_ms = it.owed_ms?;
        let whole_ms = begin_ms.saturating_add(slot_ms * SLOTS - 1);
        Some(begin_ms / slot_ms..=it.included_ms.max(whole_ms).min(end_ms) / slot_ms)
    };
    let owed: BTreeSet<u64> = paid.iter().filter_map(stretch).flatten().collect();
    // A slot of which no header was seen costs what the one before it did.
    let price = |slot: &u64| {
        let (_, (sum, count)) = means.range(..=slot).next_back()?;
        Some(sum / count + tip_wei as f64)
    };
    let prices: Vec<f64> = owed.iter().filter_map(price).collect();
    let gas: Vec<f64> = paid.iter().filter_map(|it| it.gas_used).map(|it| it as f64).collect();
    if prices.len() < SLOTS as usize || gas.is_empty() {
        return None;
    }
    let gas = gas.iter().sum::<f64>() / gas.len() as f64;
    Some(Hindsight {
        paid_wei: paid.iter().map(|it| it.paid_wei as f64).sum(),
        fixed_wei: prices.iter().sum::<f64>() / SLOTS as f64 * gas,
        optimum_wei: optimum(&prices, SLOTS as usize) * gas,
    })
}

/// The cheapest posts with no gap beyond the window: a shortest path, with the least of the last so many kept in a queue.
pub fn optimum(prices: &[f64], window: usize) -> f64 {
    let mut least: VecDeque<(usize, f64)> = VecDeque::new();
    let mut best = f64::INFINITY;
    for (slot, price) in prices.iter().enumerate() {
        while least.front().is_some_and(|it| it.0 + window < slot) {
            least.pop_front();
        }
        let before = if slot < window { 0.0 } else { least.front().map_or(f64::INFINITY, |it| it.1) };
        let cost = price + before;
        while least.back().is_some_and(|it| cost <= it.1) {
            least.pop_back();
        }
        least.push_back((slot, cost));
        if prices.len() <= slot + window {
            best = best.min(cost);
        }
    }
    best
}
