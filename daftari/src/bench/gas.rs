//! What the contracts cost, from receipts of whole transactions on anvil: `contracts/gas` measures.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::report::Report;
use crate::config::Bench;

#[derive(Deserialize)]
struct Figure {
    name: String,
    gas: f64,
    polygon: f64,
    goal: Option<Goal>,
}

#[derive(Deserialize)]
struct Goal {
    gas: f64,
    polygon: Option<f64>,
}

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let figures: Vec<Figure> = contracts_tool("gas").await?;
    let mut report = Report::new("gas", config.seed);
    report.setting("rules", "Prague, receipts of whole transactions on anvil; the same figures in every run");
    report.setting("polygon", "beside it with PIP-88: a slot's first read 5,460, first write 2,940 more");
    for Figure { name, gas, polygon, goal } in figures {
        let on_polygon = format!("{name}_polygon");
        let polygon_goal = goal.as_ref().and_then(|it| it.polygon);
        for (name, value, goal) in [(name, gas, goal.map(|it| it.gas)), (on_polygon, polygon, polygon_goal)] {
            match goal {
                Some(goal) => report.figure_at_most(&name, value, "gas", goal),
                None => report.figure(&name, value, "gas"),
            }
        }
    }
    Ok(report)
}

/// What a script of `contracts/` says in JSON. It may fail and still say it.
pub(super) async fn contracts_tool<T: DeserializeOwned>(name: &str) -> anyhow::Result<T> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts").join(name);
    let output = Command::new(&script)
        .arg("--json")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {}", script.display()))?;
    let said = String::from_utf8(output.stdout)?;
    let last = said.lines().last();
    ensure!(last.is_some(), "contracts/{name} said nothing and ended with {}", output.status);
    serde_json::from_str(last.unwrap_or_default())
        .with_context(|| format!("contracts/{name} printed no JSON"))
}
