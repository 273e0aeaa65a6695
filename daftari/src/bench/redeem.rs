//! Durable redeems per second over HTTP, beside TPC-B transactions per second of the same PostgreSQL in the same run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::{Child, Command};

use super::ground::{API_KEY, PARTNER, WRAPPING_KEY};
use super::pgbench::Pgbench;
use super::report::Report;
use super::role::{answers, own_program};
use super::stage::{self, Stage, TPCB_CLIENTS, TPCB_SCALE};
use crate::config::{Bench, Span};
use crate::load::LoadReport;

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let stage = Stage::start(&root).await?;
    let mut report = Report::new("redeem", config.seed);
    report.setting("members", config.members);
    report.setting("seconds_each", config.duration.0.as_secs_f64());
    report.setting("load", "daftari load, a process of its own on the same machine");
    report.setting("server", "daftari api, a process of its own: authentication, idempotency, sequences, leaf; not sealed meanwhile");
    report.setting("postgres", "fsync, full_page_writes, synchronous_commit on; shared_buffers 1 GB");

    let seconds = config.duration.0.as_secs().max(1);
    let program = root.join(".cache/postgres/bin/pgbench");
    let pgbench = Pgbench { program: &program, url: stage.postgres.url("postgres") };
    pgbench.fill(TPCB_SCALE).await?;
    let tpcb = pgbench.tpcb(TPCB_CLIENTS, seconds).await?;
    report.figure("tpcb_tps", tpcb, "transactions/s (pgbench, scale 50, 32 clients)");

    let url = store::test_database(&stage.postgres.url("postgres")).await?;
    let key_file = stage.folder.path().join("wrapping.key");
    crate::keys::write_secret(&key_file, &hex::encode(WRAPPING_KEY))?;
    let (_, pool) = stage::prepare(&url, config.members).await?;
    pool.close().await;
    let api = Api::start(&url, &key_file).await?;
    for (connections, goal) in [(64, None), (256, Some(3.0))] {
        let load = load(config, api.address, connections).await?;
        ensure!(load.failed == 0, "{} redeems failed", load.failed);
        let rate = load.succeeded as f64 / load.seconds;
        report.figure(&format!("redeem_http_{connections}"), rate, "redeems/s");
        report.figure(&format!("redeem_http_{connections}_p50_ms"), f64::from(load.p50_us) / 1000.0, "ms");
        report.figure(&format!("redeem_http_{connections}_p99_ms"), f64::from(load.p99_us) / 1000.0, "ms");
        match goal {
            Some(goal) => report.figure_at_least("redeem_http_vs_tpcb", rate / tpcb, "× TPC-B", goal),
            None => report.figure("redeem_http_64_vs_tpcb", rate / tpcb, "× TPC-B"),
        }
    }
    drop(api);
    let pool = store::connect(&url, 2).await?;
    let books = store::check_books(&mut *pool.acquire().await?).await?;
    report.figure("postings", books.leaves as f64, "postings, checked afterwards");
    pool.close().await;
    stage.stop().await?;
    Ok(report)
}

/// `daftari api` in a process of its own.
struct Api {
    address: SocketAddr,
    _process: Child,
}

impl Api {
    async fn start(url: &str, key_file: &Path) -> anyhow::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], devstack::free_port()?));
        let process = Command::new(own_program()?)
            .args(["--log-level", "warn", "api", "--listen", &address.to_string(), "--database-url", url])
            .arg("--wrapping-key-file")
            .arg(key_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        answers(address, "/health/ready").await?;
        Ok(Self { address, _process: process })
    }
}

async fn load(config: &Bench, target: SocketAddr, connections: u32) -> anyhow::Result<LoadReport> {
    let Span(duration) = config.duration;
    let output = Command::new(own_program()?)
        .args(["load", "--target", &target.to_string(), "--api-key", API_KEY, "--partner", PARTNER])
        .args(["--members", &config.members.to_string(), "--connections", &connections.to_string()])
        .args(["--duration", &format!("{}ms", duration.as_millis())])
        .args(["--seed", &(config.seed + u64::from(connections)).to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(output.status.success(), "the load process failed");
    serde_json::from_slice(&output.stdout).context("the load process printed no report")
}
