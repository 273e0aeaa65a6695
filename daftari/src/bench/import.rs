//! How fast `daftari books import` takes in members with an opening balance, and `daftari books sweep` expires them.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::process::Command;

use super::ground::WRAPPING_KEY;
use super::report::Report;
use super::stage::{self, Stage};
use crate::config::Bench;
use crate::load::member;

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
    let (_, pool) = stage::prepare(&url, 0).await?;
    let key_file = stage.folder.path().join("wrapping.key");
    crate::keys::write_secret(&key_file, &hex::encode(WRAPPING_KEY))?;
    let file = stage.folder.path().join("balances.csv");
    let tomorrow = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().tomorrow()?;
    let mut lines = "member,points,last_day,earned_day\n".to_owned();
    for number in 0..config.members {
        writeln!(lines, "{},{},{tomorrow},2026-01-01", member(number), 1 + number % 10_000)?;
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
    let (swept, told) = books(&["sweep"]).await?;
    ensure!(told.contains(&format!("{} postings", config.members)), "{told}");
    report.figure_at_least("sweep_lots_per_s", per_second(config.members, swept), "lots/s", 20_000.0);
    drop(conn);
    pool.close().await;
    stage.stop().await?;
    Ok(report)
}
