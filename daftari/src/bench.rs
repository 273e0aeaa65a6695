//! Benchmarks: each runs the built product and says what it measured, beside PostgreSQL's own in the same run.

mod anchor;
mod api;
mod asking;
mod callers;
mod crash;
mod gas;
mod ground;
mod growth;
mod import;
mod ingest;
mod kill;
mod ledger;
mod log;
mod mutation_contracts;
mod pgbench;
mod prefixes;
mod report;
mod role;
mod soak;
mod sockets;
mod stage;
mod standby;
mod verdict;

use anyhow::bail;

use crate::config::Bench;

/// Runs the benchmark of this name and prints its report.
pub(crate) async fn run(config: Bench) -> anyhow::Result<()> {
    let report = match config.name.as_str() {
        "import" => import::run(&config).await?,
        "ingest" => ingest::run(&config).await?,
        "anchor" => anchor::run(&config).await?,
        "ledger" => ledger::run(&config).await?,
        "soak" => soak::run(&config).await?,
        "growth" => growth::run(&config).await?,
        "api" | "redeem" => api::run(&config).await?,
        "log" => log::run(&config).await?,
        "crash" => crash::run(&config).await?,
        "power" => crash::power(&config).await?,
        "standby" => standby::run(&config).await?,
        "gas" => gas::run(&config).await?,
        "mutation-contracts" => mutation_contracts::run(&config).await?,
        other => {
            bail!(
                "there is no benchmark {other:?}: there are anchor, api, ledger, soak, growth, redeem, log, import, ingest, crash, power, standby, gas and mutation-contracts"
            )
        }
    };
    if config.json {
        println!("{}", report.to_json());
    } else {
        print!("{}", report.to_table());
    }
    report.verdict()?;
    if config.gate { report.held_to_goals() } else { Ok(()) }
}
