//! Prices and anchors over time, as one SVG that needs nothing to view: no script, no font, no other file.

use anchor_worker::AnchorCosts;
use anyhow::anyhow;
use plotters::prelude::*;
use time::OffsetDateTime;

const SIZE: (u32, u32) = (1_000, 420);
const GWEI: f64 = 1e9;
/// More points than this on a line are not seen as points any more.
const POINTS_MAX: usize = 2_000;
const PRICE: RGBColor = RGBColor(120, 130, 150);
const ANCHOR: RGBColor = RGBColor(190, 60, 30);

/// The base fee as a line, each anchor as a dot on it.
pub(super) fn svg(costs: &AnchorCosts, headline: &str) -> anyhow::Result<String> {
    let hours = |ms: u64| (ms as f64 - costs.begin_ms as f64) / 3_600_000.0;
    let prices: Vec<(f64, f64)> =
        costs.headers.iter().map(|it| (hours(it.time_ms), it.base_fee_wei as f64 / GWEI)).collect();
    let every = prices.len().div_ceil(POINTS_MAX).max(1);
    let drawn: Vec<(f64, f64)> = prices
        .chunks(every)
        .map(|it| (it[0].0, it.iter().map(|it| it.1).sum::<f64>() / it.len() as f64))
        .collect();
    // An anchor stands at the price that was seen last before its block was.
    let dots = costs.paid.iter().map(|it| {
        let at = hours(it.included_ms);
        let before = prices.partition_point(|it| it.0 <= at);
        (at, before.checked_sub(1).and_then(|it| prices.get(it)).map_or(0.0, |it| it.1), it.is_reverted)
    });
    let highest = prices.iter().map(|it| it.1).fold(0.0, f64::max).max(0.001) * 1.1;
    let mut text = String::new();
    draw(&mut text, headline, hours(costs.end_ms), highest, costs.begin_ms, &drawn, dots)
        .map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    Ok(text)
}

fn draw(
    text: &mut String,
    headline: &str,
    end_h: f64,
    highest: f64,
    begin_ms: u64,
    prices: &[(f64, f64)],
    dots: impl Iterator<Item = (f64, f64, bool)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let day = |hour: &f64| {
        let at = OffsetDateTime::from_unix_timestamp(begin_ms as i64 / 1000 + (hour * 3600.0) as i64);
        at.map_or(String::new(), |it| {
            format!("{:02}-{:02} {:02}:{:02}", it.month() as u8, it.day(), it.hour(), it.minute())
        })
    };
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(headline, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end_h, 0.0..highest)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(8)
        .x_label_formatter(&day)
        .y_desc("base fee, gwei")
        .draw()?;
    chart.draw_series(LineSeries::new(prices.iter().copied(), &PRICE))?;
    chart.draw_series(dots.map(|(at, price, is_reverted)| {
        let style = if is_reverted { ANCHOR.stroke_width(1) } else { ANCHOR.filled() };
        Circle::new((at, price), 3, style)
    }))?;
    root.present()?;
    Ok(())
}
