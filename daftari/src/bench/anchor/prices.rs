//! Series of prices: recorded ones, and regimes that are made from a seed.

use std::path::Path;

use anyhow::Context;

/// A series, and the windows that it is judged on.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) prices: Vec<f64>,
    /// How many slots a day has, where that is few enough to learn a wave over the day.
    pub(super) day: usize,
    pub(super) windows: Vec<(&'static str, usize)>,
    pub(super) is_polygon: bool,
}

/// The p50 tip beside the base fee, where a trace has both.
pub(super) struct Tips {
    pub(super) base_fees: Vec<f64>,
    pub(super) tips: Vec<f64>,
}

/// SplitMix64: every seed is a stream of its own.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        // Far apart: the stream of one number is that of its neighbour, one step later.
        let mut near = Self(seed);
        let far = (near.below_one() * (1_u64 << 53) as f64) as u64;
        Self(far.wrapping_mul(0xD134_2543_DE82_EF95) ^ seed)
    }

    pub(super) fn below_one(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The recorded traces of a folder. On Polygon a block took about 2 s when they were recorded.
pub(super) fn recorded(folder: &Path) -> anyhow::Result<(Vec<Series>, Tips)> {
    let read = |name: &str, column: usize| -> anyhow::Result<Vec<f64>> {
        let path = folder.join(name);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let cell = |line: &str| line.split(',').nth(column).and_then(|it| it.parse::<f64>().ok());
        text.lines().skip(1).map(|it| cell(it).with_context(|| format!("{name}: {it:?}"))).collect()
    };
    let series = |name: &str, day, windows: &[(&'static str, usize)], is_polygon| {
        let prices = read(&format!("{name}.csv"), 1)?;
        anyhow::Ok(Series { name: name.to_owned(), prices, day, windows: windows.to_vec(), is_polygon })
    };
    let tips = Tips { base_fees: read("polygon_10min.csv", 1)?, tips: read("polygon_10min.csv", 2)? };
    let all = vec![
        series("ethereum_hourly", 24, &[("6h", 6), ("12h", 12), ("24h", 24)], false)?,
        series("polygon_10min", 0, &[("1h", 6), ("2h", 12), ("4h", 24)], true)?,
        series("polygon_block", 0, &[("5min", 150), ("10min", 300)], true)?,
    ];
    Ok((all, tips))
}

/// How many slots the regimes have: enough for 150 windows of a day.
pub(super) const SLOTS: usize = 150 * 24;

/// The regimes, each of so many slots. All stay within a factor of ten.
///
/// * `calm`: falls back to 414 gwei by a fiftieth a slot, with a coefficient of variation of about 0.05.
/// * `volatile`: a walk in the logarithm with steps of up to 12 %, drawn back by a tenth.
/// * `spikes`: calm, and every 50 slots or so five times as much for up to ten slots.
/// * `wave`: a daily wave of 24 slots by a factor of two, with noise of 15 %.
/// * `polygon`: `base(t+1) = base(t) × (1 + (u − 0.65) / 0.65 / 64)`, at most 5 % a block, where `u` follows a mean that
///   jumps now and then: Polygon's walk, seen every 75 blocks.
pub(super) fn generated(seed: u64, slots: usize) -> Vec<Series> {
    let windows = [("6", 6), ("12", 12), ("24", 24)];
    let make = |name: &str, day, is_polygon, next: &mut dyn FnMut(usize, f64, &mut Random) -> f64| {
        let mut random = Random::new(seed ^ name.len() as u64);
        let mut price = 300e9;
        let prices = (0..slots)
            .map(|slot| {
                price = next(slot, price, &mut random).clamp(30e9, 3_000e9);
                price
            })
            .collect();
        Series { name: name.to_owned(), prices, day, windows: windows.to_vec(), is_polygon }
    };
    let calm =
        |price: f64, random: &mut Random| price + (414e9 - price) / 50.0 + (random.below_one() - 0.5) * 15e9;
    let (mut spike_ends, mut quiet) = (0, 414e9);
    let (mut u, mut mean) = (0.65_f64, 0.65);
    vec![
        make("calm", 0, true, &mut |_, price, random| calm(price, random)),
        make("volatile", 0, false, &mut |_, price, random| {
            let step = (random.below_one() - 0.5) * 0.24 - 0.1 * (price / 300e9).ln();
            price * step.exp()
        }),
        make("spikes", 0, true, &mut |slot, _, random| {
            quiet = calm(quiet, random);
            if spike_ends <= slot && random.below_one() < 0.02 {
                spike_ends = slot + 1 + (random.below_one() * 10.0) as usize;
            }
            if slot < spike_ends { quiet * 5.0 } else { quiet }
        }),
        make("wave", 24, false, &mut |slot, _, random| {
            let turn = slot as f64 / 24.0 * std::f64::consts::TAU;
            300e9 * (0.35 * turn.sin()).exp() * (1.0 + 0.3 * (random.below_one() - 0.5))
        }),
        make("polygon", 0, true, &mut |_, price, random| {
            let mut price = price;
            for _ in 0..75 {
                if random.below_one() < 0.01 {
                    mean = 0.3 + 0.7 * random.below_one();
                }
                u = 0.9 * u + 0.1 * (mean + 0.6 * (random.below_one() - 0.5));
                price *= 1.0 + ((u - 0.65) / 0.65 / 64.0).clamp(-0.05, 0.05);
                price += (300e9 - price) * 0.0005;
            }
            price
        }),
    ]
}
