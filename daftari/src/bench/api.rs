//! What the API carries: load from a process of its own over HTTP, beside TPC-B transactions per second of the same PostgreSQL in
//! the same run.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use tokio::process::Command;

use super::ground::{API_KEY, PARTNER, WRAPPING_KEY, log_size};
use super::pgbench::Pgbench;
use super::prefixes;
use super::report::{Report, resident_mb};
use super::role::{Role, own_program};
use super::sockets::{self, Sockets};
use super::stage::{self, Stage, TPCB_CLIENTS, TPCB_SCALE};
use crate::config::Bench;
use crate::load::{Ask, LoadReport, Tally};

/// Redeems and earns together each second, as the steady load has them.
const STEADY_RATE: f64 = 2000.0;
const OVERLOAD_RATE: f64 = 10.0 * STEADY_RATE;
/// How many sockets listen while postings are told, and how many just listen.
const LISTENERS: u32 = 1000;
const IDLE: u32 = 10_000;
const TOLD_RATE: f64 = 5000.0;

/// What is asked under mixed load, and how many milliseconds of p50, p95 and p99 it may take.
const BUDGETS: [(Ask, [f64; 3]); 9] = [
    (Ask::Redeem, APPLICATION),
    (Ask::Earn, APPLICATION),
    (Ask::Hold, APPLICATION),
    (Ask::Balance, STATUS),
    (Ask::NotModified, CACHED),
    (Ask::Transactions, STATUS),
    (Ask::Lots, STATUS),
    (Ask::Eligibility, STATUS),
    (Ask::Feed, STATUS),
];
const APPLICATION: [f64; 3] = [50.0, 200.0, 500.0];
const STATUS: [f64; 3] = [50.0, 200.0, 500.0];
const CACHED: [f64; 3] = [10.0, 100.0, 200.0];

/// All of it, or for `redeem` only what TPC-B is beside.
pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let stage = Stage::start(&root).await?;
    let is_whole = config.name == "api";
    let mut report = Report::new(if is_whole { "api" } else { "redeem" }, config.seed);
    report.setting("members", config.members);
    report.setting("seconds_each", config.duration.0.as_secs_f64());
    report.setting("load", "daftari load, a process of its own on the same machine");
    report.setting(
        "server",
        "daftari api, a process of its own: authentication, limits, idempotency, everything on; not sealed meanwhile",
    );
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
    let trial = Trial { config, url, key_file, loads: Cell::new(0) };
    let api = trial.start().await?;
    trial.redeem(&api, tpcb, &mut report).await?;
    if is_whole {
        trial.reads(&api, &mut report).await?;
        prefixes::try_keys(api.address, config.seed, &mut report).await?;
        trial.steady(&api, &mut report).await?;
        trial.overload(&api, &mut report).await?;
        trial.mixed(&api, &mut report).await?;
        trial.told(&api, &mut report).await?;
    }
    drop(api);
    if is_whole {
        // In a process of its own, whose memory nothing else has used before.
        trial.idle(&trial.start().await?, &mut report).await?;
    }
    let pool = store::connect(&trial.url, 2).await?;
    let books = store::check_books(&mut *pool.acquire().await?).await?;
    report.figure("postings", books.leaves as f64, "postings, checked afterwards");
    pool.close().await;
    stage.stop().await?;
    Ok(report)
}

/// What the parts of the benchmark have in common.
struct Trial<'a> {
    config: &'a Bench,
    url: String,
    key_file: PathBuf,
    /// How many loads there have been.
    loads: Cell<u64>,
}

/// `daftari api` in a process of its own, and where it answers.
struct Api {
    address: SocketAddr,
    role: Role,
}

