//! How fast `daftari books import` takes in members with an opening balance, and `daftari books sweep` expires them while
//! others redeem.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use store::{Committer, Keyring};
use tokio::process::Command;

use super::asking::Callers;
use super::ground::WRAPPING_KEY;
use super::report::Report;
use super::stage::{self, Stage};
use crate::config::Bench;
use crate::load::member;

/// Members who redeem while others' points expire, and how often in a second.
const REDEEMING: u32 = 1000;
const REDEEM_RATE: f64 = 1000.0;

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let stage = Stage::start(&root).await?;
    let mut report = Report::new("import", config.seed);
    report.setting("members", config.members);
    report.setting(
        "load",
        "one daftari books import, a process of its own; every member is new and has one lot",
    );
    report.setting("postgres", "fsync, full_page_writes, synchronous_commit on; shared_buffers 1 GB");
    let url = store::test_database(&stage.postgres.url("postgres")).await?;
    let (redeeming, pool) = stage::prepare(&url, REDEEMING).await?;
    let key_file = stage.folder.path().join("wrapping.key");
    crate::keys::write_secret(&key_file, &hex::encode(WRAPPING_KEY))?;
    let file = stage.folder.path().join("balances.csv");
    let tomorrow = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().tomorrow()?;
    let mut lines = "member,points,last_day,earned_day\n".to_owned();
    for number in 0..config.members {
        writeln!(lines, "{},{},{tomorrow},2026-01-01", member(REDEEMING + number), 1 + number % 10_000)?;
    }
    std::fs::write(&file, lines)?;

    let books = async |words: &[&str]| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("books").args(words).args(["--database-url", &url, "--wrapping-key-file"]).arg(&key_file);
        let begun = Instant::now();
        let ended = command.kill_on_drop(true).output().await?;
        ensure!(ended.status.success(), "books {words:?}: {}", String::from_utf8_lossy(&ended.stderr));
        anyhow::Ok((begun.elapsed(), String::from_utf8(ended.stdout)?))
    };
    let name = file.to_str().context("a folder with a plain name")?;
    let import = ["import", name, "--actor", "bench"];
    let per_second = |count: u32, time: Duration| f64::from(count) / time.as_secs_f64();

    let (first, _) = books(&import).await?;
    report.figure_at_least(
        "import_entries_per_s",
        per_second(2 * config.members, first),
        "entries/s, enrolment and start included",
        40_000.0,
    );
    let (again, told) = books(&import).await?;
    ensure!(
        told.contains(&format!("0 postings posted, {} requests answered as before", config.members)),
        "{told}"
    );
    report.figure(
        "import_again_lines_per_s",
        per_second(config.members, again),
        "lines/s that had been posted",
    );

    let mut conn = pool.acquire().await?;
    // Three days later: recorded time never goes back.
    store::tamper(&mut conn, "update log_head set recorded_at = recorded_at + 3 * 86400000000").await?;
    drop(conn);
    let (committer, task) =
        Committer::start(pool.clone(), &redeeming.log, Keyring::new(&WRAPPING_KEY)).await?;
    let callers = Callers::new(redeeming, committer, REDEEMING, config.seed);
    let while_it_takes = Duration::from_secs_f64((f64::from(config.members) / 20_000.0).max(1.0));
    let alone = callers.open_loop(REDEEM_RATE, while_it_takes).await?.at(0.99);
    let (meanwhile, (swept, told)) =
        tokio::try_join!(callers.open_loop(REDEEM_RATE, while_it_takes), books(&["sweep"]))?;
    drop(callers);
    task.await?;
    ensure!(told.contains(&format!("{} postings", config.members)), "{told}");
    report.figure_at_least("sweep_lots_per_s", per_second(config.members, swept), "lots/s", 20_000.0);
    report.figure("redeem_p99_alone_ms", alone, "ms, at 1,000 redeems/s");
    let ratio = meanwhile.at(0.99) / alone;
    report.figure_at_most("sweep_redeem_p99_ratio", ratio, "p99 of redeem while sweeping ÷ without", 2.0);
    pool.close().await;
    stage.stop().await?;
    Ok(report)
}
