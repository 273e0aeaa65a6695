//! Contracts that are broken one line at a time, and whether a test fails for each: `contracts/mutate` breaks them.

use serde::Deserialize;

use super::gas::contracts_tool;
use super::report::Report;
use crate::config::Bench;

#[derive(Deserialize)]
struct Mutation {
    mutants: f64,
    survived: f64,
}

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let Mutation { mutants, survived } = contracts_tool("mutate").await?;
    let mut report = Report::new("mutation-contracts", config.seed);
    report.figure_at_least("mutants", mutants, "lines broken, one at a time", 20.0);
    report.figure_at_most("survived", survived, "of them without a test that fails", 0.0);
    Ok(report)
}
