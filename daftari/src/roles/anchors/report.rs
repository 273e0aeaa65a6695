//! `daftari anchors report`: what was spent, and what others would have paid for the same promise.

use std::path::Path;
use std::time::Duration;

use anchor_worker::AnchorCosts;
use anyhow::Context;
use proof::AnchorPlace;
use serde::Serialize;
use store::PgConnection;

use super::{instant, plot};

const WEI: f64 = 1e18;

/// The report, as `--json` gives it. Amounts are in the chain's own coin.
#[derive(Serialize)]
struct Told {
    from: String,
    to: String,
    staleness_s: u64,
    /// Transactions that were paid for, reverted ones and pins too.
    transactions: usize,
    reverted: usize,
    pins: usize,
    spent_on_pins: f64,
    leaves: u64,
    spent: f64,
    gas_mean: Option<f64>,
    /// What an anchor at the end of each window would have cost.
    fixed_intervals: Option<f64>,
    /// The least for which nothing would have been late.
    optimum: Option<f64>,
    /// Of what could have been saved beside fixed intervals.
    share_of_saving: Option<f64>,
}

pub(super) async fn report(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    staleness: Duration,
    span: Duration,
    svg: Option<&Path>,
    json: bool,
) -> anyhow::Result<()> {
    let end_ms = store::clock_us(conn).await? as u64 / 1000;
    let begin_ms = end_ms.saturating_sub(span.as_millis() as u64);
    let staleness_ms = staleness.as_millis() as u64;
    let costs = anchor_worker::anchor_costs(conn, place, staleness_ms, begin_ms, end_ms).await?;
    let told = told(&costs, staleness_ms)?;
    match json {
        true => println!("{}", serde_json::to_string_pretty(&told)?),
        false => print!("{}", told.to_text()),
    }
    if let Some(path) = svg {
        let drawn = plot::svg(&costs, &told.headline())?;
        std::fs::write(path, drawn).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn told(costs: &AnchorCosts, staleness_ms: u64) -> anyhow::Result<Told> {
    let pins = || costs.paid.iter().filter(|it| it.is_pin);
    let gas: Vec<f64> = costs.paid.iter().filter_map(|it| it.gas_used).map(|it| it as f64).collect();
    Ok(Told {
        from: instant(costs.begin_ms / 1000)?,
        to: instant(costs.end_ms / 1000)?,
        staleness_s: staleness_ms / 1000,
        transactions: costs.paid.len(),
        reverted: costs.paid.iter().filter(|it| it.is_reverted).count(),
        pins: pins().count(),
        spent_on_pins: pins().map(|it| it.paid_wei as f64).sum::<f64>() / WEI,
        leaves: costs.paid.iter().map(|it| it.leaves).sum(),
        spent: costs.paid.iter().map(|it| it.paid_wei as f64).sum::<f64>() / WEI,
        gas_mean: (!gas.is_empty()).then(|| gas.iter().sum::<f64>() / gas.len() as f64),
        fixed_intervals: costs.hindsight.map(|it| it.fixed_wei / WEI),
        optimum: costs.hindsight.map(|it| it.optimum_wei / WEI),
        share_of_saving: costs.hindsight.and_then(|it| it.share()),
    })
}

impl Told {
    fn headline(&self) -> String {
        let share = self.share_of_saving.map_or(String::new(), |it| {
            format!(", {:.0} % of what could be saved beside fixed intervals", it * 100.0)
        });
        format!(
            "{} transactions for {} leaves: {:.6} spent{share}",
            self.transactions, self.leaves, self.spent
        )
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} to {}\n", self.from, self.to);
        text += &format!(
            "  transactions           {:>14}  {} of them reverted\n",
            self.transactions, self.reverted
        );
        text += &format!("  leaves anchored        {:>14}\n", self.leaves);
        text += &format!("  spent                  {:>14.6}\n", self.spent);
        if 0 < self.pins {
            text +=
                &format!("  of that on pins        {:>14.6}  {} of them\n", self.spent_on_pins, self.pins);
        }
        let (Some(fixed), Some(optimum)) = (self.fixed_intervals, self.optimum) else {
            return text + "  too little is known of prices, or owed, for a comparison\n";
        };
        let window = Duration::from_secs(self.staleness_s);
        text += &format!(
            "  fixed intervals        {fixed:>14.6}  an anchor every {window:?} while something is owed\n"
        );
        text += &format!("  best in hindsight      {optimum:>14.6}  nothing later than {window:?}\n");
        match self.share_of_saving {
            Some(share) => text + &format!("  share of the saving    {:>12.0} %\n", share * 100.0),
            None => text + "  prices did not move: there was nothing to save\n",
        }
    }
}
