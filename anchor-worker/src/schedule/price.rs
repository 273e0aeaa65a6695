//! Whether this price is one to take. A window of so many slots may pass between two anchors; at each slot the price is
//! shown, and the answer is yes or no.
//!
//! What is learnt is small: a level that follows slowly, a wave over the day, how fast the price falls back to them, how far
//! it goes on the way it went, and how it jumps. From these a table says, for each number of slots left, up to which price taking it now costs less in the
//! long run than waiting: the fixed point of an average-cost recursion, in which waiting is paid for by the slots that it
//! saves. Nobody knows beforehand whether these prices are of the kind that this model helps with. So it is tried on paper first,
//! all the time and from several phases, and followed only while it would have saved something lately; and a guard goes back to
//! fixed intervals for a while after two posts' worth was lost to them in fact.

use std::collections::VecDeque;

/// How much of the past counts, in windows and at least in slots.
const KEPT_WINDOWS: usize = 24;
const KEPT_SLOTS: usize = 24 * 14;
/// The grid of prices, as logarithms beside the level.
const GRID: usize = 25;
/// The grid of momentum, where prices have one.
const MOMENTA: usize = 7;
/// How fast momentum may forget: it is that of the last slot, or of the last few.
const MOMENTUM_WEIGHTS: [f64; 2] = [1.0, 0.2];
/// How many standard errors it must be away from nothing to be believed.
const MOMENTUM_SURE: f64 = 8.0;
/// Jumps are taken from the past, at so many equally probable points.
const JUMPS: usize = 11;
const SWEEPS_FIRST: usize = 30;
/// Once it is known roughly, a few bring it up to date.
const SWEEPS: usize = 6;
/// How much better than waiting taking a price must look, as a share of the level: what was learnt is never exact.
const MARGIN: f64 = 0.02;
/// It is tried on paper from so many phases.
const PAPERS: usize = 6;
/// It is followed from so many posts saved on paper on, until so few are left of them; what is so many windows old counts a
/// third.
const SAVED_POSTS: f64 = 5.0;
const LEFT_POSTS: f64 = 2.5;
const SAVED_WINDOWS: f64 = 40.0;
/// A loss of so many posts sends it back to fixed intervals, for so many windows.
const LOST_POSTS: f64 = 2.0;
const FIXED_WINDOWS: usize = 12;

/// How prices beside the level move: `next = pull × now + push × momentum + jump`, and momentum follows the steps with its
/// weight.
#[derive(Clone, Debug)]
struct Motion {
    pull: f64,
    push: f64,
    weight: f64,
    spread: f64,
    /// One place of momentum on the grid to the next; nothing where there is no momentum.
    stride: f64,
    jumps: Vec<f64>,
}

