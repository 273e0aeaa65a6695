//! The ledger's own speed: durable postings per second from callers in this process, everything on, beside TPC-B
//! transactions per second of the same PostgreSQL in the same run.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use store::{Committer, Keyring, PgPool};

use super::asking::{CALLERS, Callers, Mix, Spread};
use super::ground::WRAPPING_KEY;
use super::pgbench::Pgbench;
use super::report::{Report, resident_mb};
use super::stage::{self, Stage, TPCB_CLIENTS, TPCB_SCALE};
use crate::config::Bench;

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
    let callers = Callers::new(books, committer, config.members, config.seed);
    let each = config.duration.0;

    let redeem = callers.run(CALLERS, Mix::Redeem, Spread::Uniform, each).await?;
    report.figure("redeem", redeem, "redeems/s");
    report.figure_at_least("redeem_vs_tpcb", redeem / tpcb, "× TPC-B", 4.0);
    let hot = callers.run(CALLERS, Mix::Redeem, Spread::One, each).await?;
    report.figure_at_least("hot_vs_uniform", hot / redeem, "× uniform", 1.0);
    for (name, mix, goal) in
        [("transfer", Mix::Transfer, 4.0), ("earn", Mix::Earn, 4.0), ("hold_capture", Mix::HoldCapture, 3.0)]
    {
        let rate = callers.run(CALLERS, mix, Spread::Uniform, each).await?;
        report.figure(name, rate, "/s");
        report.figure_at_least(&format!("{name}_vs_tpcb"), rate / tpcb, "× TPC-B", goal);
    }
    let few = callers.run(8, Mix::Redeem, Spread::Uniform, each).await?;
    report.figure("redeem_8", few, "redeems/s");
    report.figure_at_least("redeem_8_vs_tpcb_8", few / tpcb_8, "× TPC-B, 8 clients", 1.0);

    let rate = redeem * 0.7;
    let (latencies, ()) =
        tokio::try_join!(callers.open_loop(rate, OPEN_LOOP), async { checkpoint(&url).await })?;
    report.figure("open_loop_rate", rate, "redeems/s, across a checkpoint");
    report.figure("open_loop_p50_ms", latencies.at(0.5), "ms");
    report.figure_at_most("open_loop_p99_ms", latencies.at(0.99), "ms", 8.0);
    report.figure_at_most("open_loop_p999_ms", latencies.at(0.999), "ms", 40.0);
    let two = two_committers(&callers, &url, each).await?;
    report.figure_at_least("two_committers_vs_one", two / redeem, "× one", 0.95);
    let single = unbatched(&callers, &url, each).await?;
    report.figure("unbatched", single, "redeems/s, a transaction each, 16 committers");
    report.figure_at_least("vs_unbatched", redeem / single, "×", 5.0);
    let select = pgbench.select(TPCB_CLIENTS, seconds).await?;
    report.figure("select_tps", select, "transactions/s (pgbench -S)");
    let reads = balance_reads(&callers, &url, each).await?;
    report.figure("balance_reads", reads, "balances/s, 32 readers");
    report.figure_at_least("balance_reads_vs_select", reads / select, "× pgbench -S", 0.8);

    let postings = callers.asked();
    report.figure("memory_mb", resident_mb(std::process::id())?, "MB, this process, callers and all");
    report.figure("bytes_per_posting", bytes_per_posting(&pool, &url).await?, "bytes on disk, all in");
    report.figure("postings", postings as f64, "asked for");
    drop(callers);
    task.await?;
    let ceiling = ceiling(&stage, config.members, each).await?;
    report.figure("ceiling", ceiling, "redemptions' rows/s, batches of 1,000, no decisions");
    report.figure_at_least("vs_ceiling", redeem / ceiling, "× the ceiling", 0.5);
    if let Err(error) = store::check_books(&mut *pool.acquire().await?).await {
        eprintln!("{}", report.to_table());
        return Err(error.into());
    }
    pool.close().await;
    stage.stop().await?;
    Ok(report)
}

