//! Whether the ledger stays as fast: the same load for a long time, in six equal parts.

use std::path::Path;

use anyhow::Context;
use store::{Committer, Keyring};

use super::asking::{CALLERS, Callers, Mix, Spread};
use super::ground::WRAPPING_KEY;
use super::report::Report;
use super::stage::{self, Stage};
use crate::config::Bench;

const PARTS: usize = 6;

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let stage = Stage::start(&root).await?;
    let mut report = Report::new("soak", config.seed);
    report.setting("members", config.members);
    report.setting("parts", format!("{PARTS} of {} s", config.duration.0.as_secs_f64()));
    report.setting("load", "256 callers in the committer's own process, redeeming without a pause");
    report.setting("postgres", "fsync, full_page_writes, synchronous_commit on; shared_buffers 1 GB");
    let url = store::test_database(&stage.postgres.url("postgres")).await?;
    let (books, pool) = stage::prepare(&url, config.members).await?;
    let (committer, task) = Committer::start(pool.clone(), &books.log, Keyring::new(&WRAPPING_KEY)).await?;
    let callers = Callers::new(books, committer, config.members, config.seed);
    let mut rates = Vec::with_capacity(PARTS);
    for part in 1..=PARTS {
        let rate = callers.run(CALLERS, Mix::Redeem, Spread::Uniform, config.duration.0).await?;
        report.figure(&format!("redeem_part_{part}"), rate, "redeems/s");
        rates.push(rate);
    }
    let (first, last) = rates.first().zip(rates.last()).context("there are parts")?;
    report.figure_at_least("soak", last / first, "last part ÷ first", 0.9);
    report.figure("postings", callers.asked() as f64, "");
    drop(callers);
    task.await?;
    store::check_books(&mut *pool.acquire().await?).await?;
    pool.close().await;
    stage.stop().await?;
    Ok(report)
}