/// Decides price by price.
#[derive(Clone, Debug)]
pub struct PriceTimer {
    window: usize,
    day: usize,
    seen: usize,
    logs: VecDeque<f64>,
    level: f64,
    wave: Vec<f64>,
    motion: Motion,
    /// Momentum as of the last price.
    momentum: f64,
    /// Up to which logarithm beside the level a price is taken, by phase of the day and momentum, then by slots left.
    limits: Vec<Vec<f64>>,
    /// What follows a post, beyond the average, by the same, then by price; and that average per slot.
    after: Vec<Vec<f64>>,
    average: f64,
    solved_at: usize,
    /// What was paid beyond what fixed intervals would have paid on average, in posts.
    lost_posts: f64,
    fixed_until: usize,
    /// How long ago each paper posted, what following them would have saved, and whether it is followed.
    papers: [usize; PAPERS],
    saved_posts: f64,
    is_followed: bool,
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
            motion: Motion { pull: 0.0, push: 0.0, weight: 1.0, spread: 0.0, stride: 0.0, jumps: Vec::new() },
            momentum: 0.0,
            limits: Vec::new(),
            after: Vec::new(),
            average: 0.0,
            solved_at: 0,
            lost_posts: 0.0,
            fixed_until: 0,
            papers: std::array::from_fn(|it| it * window / PAPERS),
            saved_posts: 0.0,
            is_followed: false,
        }
    }

    /// Takes the price of the next slot.
    pub fn observe(&mut self, price: f64) {
        let log = price.max(1.0).ln();
        // Fixed intervals of every phase together pay this much of a price in each slot.
        if !self.is_fixed() {
            self.lost_posts -= (log - self.level).exp() / self.window as f64;
        }
        self.momentum = self.momentum_with(log);
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
        self.try_on_paper(log);
        // A gain that lies long back does not pay for a loss of today.
        self.lost_posts = self.lost_posts.max(-4.0 * LOST_POSTS);
        if LOST_POSTS < self.lost_posts {
            (self.lost_posts, self.fixed_until) = (0.0, self.seen + FIXED_WINDOWS * self.window);
        }
    }

    fn try_on_paper(&mut self, log: f64) {
        if self.limits.is_empty() {
            return;
        }
        let price = (log - self.level).exp();
        let mut posts = 0.0;
        for number in 0..PAPERS {
            let left = self.window.saturating_sub(self.papers[number] + 1);
            let takes = left == 0 || self.beside() <= self.limit(left, self.momentum);
            self.papers[number] = if takes { 0 } else { self.papers[number] + 1 };
            posts += f64::from(u8::from(takes)) / PAPERS as f64;
        }
        let kept = (-1.0 / (SAVED_WINDOWS * self.window as f64)).exp();
        self.saved_posts = self.saved_posts * kept + price * (1.0 / self.window as f64 - posts);
        self.is_followed =
            if self.is_followed { LEFT_POSTS < self.saved_posts } else { SAVED_POSTS <= self.saved_posts };
    }

    /// Whether to take the last price, so many slots before the window ends.
    pub fn takes(&self, slots_left: usize) -> bool {
        if slots_left == 0 {
            return true;
        }
        !self.is_fixed() && self.beside() <= self.limit(slots_left, self.momentum)
    }

    /// The same for a price that is at hand before its slot has ended.
    pub fn takes_price(&self, price: f64, slots_left: usize) -> bool {
        let beside = price.max(1.0).ln() - self.level;
        let momentum = self.momentum_with(price.max(1.0).ln());
        slots_left == 0 || !self.is_fixed() && beside <= self.limit(slots_left, momentum)
    }

    fn momentum_with(&self, log: f64) -> f64 {
        let step = self.logs.back().map_or(0.0, |last| log - last);
        self.momentum + self.motion.weight * (step - self.momentum)
    }

    fn limit(&self, slots_left: usize, momentum: f64) -> f64 {
        let phase = self.phase(self.seen.saturating_sub(1));
        let limits = self.limits.get(phase * self.motion.momenta() + self.motion.place(momentum));
        limits.map_or(f64::NEG_INFINITY, |it| it[slots_left.min(it.len() - 1)])
    }

    /// Notes that the last price was taken.
    pub fn taken(&mut self) {
        if let Some(log) = self.logs.back().filter(|_| !self.is_fixed()) {
            self.lost_posts += (log - self.level).exp();
        }
    }

    /// Whether it keeps to fixed intervals for now, because it has learnt too little, would have saved nothing, or lost too
    /// much.
    pub fn is_fixed(&self) -> bool {
        !self.is_followed || self.seen < self.fixed_until
    }

    /// A price as a share of the level.
    pub fn share_of_level(&self, price: f64) -> f64 {
        (price.max(1.0).ln() - self.level).exp()
    }

    /// Up to which share of the level a price is taken.
    pub fn share_taken(&self, slots_left: usize) -> f64 {
        self.limit(slots_left, self.momentum).exp()
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
        let (motion, momentum) = Motion::of(&calm);
        if motion.momenta() != self.motion.momenta() {
            self.after.clear();
        }
        (self.motion, self.momentum) = (motion, momentum);
        self.limits = self.recursion();
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

    /// For each phase of the day, momentum and number of slots left, the highest price that is taken.
    #[expect(clippy::needless_range_loop, reason = "places on a grid are indexes into several tables")]
    fn recursion(&mut self) -> Vec<Vec<f64>> {
        let (window, wave, motion) = (self.window, self.wave.clone(), self.motion.clone());
        let (momenta, phases) = (motion.momenta(), wave.len());
        let step = 6.0 * motion.spread.max(1e-6) / (GRID - 1) as f64;
        let at = |bin: usize| (bin as f64 - (GRID - 1) as f64 / 2.0) * step;
        // Where each jump leads from each place on the grid: momentum, the price's place below, and how far beyond it.
        let leads: Vec<Vec<(usize, usize, f64)>> = (0..momenta * GRID)
            .map(|place| {
                let (now, momentum) = (at(place % GRID), motion.at(place / GRID));
                let lead = |jump: &f64| {
                    let next = motion.pull * now + motion.push * momentum + jump;
                    let follows = motion.place(momentum + motion.weight * (next - now - momentum));
                    let bin = (next / step + (GRID - 1) as f64 / 2.0).clamp(0.0, (GRID - 1) as f64);
                    let below = (bin as usize).min(GRID - 2);
                    (follows, below, bin - below as f64)
                };
                motion.jumps.iter().map(lead).collect()
            })
            .collect();
        let expected = |values: &[f64], place: usize| {
            let value = |(momentum, below, part): &(usize, usize, f64)| {
                let low = momentum * GRID + below;
                values[low] * (1.0 - part) + values[low + 1] * part
            };
            leads[place].iter().map(value).sum::<f64>() / motion.jumps.len() as f64
        };
        let places = momenta * GRID;
        let price: Vec<Vec<f64>> =
            wave.iter().map(|wave| (0..places).map(|it| (at(it % GRID) + wave).exp()).collect()).collect();
        // What follows a post at each phase and place, beyond the average; and the average itself, per slot.
        let is_first = self.after.is_empty();
        if is_first {
            (self.after, self.average) = (vec![vec![0.0; places]; phases], 1.0 / window as f64);
        }
        let (mut after, mut average) = (self.after.clone(), self.average);
        let mut table = vec![vec![f64::NEG_INFINITY; window]; phases * momenta];
        let sweeps = if is_first { SWEEPS_FIRST } else { SWEEPS };
        for sweep in 0..sweeps {
            // `worth[phase][place]` with so many slots left, from none upwards.
            let mut worth: Vec<Vec<f64>> =
                (0..phases).map(|p| (0..places).map(|it| price[p][it] + after[p][it]).collect()).collect();
            for left in 1..window {
                let mut next = vec![vec![0.0; places]; phases];
                for phase in 0..phases {
                    let later = &worth[(phase + 1) % phases];
                    for place in 0..places {
                        let wait = expected(later, place) - average;
                        let take = price[phase][place] + after[phase][place];
                        next[phase][place] = take.min(wait);
                        if sweep + 1 == sweeps && take + MARGIN <= wait {
                            table[phase * momenta + place / GRID][left] = at(place % GRID) + wave[phase];
                        }
                    }
                }
                worth = next;
            }
            let mut follows = vec![vec![0.0; places]; phases];
            for phase in 0..phases {
                for place in 0..places {
                    follows[phase][place] = expected(&worth[(phase + 1) % phases], place) - average;
                }
            }
            let middle = momenta / 2 * GRID + GRID / 2;
            let mean = follows.iter().map(|it| it[middle]).sum::<f64>() / phases as f64;
            average += mean / window as f64;
            after = follows.into_iter().map(|it| it.into_iter().map(|it| it - mean).collect()).collect();
        }
        (self.after, self.average) = (after, average);
        table
    }
}

