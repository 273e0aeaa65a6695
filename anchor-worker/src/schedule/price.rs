//! Whether this price is one to take. A window of so many slots may pass between two anchors; at each slot the price is
//! shown, and the answer is yes or no.
//!
//! What is learnt is small: a level that follows slowly, a wave over the day, how fast the price falls back to them, and
//! how it jumps. From these a table says, for each number of slots left, up to which price taking it now costs less in the
//! long run than waiting: the fixed point of an average-cost recursion, in which waiting is paid for by the slots that it
//! saves. A guard goes back to fixed intervals for a while after two posts' worth was lost to them.

use std::collections::VecDeque;

/// How much of the past counts, in windows and at least in slots.
const KEPT_WINDOWS: usize = 24;
const KEPT_SLOTS: usize = 24 * 14;
/// The grid of prices, as logarithms beside the level.
const GRID: usize = 25;
/// Jumps are taken from the past, at so many equally probable points.
const JUMPS: usize = 11;
const SWEEPS_FIRST: usize = 30;
/// Once it is known roughly, a few bring it up to date.
const SWEEPS: usize = 6;
/// How much better than waiting taking a price must look, as a share of the level: what was learnt is never exact.
const MARGIN: f64 = 0.02;
/// A loss of so many posts sends it back to fixed intervals, for so many windows.
const LOST_POSTS: f64 = 2.0;
const FIXED_WINDOWS: usize = 12;

/// Decides price by price.
#[derive(Clone, Debug)]
pub struct PriceTimer {
    window: usize,
    day: usize,
    seen: usize,
    logs: VecDeque<f64>,
    level: f64,
    wave: Vec<f64>,
    /// Up to which logarithm beside the level a price is taken, by phase of the day and slots left.
    limits: Vec<Vec<f64>>,
    /// What follows a post, beyond the average, and that average per slot.
    after: Vec<Vec<f64>>,
    average: f64,
    solved_at: usize,
    /// What was paid beyond what fixed intervals would have paid on average, in posts.
    lost_posts: f64,
    fixed_until: usize,
}

impl PriceTimer {
    /// A timer for a window of so many slots; `day` is how many slots a day has, or zero where there are too many.
    pub fn new(window: usize, day: usize) -> Self {
        Self {
            window: window.max(1),
            day,
            seen: 0,
            logs: VecDeque::new(),
            level: 0.0,
            wave: vec![0.0; day.max(1)],
            limits: Vec::new(),
            after: Vec::new(),
            average: 0.0,
            solved_at: 0,
            lost_posts: 0.0,
            fixed_until: 0,
        }
    }

    /// Takes the price of the next slot.
    pub fn observe(&mut self, price: f64) {
        let log = price.max(1.0).ln();
        // Fixed intervals of every phase together pay this much of a price in each slot.
        if !self.is_fixed() {
            self.lost_posts -= (log - self.level).exp() / self.window as f64;
        }
        self.logs.push_back(log);
        self.seen += 1;
        let kept = (KEPT_WINDOWS * self.window).max(KEPT_SLOTS);
        if kept < self.logs.len() {
            self.logs.pop_front();
        }
        let weight = (1.0 / (2.0 * self.window as f64)).min(1.0 / 8.0).max(1.0 / self.seen as f64);
        self.level += weight * (log - self.level);
        let is_enough = 3 * self.window.min(48) + 12 <= self.logs.len();
        if is_enough && (self.limits.is_empty() || self.solved_at + self.window.clamp(6, 24) <= self.seen) {
            self.solve();
        }
        // A gain that lies long back does not pay for a loss of today.
        self.lost_posts = self.lost_posts.max(-4.0 * LOST_POSTS);
        if LOST_POSTS < self.lost_posts {
            (self.lost_posts, self.fixed_until) = (0.0, self.seen + FIXED_WINDOWS * self.window);
        }
    }

    /// Whether to take the last price, so many slots before the window ends.
    pub fn takes(&self, slots_left: usize) -> bool {
        if slots_left == 0 {
            return true;
        }
        !self.is_fixed() && self.beside() <= self.limit(slots_left)
    }

    /// The same for a price that is at hand before its slot has ended.
    pub fn takes_price(&self, price: f64, slots_left: usize) -> bool {
        let beside = price.max(1.0).ln() - self.level;
        slots_left == 0 || !self.is_fixed() && beside <= self.limit(slots_left)
    }

    fn limit(&self, slots_left: usize) -> f64 {
        let limits = self.limits.get(self.phase(self.seen.saturating_sub(1)));
        limits.map_or(f64::NEG_INFINITY, |it| it[slots_left.min(it.len() - 1)])
    }

    /// Notes that the last price was taken.
    pub fn taken(&mut self) {
        if let Some(log) = self.logs.back().filter(|_| !self.is_fixed()) {
            self.lost_posts += (log - self.level).exp();
        }
    }

    /// Whether it keeps to fixed intervals for now, because it has learnt too little or lost too much.
    pub fn is_fixed(&self) -> bool {
        self.limits.is_empty() || self.seen < self.fixed_until
    }

    /// A price as a share of the level.
    pub fn share_of_level(&self, price: f64) -> f64 {
        (price.max(1.0).ln() - self.level).exp()
    }

    /// Up to which share of the level a price is taken.
    pub fn share_taken(&self, slots_left: usize) -> f64 {
        self.limit(slots_left).exp()
    }

    fn beside(&self) -> f64 {
        self.logs.back().map_or(0.0, |log| log - self.level)
    }