impl Trial<'_> {
    async fn start(&self) -> anyhow::Result<Api> {
        let key_file = self.key_file.to_str().context("a path in UTF-8")?;
        let words =
            ["api", "--listen", "127.0.0.1:0", "--streams-per-client", "15000", "--database-url", &self.url];
        let mut role = Role::start(&[&words[..], &["--wrapping-key-file", key_file]].concat())?;
        Ok(Api { address: role.address().await?, role })
    }

    async fn redeem(&self, api: &Api, tpcb: f64, report: &mut Report) -> anyhow::Result<()> {
        for (connections, goal) in [(64, 2.5), (256, 3.0)] {
            let load = self.closed(api, connections, &[Ask::Redeem]).await?;
            let redeem = load.of(Ask::Redeem)?;
            let rate = redeem.succeeded as f64 / load.seconds;
            let name = format!("redeem_http_{connections}");
            report.figure(&name, rate, "redeems/s");
            report.figure(&format!("{name}_p50_ms"), ms(redeem.p50_us), "ms");
            if connections == 64 {
                report.figure_at_least("redeem_http_64_vs_tpcb", rate / tpcb, "× TPC-B", goal);
                report.figure_at_most("redeem_http_64_p99_ms", ms(redeem.p99_us), "ms", 20.0);
            } else {
                report.figure_at_least("redeem_http_vs_tpcb", rate / tpcb, "× TPC-B", goal);
                report.figure(&format!("{name}_p99_ms"), ms(redeem.p99_us), "ms");
            }
        }
        Ok(())
    }

    async fn reads(&self, api: &Api, report: &mut Report) -> anyhow::Result<()> {
        let mut rates = [0.0; 3];
        for (rate, ask) in rates.iter_mut().zip([Ask::Ping, Ask::Balance, Ask::NotModified]) {
            let load = self.closed(api, 64, &[ask]).await?;
            let tally = load.of(ask)?;
            *rate = tally.succeeded as f64 / load.seconds;
            // Each connection has to be told once what it knows from then on.
            let is_news = tally.succeeded - tally.unmodified;
            ensure!(ask != Ask::NotModified || is_news <= 64, "{is_news} unchanged balances were told again");
            if ask == Ask::Balance {
                report.figure_at_most("balance_http_p99_ms", ms(tally.p99_us), "ms", 10.0);
            }
        }
        let [ping, balance, not_modified] = rates;
        report.figure("ping", ping, "answers/s of /health/live, 64 connections");
        report.figure_at_least("balance_http_vs_ping", balance / ping, "× ping", 0.6);
        report.figure_at_least("not_modified_vs_ping", not_modified / ping, "× ping", 0.8);
        Ok(())
    }

    /// A thousand redeems and a thousand earns a second, whatever the answers take.
    async fn steady(&self, api: &Api, report: &mut Report) -> anyhow::Result<()> {
        let duration = self.config.duration.0 * 60;
        let load = self.open(api, STEADY_RATE, duration, &[Ask::Redeem, Ask::Earn]).await?;
        let (redeem, earn) = (load.of(Ask::Redeem)?, load.of(Ask::Earn)?);
        report.figure("steady_seconds", load.seconds, "s of 1,000 redeems and 1,000 earns a second");
        let worse = |one: u32, two: u32| ms(one.max(two));
        report.figure_at_most("steady_p50_ms", worse(redeem.p50_us, earn.p50_us), "ms", 2.0);
        report.figure_at_most("steady_p95_ms", worse(redeem.p95_us, earn.p95_us), "ms", 5.0);
        report.figure_at_most("steady_p99_ms", worse(redeem.p99_us, earn.p99_us), "ms", 15.0);
        Ok(())
    }

    /// Ten times that, and then that again.
    async fn overload(&self, api: &Api, report: &mut Report) -> anyhow::Result<()> {
        let asks = [Ask::Redeem, Ask::Earn];
        let before = log_size(&self.url).await?;
        let load = self.open(api, OVERLOAD_RATE, self.config.duration.0 * 6, &asks).await?;
        let sum = |count: fn(&Tally) -> u64| load.asked.values().map(count).sum::<u64>();
        let (succeeded, unavailable) = (sum(|it| it.succeeded), sum(|it| it.unavailable));
        let posted = log_size(&self.url).await? - before;
        report.figure("overload_rate", succeeded as f64 / load.seconds, "posted/s of 20,000/s asked for");
        report.figure("overload_unavailable", unavailable as f64, "told to ask again");
        let lost = succeeded.saturating_sub(posted);
        report.figure_at_most("overload_lost", lost as f64, "acknowledged, not posted", 0.0);
        let doubled = posted.saturating_sub(succeeded + unavailable);
        report.figure_at_most("overload_doubled", doubled as f64, "posted without an answer", 0.0);
        let broken = sum(|it| it.broken);
        report.figure_at_most("overload_5xx_other", broken as f64, "answers of 5xx but 503", 0.0);
        ensure!(sum(|it| it.failed) == 0, "overload: {:?}", load.first_failure);
        let after = self.open(api, STEADY_RATE, Duration::from_secs(10), &asks).await?;
        report.figure_at_most("overload_recover_s", after.unsettled_s, "s until no answer takes 100 ms", 2.0);
        Ok(())
    }

    /// Everything by turns, within its budget.
    async fn mixed(&self, api: &Api, report: &mut Report) -> anyhow::Result<()> {
        let load = self.open(api, STEADY_RATE, self.config.duration.0, &BUDGETS.map(|it| it.0)).await?;
        for (ask, [p50, p95, p99]) in BUDGETS {
            let (tally, name) = (load.of(ask)?, name(ask).replace('-', "_"));
            report.figure_at_most(&format!("{name}_p50_ms"), ms(tally.p50_us), "ms, mixed load", p50);
            report.figure_at_most(&format!("{name}_p95_ms"), ms(tally.p95_us), "ms, mixed load", p95);
            report.figure_at_most(&format!("{name}_p99_ms"), ms(tally.p99_us), "ms, mixed load", p99);
        }
        Ok(())
    }

    /// From the moment at which a redemption is recorded, before its commit, to the message about it on the member's socket.
    async fn told(&self, api: &Api, report: &mut Report) -> anyhow::Result<()> {
        let listeners = LISTENERS.min(self.config.members);
        let sockets = Sockets::open(api.address, listeners).await?;
        let load = Load { members: listeners, ..self.load(self.config.duration.0, &[Ask::Redeem]) };
        let load = Load { connections: 256, rate: Some(TOLD_RATE), ..load }.run(api.address).await?;
        let redeemed = load.of(Ask::Redeem)?.succeeded;
        let told = sockets.close(redeemed).await?;
        report.figure("told_rate", redeemed as f64 / load.seconds, "postings/s, 1,000 sockets");
        report.figure("socket_p50_ms", told.at(0.5), "ms from recorded to told");
        report.figure_at_most("socket_p99_ms", told.at(0.99), "ms from recorded to told", 100.0);
        Ok(())
    }

    async fn idle(&self, api: &Api, report: &mut Report) -> anyhow::Result<()> {
        sockets::allow_files(2 * u64::from(IDLE))?;
        let pid = api.role.pid().as_raw_nonzero().get().cast_unsigned();
        let before = resident_mb(pid)?;
        let sockets = Sockets::open(api.address, IDLE.min(self.config.members)).await?;
        report.figure("memory_without_sockets_mb", before, "MB");
        report.figure("idle_sockets", f64::from(IDLE.min(self.config.members)), "sockets");
        report.figure_at_most("memory_idle_sockets_mb", resident_mb(pid)?, "MB", 300.0);
        sockets.close(0).await?;
        Ok(())
    }

    async fn closed(&self, api: &Api, connections: u32, ask: &[Ask]) -> anyhow::Result<LoadReport> {
        Load { connections, ..self.load(self.config.duration.0, ask) }.run(api.address).await
    }

    async fn open(
        &self,
        api: &Api,
        rate: f64,
        duration: Duration,
        ask: &[Ask],
    ) -> anyhow::Result<LoadReport> {
        Load { connections: 512, rate: Some(rate), ..self.load(duration, ask) }.run(api.address).await
    }

    fn load(&self, duration: Duration, ask: &[Ask]) -> Load {
        Load {
            members: self.config.members,
            // What was asked before is not asked again under the same keys.
            seed: self.config.seed.wrapping_mul(1000) + self.loads.replace(self.loads.get() + 1),
            connections: 0,
            rate: None,
            duration,
            ask: ask.to_vec(),
        }
    }
}

/// What `daftari load` is told.
pub(super) struct Load {
    pub(super) members: u32,
    pub(super) seed: u64,
    pub(super) connections: u32,
    pub(super) rate: Option<f64>,
    pub(super) duration: Duration,
    pub(super) ask: Vec<Ask>,
}

impl Load {
    pub(super) async fn run(&self, target: SocketAddr) -> anyhow::Result<LoadReport> {
        let asks: Vec<String> = self.ask.iter().map(|it| name(*it)).collect();
        let mut command = Command::new(own_program()?);
        command
            .args(["load", "--target", &target.to_string(), "--api-key", API_KEY, "--partner", PARTNER])
            .args(["--members", &self.members.to_string(), "--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}ms", self.duration.as_millis())])
            .args(["--seed", &self.seed.to_string(), "--ask", &asks.join(",")]);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let output =
            command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
        ensure!(output.status.success(), "the load process failed");
        serde_json::from_slice(&output.stdout).context("the load process printed no report")
    }
}

fn name(ask: Ask) -> String {
    ask.to_possible_value().expect("every kind has a name").get_name().to_owned()
}

pub(super) fn ms(us: u32) -> f64 {
    f64::from(us) / 1000.0
}
