//! The ledger's own speed: durable postings per second from callers in this process, everything on, beside TPC-B
//! transactions per second of the same PostgreSQL in the same run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use ledger::{Command, MemberRef, Points, Request};
use store::{Answer, Committer, Keyring, PgPool};
use uuid::Uuid;

use super::pgbench::Pgbench;
use super::report::Report;
use super::stage::{self, Books, PARTNER, Stage, TPCB_CLIENTS, TPCB_SCALE, WRAPPING_KEY};
use crate::config::Bench;
use crate::load::member;

const CALLERS: u64 = 256;

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let stage = Stage::start(&root).await?;
    let mut report = Report::new("ledger", config.seed);
    report.setting("members", config.members);
    report.setting("seconds_each", config.duration.0.as_secs_f64());
    report.setting(
        "load",
        "256 callers in the committer's own process, each awaiting its answer before it asks again",
    );
    report.setting("postgres", "fsync, full_page_writes, synchronous_commit on; shared_buffers 1 GB");

    let program = root.join(".cache/pgbench/bin/pgbench");
    let pgbench = Pgbench { program: &program, url: stage.postgres.url("postgres") };
    pgbench.fill(TPCB_SCALE).await?;
    let seconds = config.duration.0.as_secs().max(1);
    let tpcb = pgbench.tpcb(TPCB_CLIENTS, seconds).await?;
    report.figure("tpcb_tps", tpcb, "transactions/s (pgbench, scale 50, 32 clients)");
    let tpcb_8 = pgbench.tpcb(8, seconds).await?;
    report.figure("tpcb_8_tps", tpcb_8, "transactions/s (8 clients)");

    let url = store::test_database(&stage.postgres.url("postgres")).await?;
    let (books, pool) = stage::prepare(&url, config.members).await?;
    let (committer, task) = Committer::start(pool.clone(), &books.log, Keyring::new(&WRAPPING_KEY)).await?;
    let callers = Callers { books, committer, config: config.clone(), next: Arc::default() };

    let redeem = callers.run(CALLERS, Mix::Redeem).await?;
    report.figure("redeem", redeem.rate, "redeems/s");
    report.figure_at_least("redeem_vs_tpcb", redeem.rate / tpcb, "× TPC-B", 4.0);
    let hot = callers.run(CALLERS, Mix::Hot).await?;
    report.figure_at_least("hot_vs_uniform", hot.rate / redeem.rate, "× uniform", 1.0);
    for (name, mix, goal) in
        [("transfer", Mix::Transfer, 4.0), ("earn", Mix::Earn, 4.0), ("hold_capture", Mix::HoldCapture, 3.0)]
    {
        let run = callers.run(CALLERS, mix).await?;
        report.figure(name, run.rate, "/s");
        report.figure_at_least(&format!("{name}_vs_tpcb"), run.rate / tpcb, "× TPC-B", goal);
    }
    let few = callers.run(8, Mix::Redeem).await?;
    report.figure("redeem_8", few.rate, "redeems/s");
    report.figure_at_least("redeem_8_vs_tpcb_8", few.rate / tpcb_8, "× TPC-B, 8 clients", 1.0);

    let postings = callers.next.load(Ordering::Relaxed);
    report.figure("memory_mb", resident_mb()?, "MB, this process, callers and all");
    report.figure("bytes_per_posting", bytes_per_posting(&pool, &url).await?, "bytes on disk, all in");
    report.figure("postings", postings as f64, "asked for");
    drop(callers);
    task.await?;
    if let Err(error) = store::check_books(&mut *pool.acquire().await?).await {
        eprintln!("{}", report.to_table());
        return Err(error.into());
    }
    pool.close().await;
    stage.stop().await?;
    Ok(report)
}

#[derive(Clone, Copy, PartialEq)]
enum Mix {
    Redeem,
    Hot,
    Transfer,
    Earn,
    HoldCapture,
}

/// Callers in this process.
struct Callers {
    books: Books,
    committer: Committer,
    config: Bench,
    /// What the next key is made of.
    next: Arc<AtomicU64>,
}

struct Run {
    /// Requests that were posted, per second; a hold and its capture count as one.
    rate: f64,
}

impl Callers {
    async fn run(&self, callers: u64, mix: Mix) -> anyhow::Result<Run> {
        let started = Instant::now();
        let end = started + self.config.duration.0;
        let tasks: Vec<_> = (0..callers)
            .map(|number| {
                let caller = Caller {
                    books: self.books.clone(),
                    committer: self.committer.clone(),
                    next: self.next.clone(),
                    members: u64::from(self.config.members),
                    random: Random(self.config.seed.wrapping_mul(31).wrapping_add(number + 1)),
                };
                tokio::spawn(caller.ask_until(end, mix))
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await??;
        }
        Ok(Run { rate: done as f64 / started.elapsed().as_secs_f64() })
    }
}

struct Caller {
    books: Books,
    committer: Committer,
    next: Arc<AtomicU64>,
    members: u64,
    random: Random,
}

impl Caller {
    async fn ask_until(mut self, end: Instant, mix: Mix) -> anyhow::Result<u64> {
        let mut done = 0;
        while Instant::now() < end {
            let command = self.command(mix);
            let posted = self.ask(command).await?;
            if mix == Mix::HoldCapture {
                self.ask(Command::Capture { hold: posted, points: None, keep_rest: false }).await?;
            }
            done += 1;
        }
        Ok(done)
    }

    fn command(&mut self, mix: Mix) -> Command {
        let points = Points::new(1).expect("a point is points");
        let partner = Some(PARTNER.to_owned());
        let some = |random: &mut Random, members| MemberRef::Id(member(random.below(members) as u32));
        match mix {
            Mix::Redeem => {
                let member = some(&mut self.random, self.members);
                Command::Redeem { member, points, partner, up_to: false }
            }
            Mix::Hot => Command::Redeem { member: MemberRef::Id(member(0)), points, partner, up_to: false },
            Mix::Transfer => {
                let from = self.random.below(self.members);
                let to = (from + 1 + self.random.below(self.members - 1)) % self.members;
                let name = |it| MemberRef::Id(member(it as u32));
                Command::Transfer { from: name(from), to: name(to), points }
            }
            Mix::Earn => {
                let who = member(self.random.below(self.members) as u32);
                let key = format!("earn-{}", self.next.fetch_add(1, Ordering::Relaxed));
                self.books.earn(who, 5, &key).items.remove(0).command
            }
            Mix::HoldCapture => {
                let member = some(&mut self.random, self.members);
                Command::Hold { member, points, partner, seconds: None }
            }
        }
    }

    async fn ask(&mut self, command: Command) -> anyhow::Result<Uuid> {
        let key = Uuid::from_u128(u128::from(self.next.fetch_add(1, Ordering::Relaxed)) << 64);
        let request: Request = self.books.request("credential:bench", &key.to_string(), command);
        let answer: Answer = self.committer.submit(request).await?;
        let items = answer.outcome.map_err(|refused| refused.refusal).context("a request was refused")?;
        ensure!(!answer.replayed, "a key came twice");
        Ok(items[0].posting_id)
    }
}

/// A small generator of numbers (splitmix64), seeded.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }
}

fn resident_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

async fn bytes_per_posting(pool: &PgPool, url: &str) -> anyhow::Result<f64> {
    let mut conn = pool.acquire().await?;
    let postings = store::log_size(&mut conn).await?;
    let bytes = store::bytes_on_disk(&mut conn).await.with_context(|| format!("the size of {url}"))?;
    Ok(bytes as f64 / postings as f64)
}