impl Motion {
    /// What these prices beside the level show, and their momentum at the end. Momentum is left out where it is not sure.
    fn of(calm: &[f64]) -> (Self, f64) {
        let n = calm.len() as f64;
        let variance = calm.iter().map(|it| it * it).sum::<f64>() / n;
        let lagged = calm.windows(2).map(|it| it[0] * it[1]).sum::<f64>() / n;
        let raw = if 0.0 < variance { lagged / variance } else { 0.0 };
        // Short series make prices seem to fall back faster than they do.
        let pull = (raw + (1.0 + 3.0 * raw) / n).clamp(0.0, 0.999);
        let mut best = (MOMENTUM_SURE, 1.0, 0.0, pull, 0.0, 0.0);
        for weight in MOMENTUM_WEIGHTS {
            let (sure, push, pull, spread, last) = momentum(calm, weight);
            if best.0 < sure {
                best =
                    (sure, weight, push, pull.clamp(0.0, 0.999), 2.0 * spread / (MOMENTA / 2) as f64, last);
            }
        }
        let (_, weight, push, pull, stride, last) = best;
        let mut momentum = 0.0;
        let mut jumps = Vec::with_capacity(calm.len());
        for it in calm.windows(2) {
            jumps.push(it[1] - pull * it[0] - push * momentum);
            momentum += weight * (it[1] - it[0] - momentum);
        }
        jumps.sort_by(f64::total_cmp);
        let jumps: Vec<f64> = (0..JUMPS).map(|it| jumps[(2 * it + 1) * jumps.len() / (2 * JUMPS)]).collect();
        let centre = jumps.iter().sum::<f64>() / JUMPS as f64;
        let jumps = jumps.iter().map(|it| it - centre).collect();
        (Self { pull, push, weight, spread: variance.sqrt(), stride, jumps }, last)
    }

