//! What somebody takes who knows how a regime's prices are made: the table of an average-cost recursion over price and last
//! step, counted in a series fifty times as long that nobody else sees. No rule that sees only these can do better, but for
//! the width of the bins; one that has to learn them does worse.

use anchor_worker::schedule::optimum;

/// Bins of the price, and of the last step.
const PRICES: usize = 24;
const STEPS: usize = 7;
const SWEEPS: usize = 40;

/// The share of the possible saving that is taken on `prices` by the best table for `known`, a longer series of the same law.
pub(super) fn ceiling(known: &[f64], prices: &[f64], window: usize) -> f64 {
    let bins = Bins::of(known);
    let takes = table(&bins, known, window);
    let mut paid = 0.0;
    for phase in 0..window {
        let mut gap = phase;
        for slot in 0..prices.len() {
            gap += 1;
            let left = window.saturating_sub(gap);
            if left == 0 || slot != 0 && takes[left][bins.place(prices, slot)] {
                paid += prices[slot] / window as f64;
                gap = 0;
            }
        }
    }
    let fixed = prices.iter().sum::<f64>() / window as f64;
    (fixed - paid) / (fixed - optimum(prices, window))
}

/// Equally filled bins.
struct Bins {
    prices: Vec<f64>,
    steps: Vec<f64>,
}

impl Bins {
    fn of(known: &[f64]) -> Self {
        let edges = |mut all: Vec<f64>, count: usize| -> Vec<f64> {
            all.sort_by(f64::total_cmp);
            (1..count).map(|it| all[it * all.len() / count]).collect()
        };
        let steps = known.windows(2).map(|it| it[1] / it[0]).collect();
        Self { prices: edges(known.to_vec(), PRICES), steps: edges(steps, STEPS) }
    }

    fn place(&self, prices: &[f64], slot: usize) -> usize {
        let step = prices[slot] / prices[slot - 1];
        self.prices.partition_point(|it| *it <= prices[slot]) * STEPS
            + self.steps.partition_point(|it| *it <= step)
    }
}

/// For each number of slots left and each place, whether the price is taken.
fn table(bins: &Bins, known: &[f64], window: usize) -> Vec<Vec<bool>> {
    let places: Vec<usize> = (1..known.len()).map(|slot| bins.place(known, slot)).collect();
    let mut price = vec![0.0; PRICES * STEPS];
    let mut seen = vec![0.0_f64; PRICES * STEPS];
    let mut follows = vec![vec![0.0; PRICES * STEPS]; PRICES * STEPS];
    for (at, place) in places.iter().enumerate() {
        price[*place] += known[at + 1];
        seen[*place] += 1.0;
        if let Some(next) = places.get(at + 1) {
            follows[*place][*next] += 1.0;
        }
    }
    let follows: Vec<Vec<(usize, f64)>> = follows
        .iter()
        .map(|row| {
            let sum: f64 = row.iter().sum();
            row.iter().enumerate().filter(|it| 0.0 < *it.1).map(|(next, count)| (next, count / sum)).collect()
        })
        .collect();
    price.iter_mut().zip(&seen).for_each(|(sum, count)| *sum /= count.max(1.0));
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let (mut average, mut after) = (mean / window as f64, vec![0.0; price.len()]);
    let expected = |values: &[f64], place: usize| -> f64 {
        follows[place].iter().map(|(next, chance)| chance * values[*next]).sum()
    };
    let mut takes = vec![vec![true; price.len()]; window];
    for _ in 0..SWEEPS {
        let take: Vec<f64> = price.iter().zip(&after).map(|(now, later)| now + later).collect();
        let mut worth = take.clone();
        for left in takes.iter_mut().skip(1) {
            let wait: Vec<f64> = (0..price.len()).map(|it| expected(&worth, it) - average).collect();
            for (place, now) in left.iter_mut().enumerate() {
                *now = take[place] <= wait[place];
                worth[place] = take[place].min(wait[place]);
            }
        }
        let next: Vec<f64> = (0..price.len()).map(|it| expected(&worth, it) - average).collect();
        let beyond = next.iter().zip(&seen).map(|(it, count)| it * count).sum::<f64>() / places.len() as f64;
        average += beyond / window as f64;
        after = next.iter().map(|it| it - beyond).collect();
    }
    takes
}
