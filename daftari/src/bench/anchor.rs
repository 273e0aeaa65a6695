//! What timing an anchor saves: on recorded base fees, on regimes made from a seed, and against an adversary. Every such
//! figure is by walk-forward: at each price the scheduler knows only those before it. And what anchoring costs the books.

mod ceiling;
mod judge;
mod live;
mod prices;

use ceiling::ceiling;
use judge::{against_an_adversary, judge};
use prices::{Random, Series, Tips};

use super::report::Report;
use crate::config::Bench;

/// How long a series shows the law of a regime.
const KNOWN_SLOTS: usize = 40_000;
/// The least tip that Polygon's pools let in.
const POLYGON_TIP_WEI: f64 = 25e9;
/// An anchor with 17 proof nodes, `anchor_17` as `contracts/gas` measures it on anvil; on Polygon with PIP-88.
const ANCHOR_GAS: f64 = 52_412.0;
const ANCHOR_GAS_POLYGON: f64 = 59_132.0;
/// What a posting costs is said at these prices: 10 gwei of ETH at $3,000, 414 gwei of POL at $0.10.
const ETHEREUM_USD_PER_GAS: f64 = 10e-9 * 3_000.0;
const POLYGON_USD_PER_GAS: f64 = 414e-9 * 0.10;

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let mut report = timing(config)?;
    live::measure(config, &mut report).await?;
    Ok(report)
}

fn timing(config: &Bench) -> anyhow::Result<Report> {
    let mut report = Report::new("anchor", config.seed);
    let mut series = prices::generated(config.seed, prices::SLOTS);
    match &config.traces {
        Some(folder) => {
            let (recorded, tips) = prices::recorded(folder)?;
            report.setting(
                "traces",
                "recorded base fees, and five regimes of 150 windows and more made from the seed",
            );
            report.figure_at_most(
                "tip_cost_ratio",
                tip_cost_ratio(&tips),
                "× the cost with the p50 tip",
                0.40,
            );
            series.extend(recorded);
        }
        None => report.setting("traces", "five regimes made from the seed; no recorded ones: give --traces"),
    }
    let mut random = Random::new(config.seed);
    let (mut worst, mut misses) = (0.0_f64, 0);
    let (mut polygon, mut ceilings) = (Vec::new(), Vec::new());
    // Who knows how a regime is made has seen this much of it, by another seed.
    let known = prices::generated(!config.seed, KNOWN_SLOTS);
    for Series { name, windows, is_polygon, .. } in &series {
        for (label, window) in windows {
            let one = series.iter().find(|it| it.name == *name).expect("it is one of them");
            let judged = judge(one, *window, &mut random);
            worst = worst.max(judged.vs_fixed());
            misses += judged.misses;
            report.figure(&format!("{name}_{label}_vs_fixed"), judged.vs_fixed(), "× fixed intervals");
            report.figure(
                &format!("{name}_{label}_fixed_vs_optimum"),
                judged.fixed / judged.optimum,
                "× the optimum",
            );
            report.figure(&format!("{name}_{label}_share"), judged.share(), "of the possible saving");
            if let Some((low, high)) = judged.interval {
                report.figure(
                    &format!("{name}_{label}_vs_fixed_low"),
                    low,
                    "× (2.5 % of resamples lie below)",
                );
                report.figure(
                    &format!("{name}_{label}_vs_fixed_high"),
                    high,
                    "× (2.5 % of resamples lie above)",
                );
            }
            if *is_polygon {
                polygon.push(judged.share());
            }
            if let Some(known) = known.iter().find(|it| it.name == *name && *is_polygon) {
                let share = ceiling(&known.prices, &one.prices, *window);
                report.figure(&format!("{name}_{label}_ceiling"), share, "of it, by who knows the law");
                ceilings.push(share);
            }
            if (name.as_str(), *label) == ("ethereum_hourly", "24h") {
                report.figure_at_least("share_ethereum_24h", judged.share(), "of the possible saving", 0.20);
            }
        }
    }
    let share_polygon = polygon.iter().sum::<f64>() / polygon.len() as f64;
    report.figure_at_least("share_polygon", share_polygon, "of the possible saving, mean", 0.35);
    let ceiling = ceilings.iter().sum::<f64>() / ceilings.len() as f64;
    report.figure(
        "ceiling_polygon",
        ceiling,
        "of the possible saving, mean over the regimes, by who knows the law",
    );
    report.figure_at_most("policy_vs_fixed_worst", worst, "× fixed intervals", 1.00);
    let adversary = [6, 12, 24].map(|window| against_an_adversary(window, 200 * window, &mut random));
    let adversary = adversary.into_iter().fold(0.0, f64::max);
    report.figure_at_most("adversary_vs_fixed", adversary, "× fixed intervals", 1.05);
    report.figure_at_most("deadline_misses", misses as f64, "gaps beyond the window", 0.0);
    report.setting(
        "cost",
        "an anchor of 52,412 gas, 59,132 on Polygon; 10 gwei and $3,000 an ETH, 414 gwei and $0.10 a POL",
    );
    for batch in [1.0, 50.0, 1_000.0, 100_000.0] {
        report.figure(&format!("gas_per_posting_{batch}"), ANCHOR_GAS / batch, "gas");
        report.figure(
            &format!("usd_per_posting_ethereum_{batch}"),
            ANCHOR_GAS * ETHEREUM_USD_PER_GAS / batch,
            "$",
        );
        let polygon = ANCHOR_GAS_POLYGON * POLYGON_USD_PER_GAS / batch;
        report.figure(&format!("usd_per_posting_polygon_{batch}"), polygon, "$");
    }
    Ok(report)
}

/// What the lowest tip costs beside the one that half of the others paid.
fn tip_cost_ratio(tips: &Tips) -> f64 {
    let ours: f64 = tips.base_fees.iter().map(|it| it + POLYGON_TIP_WEI).sum();
    let theirs: f64 = tips.base_fees.iter().zip(&tips.tips).map(|(base, tip)| base + tip).sum();
    ours / theirs
}
