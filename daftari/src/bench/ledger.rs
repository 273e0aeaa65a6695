//! The ledger's own speed: durable postings per second from callers in this process, everything on, beside TPC-B
//! transactions per second of the same PostgreSQL in the same run.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ledger::{Command, MemberRef, Points, Request};
use store::{Answer, Committer, Keyring, PgPool};
use uuid::Uuid;

use super::ground::{PARTNER, WRAPPING_KEY};
use super::pgbench::Pgbench;
use super::report::Report;
use super::stage::{self, Books, Stage, TPCB_CLIENTS, TPCB_SCALE};
use crate::config::Bench;
use crate::load::{Random, member};

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

    let program = root.join(".cache/postgres/bin/pgbench");
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

    callers.open_loop(&pool, redeem.rate * 0.7, &mut report).await?;
    let two = callers.two(&url).await?;
    report.figure_at_least("two_committers_vs_one", two / redeem.rate, "× one", 0.95);
    let single = callers.unbatched(&url).await?;
    report.figure("unbatched", single, "redeems/s, a transaction each, 16 committers");
    report.figure_at_least("vs_unbatched", redeem.rate / single, "×", 5.0);
    let select = pgbench.select(TPCB_CLIENTS, seconds).await?;
    report.figure("select_tps", select, "transactions/s (pgbench -S)");
    let reads = callers.balance_reads(&url).await?;
    report.figure("balance_reads", reads, "balances/s, 32 readers");
    report.figure_at_least("balance_reads_vs_select", reads / select, "× pgbench -S", 0.8);

    let postings = callers.next.load(Ordering::Relaxed);
    report.figure("memory_mb", resident_mb()?, "MB, this process, callers and all");
    report.figure("bytes_per_posting", bytes_per_posting(&pool, &url).await?, "bytes on disk, all in");
    report.figure("postings", postings as f64, "asked for");
    let (members, seconds) = (config.members, config.duration);
    drop(callers);
    task.await?;
    let ceiling = ceiling(&stage, members, seconds.0).await?;
    report.figure("ceiling", ceiling, "redemptions' rows/s, batches of 1,000, no decisions");
    report.figure_at_least("vs_ceiling", redeem.rate / ceiling, "× the ceiling", 0.5);
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
        let tasks: Vec<_> =
            (0..callers).map(|number| tokio::spawn(self.caller(number).ask_until(end, mix))).collect();
        let mut done = 0;
        for task in tasks {
            done += task.await??;
        }
        Ok(Run { rate: done as f64 / started.elapsed().as_secs_f64() })
    }
}