    /// How many places momentum has on its grid.
    fn momenta(&self) -> usize {
        if self.stride == 0.0 { 1 } else { MOMENTA }
    }

    fn at(&self, place: usize) -> f64 {
        if self.stride == 0.0 { 0.0 } else { (place as f64 - (MOMENTA / 2) as f64) * self.stride }
    }

    fn place(&self, momentum: f64) -> usize {
        if self.stride == 0.0 {
            return 0;
        }
        let half = (MOMENTA / 2) as f64;
        ((momentum / self.stride).round().clamp(-half, half) + half) as usize
    }
}

/// How the next step follows from the price and from momentum of this weight, by least squares: how many standard errors the
/// second is from nothing, its factor, the first's, how far momentum spreads, and what it is at the end.
fn momentum(calm: &[f64], weight: f64) -> (f64, f64, f64, f64, f64) {
    let (mut bb, mut bm, mut mm, mut by, mut my, mut yy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    let mut momentum = 0.0;
    for it in calm.windows(2) {
        let step = it[1] - it[0];
        bb += it[0] * it[0];
        bm += it[0] * momentum;
        mm += momentum * momentum;
        by += it[0] * step;
        my += momentum * step;
        yy += step * step;
        momentum += weight * (step - momentum);
    }
    let determinant = bb * mm - bm * bm;
    if determinant <= 1e-12 * bb * mm {
        return (0.0, 0.0, 0.0, 0.0, momentum);
    }
    let fall = (by * mm - my * bm) / determinant;
    let push = (my * bb - by * bm) / determinant;
    let n = calm.len() as f64 - 1.0;
    let unexplained = ((yy - fall * by - push * my) / (n - 2.0)).max(0.0);
    let error = (unexplained * bb / determinant).sqrt();
    let sure = if 0.0 < error { push / error } else { 0.0 };
    (sure, push, 1.0 + fall, (mm / n).sqrt(), momentum)
}

#[cfg(test)]
mod tests;