/// A checkpoint as a server makes it by itself, spread over the time until the next; in the shortest time that it can be set to.
const OPEN_LOOP: Duration = Duration::from_secs(32);

async fn checkpoint(url: &str) -> anyhow::Result<()> {
    let pool = store::connect(url, 1).await?;
    let mut conn = pool.acquire().await.map_err(store::StoreError::from)?;
    store::tamper(&mut conn, "set statement_timeout = 0").await?;
    store::tamper(&mut conn, "alter system set checkpoint_timeout = '30s'").await?;
    store::tamper(&mut conn, "select pg_reload_conf()").await?;
    // It begins one, and waits for its end.
    store::tamper(&mut conn, "select pg_backup_start('bench', fast => false)").await?;
    store::tamper(&mut conn, "select pg_backup_stop()").await?;
    store::tamper(&mut conn, "alter system reset checkpoint_timeout").await?;
    store::tamper(&mut conn, "select pg_reload_conf()").await?;
    drop(conn);
    pool.close().await;
    Ok(())
}

/// Half of the callers with another committer that has connections of its own.
async fn two_committers(callers: &Callers, url: &str, each: Duration) -> anyhow::Result<f64> {
    let pool = store::connect(url, 4).await?;
    let (committer, task) =
        Committer::start(pool.clone(), &callers.books.log, Keyring::new(&WRAPPING_KEY)).await?;
    let other = callers.with(committer);
    let (one, two) = tokio::try_join!(
        callers.run(CALLERS / 2, Mix::Redeem, Spread::Uniform, each),
        other.run(CALLERS / 2, Mix::Redeem, Spread::Uniform, each)
    )?;
    drop(other);
    task.await?;
    pool.close().await;
    Ok(one + two)
}

/// The same tables and checks with a transaction for each request, from as many connections as do best.
async fn unbatched(callers: &Callers, url: &str, each: Duration) -> anyhow::Result<f64> {
    const COMMITTERS: u64 = 16;
    let pool = store::connect(url, 2 * COMMITTERS as u32).await?;
    let (mut ones, mut tasks) = (Vec::new(), Vec::new());
    for _ in 0..COMMITTERS {
        let keyring = Keyring::new(&WRAPPING_KEY);
        let (committer, task) =
            Committer::start_with_batches_of(1, pool.clone(), &callers.books.log, keyring).await?;
        ones.push(callers.with(committer));
        tasks.push(task);
    }
    let runs = ones.iter().map(|it| it.run(CALLERS / COMMITTERS, Mix::Redeem, Spread::Uniform, each));
    let rates = futures::future::try_join_all(runs).await?;
    drop(ones);
    for task in tasks {
        task.await?;
    }
    pool.close().await;
    Ok(rates.iter().sum())
}

async fn balance_reads(callers: &Callers, url: &str, each: Duration) -> anyhow::Result<f64> {
    let pool = store::connect(url, TPCB_CLIENTS).await?;
    let reader = store::Reader::new(pool.clone());
    let started = Instant::now();
    let readers = (0..u64::from(TPCB_CLIENTS)).map(|number| {
        let (reader, mut picker, program_id) =
            (reader.clone(), callers.picker(number, Spread::Uniform), callers.books.program_id);
        tokio::spawn(async move {
            let mut read = 0_u64;
            while started.elapsed() < each {
                let balance = reader.balance(program_id, 1, &picker.member()).await?;
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

async fn bytes_per_posting(pool: &PgPool, url: &str) -> anyhow::Result<f64> {
    let mut conn = pool.acquire().await?;
    let postings = store::log_size(&mut conn).await?;
    let bytes = store::bytes_on_disk(&mut conn).await.with_context(|| format!("the size of {url}"))?;
    Ok(bytes as f64 / postings as f64)
}