impl Callers {
    /// Redemptions at a fixed rate, whatever the answers take, with a checkpoint of PostgreSQL's in the middle. Latency
    /// counts from when a request was due to be sent.
    async fn open_loop(&self, pool: &PgPool, rate: f64, report: &mut Report) -> anyhow::Result<()> {
        let duration = self.config.duration.0.max(Duration::from_secs(10));
        let latencies = Arc::new(Mutex::new(Vec::with_capacity((rate * duration.as_secs_f64()) as usize)));
        let mut caller = self.caller(1 << 32);
        let (started, mut sent) = (Instant::now(), 0_u64);
        let mut tasks = tokio::task::JoinSet::new();
        let checkpoint = tokio::spawn({
            let (pool, half) = (pool.clone(), duration / 2);
            async move {
                tokio::time::sleep(half).await;
                let mut conn = pool.acquire().await.map_err(store::StoreError::from)?;
                store::tamper(&mut conn, "checkpoint").await
            }
        });
        while started.elapsed() < duration {
            let due = (started.elapsed().as_secs_f64() * rate) as u64;
            while sent < due {
                let at = started + Duration::from_secs_f64(sent as f64 / rate);
                let request = caller.next_request(Mix::Redeem);
                let (committer, latencies) = (self.committer.clone(), latencies.clone());
                tasks.spawn(async move {
                    let answer = committer.submit(request).await?;
                    ensure!(answer.outcome.is_ok(), "a request was refused");
                    latencies.lock().expect("nobody panics with it").push(at.elapsed().as_secs_f64() * 1e3);
                    Ok(())
                });
                sent += 1;
            }
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        checkpoint.await??;
        let mut latencies = std::mem::take(&mut *latencies.lock().expect("nobody panics with it"));
        latencies.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        report.figure("open_loop_rate", rate, "redeems/s, across a checkpoint");
        report.figure("open_loop_p50_ms", at(0.5), "ms");
        report.figure_at_most("open_loop_p99_ms", at(0.99), "ms", 8.0);
        report.figure_at_most("open_loop_p999_ms", at(0.999), "ms", 40.0);
        Ok(())
    }

    /// Half of the callers with another committer that has connections of its own.
    async fn two(&self, url: &str) -> anyhow::Result<f64> {
        let pool = store::connect(url, 4).await?;
        let (committer, task) =
            Committer::start(pool.clone(), &self.books.log, Keyring::new(&WRAPPING_KEY)).await?;
        let other = self.with(committer);
        let (one, two) =
            tokio::try_join!(self.run(CALLERS / 2, Mix::Redeem), other.run(CALLERS / 2, Mix::Redeem))?;
        drop(other);
        task.await?;
        pool.close().await;
        Ok(one.rate + two.rate)
    }

    /// The same tables and checks with a transaction for each request, from as many connections as do best.
    async fn unbatched(&self, url: &str) -> anyhow::Result<f64> {
        const COMMITTERS: u64 = 16;
        let pool = store::connect(url, 2 * COMMITTERS as u32).await?;
        let (mut ones, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..COMMITTERS {
            let keyring = Keyring::new(&WRAPPING_KEY);
            let (committer, task) =
                Committer::start_with_batches_of(1, pool.clone(), &self.books.log, keyring).await?;
            ones.push(self.with(committer));
            tasks.push(task);
        }
        let runs = ones.iter().map(|it| it.run(CALLERS / COMMITTERS, Mix::Redeem));
        let rates = futures::future::try_join_all(runs).await?;
        drop(ones);
        for task in tasks {
            task.await?;
        }
        pool.close().await;
        Ok(rates.iter().map(|it| it.rate).sum())
    }

    async fn balance_reads(&self, url: &str) -> anyhow::Result<f64> {
        let pool = store::connect(url, TPCB_CLIENTS).await?;
        let reader = store::Reader::new(pool.clone());
        let (started, duration) = (Instant::now(), self.config.duration.0);
        let readers = (0..u64::from(TPCB_CLIENTS)).map(|number| {
            let (reader, mut caller, program_id) =
                (reader.clone(), self.caller(number), self.books.program_id);
            tokio::spawn(async move {
                let mut read = 0_u64;
                while started.elapsed() < duration {
                    let name = MemberRef::Id(member((caller.random.next() % caller.members) as u32));
                    let balance = reader.balance(program_id, 1, &name).await?;
                    ensure!(balance.is_some(), "a member has no balance");
                    read += 1;
                }
                Ok(read)
            })
        });
        let mut read = 0;
        for task in readers.collect::<Vec<_>>() {
            read += task.await??;
        }
        let rate = read as f64 / started.elapsed().as_secs_f64();
        pool.close().await;
        Ok(rate)
    }

    fn with(&self, committer: Committer) -> Self {
        let Self { books, config, next, .. } = self;
        Self { books: books.clone(), committer, config: config.clone(), next: next.clone() }
    }

    fn caller(&self, number: u64) -> Caller {
        Caller {
            books: self.books.clone(),
            committer: self.committer.clone(),
            next: self.next.clone(),
            members: u64::from(self.config.members),
            random: Random(self.config.seed.wrapping_mul(31).wrapping_add(number + 1)),
        }
    }
}

/// What one client writes of bare rows, on books of their own.
async fn ceiling(stage: &Stage, members: u32, duration: Duration) -> anyhow::Result<f64> {
    let url = store::test_database(&stage.postgres.url("postgres")).await?;
    let (books, pool) = stage::prepare(&url, members.max(1000)).await?;
    let mut conn = pool.acquire().await?;
    let (accounts, house) = store::account_numbers(&mut conn).await?;
    let (started, mut written) = (Instant::now(), 0);
    for batch in accounts.chunks_exact(1000).cycle() {
        if duration <= started.elapsed() {
            break;
        }
        store::write_bare_rows(&mut conn, &books.log.log_id, books.program_id, batch, house).await?;
        written += batch.len();
    }
    let rate = written as f64 / started.elapsed().as_secs_f64();
    drop(conn);
    pool.close().await;
    Ok(rate)
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
        let some = |random: &mut Random, members| MemberRef::Id(member((random.next() % members) as u32));
        match mix {
            Mix::Redeem => {
                let member = some(&mut self.random, self.members);
                Command::Redeem { member, points, partner, up_to: false }
            }
            Mix::Hot => Command::Redeem { member: MemberRef::Id(member(0)), points, partner, up_to: false },
            Mix::Transfer => {
                let from = self.random.next() % self.members;
                let to = (from + 1 + self.random.next() % (self.members - 1)) % self.members;
                let name = |it| MemberRef::Id(member(it as u32));
                Command::Transfer { from: name(from), to: name(to), points }
            }
            Mix::Earn => {
                let who = member((self.random.next() % self.members) as u32);
                let key = format!("earn-{}", self.next.fetch_add(1, Ordering::Relaxed));
                self.books.earn(who, 5, &key).items.remove(0).command
            }
            Mix::HoldCapture => {
                let member = some(&mut self.random, self.members);
                Command::Hold { member, points, partner, seconds: None }
            }
        }
    }

    fn next_request(&mut self, mix: Mix) -> Request {
        let command = self.command(mix);
        self.keyed(command)
    }

    /// A request under a key that was not used before; like a caller's own, it has no order.
    fn keyed(&self, command: Command) -> Request {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let key = Uuid::from_u64_pair(Random(number).next(), number);
        self.books.request("credential:bench", &key.to_string(), command)
    }

    async fn ask(&mut self, command: Command) -> anyhow::Result<Uuid> {
        let request = self.keyed(command);
        let answer: Answer = self.committer.submit(request).await?;
        let items = answer.outcome.map_err(|refused| refused.refusal).context("a request was refused")?;
        ensure!(!answer.replayed, "a key came twice");
        Ok(items[0].posting_id)
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
