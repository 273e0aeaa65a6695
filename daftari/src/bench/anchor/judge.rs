//! What the scheduler pays, beside fixed intervals of every phase and beside the best that could have been known.

use anchor_worker::schedule::{PriceTimer, optimum};

use super::prices::{Random, Series};

/// What came of one series and one window. Costs are the sum of the prices that were taken.
pub(super) struct Judged {
    pub(super) policy: f64,
    pub(super) fixed: f64,
    pub(super) optimum: f64,
    pub(super) misses: u64,
    /// Of policy ÷ fixed, by resampling a hundred stretches or more: the middle 95 %.
    pub(super) interval: Option<(f64, f64)>,
}

impl Judged {
    pub(super) fn vs_fixed(&self) -> f64 {
        self.policy / self.fixed
    }

    pub(super) fn share(&self) -> f64 {
        (self.fixed - self.policy) / (self.fixed - self.optimum)
    }
}

/// How many phases the policy is started in: all of them, or so many evenly spread.
const PHASES_MAX: usize = 24;
const STRETCHES_MIN: usize = 100;

pub(super) fn judge(series: &Series, window: usize, random: &mut Random) -> Judged {
    // A wave over the day helps a window that can reach from a dear hour to a cheap one.
    let day = if series.day <= 2 * window { series.day } else { 0 };
    let phases = window.min(PHASES_MAX);
    let mut paid = vec![0.0; series.prices.len()];
    let mut misses = 0;
    for phase in 0..phases {
        let mut track = Track::new(window, day, (phase * window + window / 2) / phases);
        for (slot, price) in series.prices.iter().enumerate() {
            if track.takes(*price) {
                paid[slot] += price / phases as f64;
            }
        }
        misses += track.misses;
    }
    // Fixed intervals of all phases together pay this much of each price.
    let fixed: Vec<f64> = series.prices.iter().map(|it| it / window as f64).collect();
    Judged {
        policy: paid.iter().sum(),
        fixed: fixed.iter().sum(),
        optimum: optimum(&series.prices, window),
        misses,
        interval: interval(&paid, &fixed, window, random),
    }
}

/// One run of the scheduler over prices as they come: it knows nothing of what follows.
pub(super) struct Track {
    timer: PriceTimer,
    window: usize,
    gap: usize,
    misses: u64,
}

impl Track {
    pub(super) fn new(window: usize, day: usize, gap: usize) -> Self {
        Self { timer: PriceTimer::new(window, day), window, gap: gap.min(window - 1), misses: 0 }
    }

    pub(super) fn takes(&mut self, price: f64) -> bool {
        self.timer.observe(price);
        self.gap += 1;
        self.misses += u64::from(self.window < self.gap);
        let takes = self.timer.takes(self.window.saturating_sub(self.gap));
        if takes {
            self.timer.taken();
            self.gap = 0;
        }
        takes
    }

    /// Whether it would take this price next.
    pub(super) fn would_take(&self, price: f64) -> bool {
        self.timer.takes_price(price, self.window.saturating_sub(self.gap + 1))
    }
}

/// The middle 95 % of the ratio over stretches of a window each, drawn with replacement; none where there are too few.
fn interval(paid: &[f64], fixed: &[f64], window: usize, random: &mut Random) -> Option<(f64, f64)> {
    let sum = |it: &[f64]| it.iter().sum::<f64>();
    let stretches: Vec<(f64, f64)> =
        paid.chunks(window).zip(fixed.chunks(window)).map(|it| (sum(it.0), sum(it.1))).collect();
    if stretches.len() < STRETCHES_MIN {
        return None;
    }
    let mut ratios: Vec<f64> = (0..1000)
        .map(|_| {
            let drawn = (0..stretches.len())
                .map(|_| stretches[(random.below_one() * stretches.len() as f64) as usize])
                .fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
            drawn.0 / drawn.1
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    Some((ratios[25], ratios[975]))
}

/// Prices made against the scheduler: the adversary runs it, and at each slot, within 5 % of the last price and a range of
/// four, makes dear what would be taken and lets the price sink while it waits. Fixed intervals see the same prices.
pub(super) fn against_an_adversary(window: usize, slots: usize, random: &mut Random) -> f64 {
    let mut track = Track::new(window, 0, 0);
    let (mut price, mut paid, mut fixed) = (300e9, 0.0, 0.0);
    for _ in 0..slots {
        let (down, up) = (f64::max(price * 0.95, 150e9), f64::min(price * 1.05, 600e9));
        let wanders = random.below_one() < 0.1;
        price = match track.would_take(down) {
            _ if wanders => down + (up - down) * random.below_one(),
            true => up,
            false => down,
        };
        fixed += price / window as f64;
        if track.takes(price) {
            paid += price;
        }
    }
    paid / fixed
}