    fn phase(&self, slot: usize) -> usize {
        if self.day == 0 { 0 } else { slot % self.day }
    }

    fn solve(&mut self) {
        self.solved_at = self.seen;
        let first = self.seen - self.logs.len();
        let (beside, wave) = self.beside_level(first);
        self.wave = wave;
        let calm: Vec<f64> =
            beside.iter().enumerate().map(|(at, it)| it - self.wave[self.phase(first + at)]).collect();
        let n = calm.len() as f64;
        let variance = calm.iter().map(|it| it * it).sum::<f64>() / n;
        let lagged = calm.windows(2).map(|it| it[0] * it[1]).sum::<f64>() / n;
        let raw = if 0.0 < variance { lagged / variance } else { 0.0 };
        // Short series make prices seem to fall back faster than they do.
        let pull = (raw + (1.0 + 3.0 * raw) / n).clamp(0.0, 0.999);
        let mut jumps: Vec<f64> = calm.windows(2).map(|it| it[1] - pull * it[0]).collect();
        jumps.sort_by(f64::total_cmp);
        let jumps: Vec<f64> = (0..JUMPS).map(|it| jumps[(2 * it + 1) * jumps.len() / (2 * JUMPS)]).collect();
        let centre = jumps.iter().sum::<f64>() / JUMPS as f64;
        let jumps: Vec<f64> = jumps.iter().map(|it| it - centre).collect();
        self.limits = self.recursion(variance.sqrt(), pull, &jumps);
    }

    /// Each price beside the level as it was known then, and the wave over the day in it, drawn towards nothing where
    /// there are few days.
    fn beside_level(&self, first: usize) -> (Vec<f64>, Vec<f64>) {
        let mut level = self.logs[0];
        let weight = (1.0 / (2.0 * self.window as f64)).min(1.0 / 8.0);
        let mut beside = Vec::with_capacity(self.logs.len());
        for log in &self.logs {
            level += weight * (log - level);
            beside.push(log - level);
        }
        let mut wave = vec![0.0; self.wave.len()];
        if self.day != 0 {
            let mut counts = vec![0.0_f64; self.day];
            for (at, it) in beside.iter().enumerate() {
                wave[self.phase(first + at)] += it;
                counts[self.phase(first + at)] += 1.0;
            }
            wave.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count + 4.0);
        }
        (beside, wave)
    }

    /// For each phase of the day and each number of slots left, the highest price that is taken.
    #[expect(clippy::needless_range_loop, reason = "places on a grid are indexes into several tables")]
    fn recursion(&mut self, spread: f64, pull: f64, jumps: &[f64]) -> Vec<Vec<f64>> {
        let (window, wave) = (self.window, self.wave.clone());
        let step = 6.0 * spread.max(1e-6) / (GRID - 1) as f64;
        let at = |bin: usize| (bin as f64 - (GRID - 1) as f64 / 2.0) * step;
        // Where each jump leads from each place on the grid: the place below, and how far beyond it.
        let leads: Vec<Vec<(usize, f64)>> = (0..GRID)
            .map(|bin| {
                let lead = |jump: &f64| {
                    let place = ((pull * at(bin) + jump) / step + (GRID - 1) as f64 / 2.0)
                        .clamp(0.0, (GRID - 1) as f64);
                    let below = (place as usize).min(GRID - 2);
                    (below, place - below as f64)
                };
                jumps.iter().map(lead).collect()
            })
            .collect();
        let expected = |values: &[f64], bin: usize| {
            let sum: f64 =
                leads[bin].iter().map(|(b, part)| values[*b] * (1.0 - part) + values[b + 1] * part).sum();
            sum / jumps.len() as f64
        };
        let phases = wave.len();
        let price = |phase: usize, bin: usize| (at(bin) + wave[phase]).exp();
        // What follows a post at each phase and place, beyond the average; and the average itself, per slot.
        let is_first = self.after.is_empty();
        if is_first {
            (self.after, self.average) = (vec![vec![0.0; GRID]; phases], 1.0 / window as f64);
        }
        let (mut after, mut average) = (self.after.clone(), self.average);
        let mut table = vec![vec![f64::NEG_INFINITY; window]; phases];
        let sweeps = if is_first { SWEEPS_FIRST } else { SWEEPS };
        for sweep in 0..sweeps {
            // `worth[phase][bin]` with so many slots left, from none upwards.
            let mut worth: Vec<Vec<f64>> =
                (0..phases).map(|p| (0..GRID).map(|b| price(p, b) + after[p][b]).collect()).collect();
            for left in 1..window {
                let mut next = vec![vec![0.0; GRID]; phases];
                for phase in 0..phases {
                    let later = &worth[(phase + 1) % phases];
                    for bin in 0..GRID {
                        let wait = expected(later, bin) - average;
                        let take = price(phase, bin) + after[phase][bin];
                        next[phase][bin] = take.min(wait);
                        if sweep + 1 == sweeps && take + MARGIN <= wait {
                            table[phase][left] = at(bin) + wave[phase];
                        }
                    }
                }
                worth = next;
            }
            let mut follows = vec![vec![0.0; GRID]; phases];
            for phase in 0..phases {
                for bin in 0..GRID {
                    follows[phase][bin] = expected(&worth[(phase + 1) % phases], bin) - average;
                }
            }
            let mean = follows.iter().map(|it| it[GRID / 2]).sum::<f64>() / phases as f64;
            average += mean / window as f64;
            after = follows.into_iter().map(|it| it.into_iter().map(|it| it - mean).collect()).collect();
        }
        (self.after, self.average) = (after, average);
        table
    }
}
