//! Whether the ledger stays as fast with many members and a long history: the same load on small books and on large ones.

use std::path::Path;

use anyhow::ensure;
use store::{Committer, Keyring};

use super::asking::{CALLERS, Callers, Mix, Spread};
use super::ground::WRAPPING_KEY;
use super::report::Report;
use super::stage::{self, Stage};
use crate::config::Bench;

/// The small books.
const FEW: u32 = 10_000;
/// What whoever has large books would give PostgreSQL: buffers for what members have, and checkpoints by the clock. After each one a
/// page that changes is written into the server's log whole, and with many members nearly every change is to another page.
const SETTINGS: [(&str, &str); 3] =
    [("shared_buffers", "14GB"), ("max_wal_size", "16GB"), ("checkpoint_timeout", "15min")];

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    ensure!(FEW < config.members, "growth is beyond {FEW} members: give --members");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut report = Report::new("growth", config.seed);
    report.setting("members", format!("{FEW}, then {}", config.members));
    report.setting("entries", config.entries);
    report
        .setting("load", "256 callers in the committer's own process, redeeming; the books grow by the same");
    let settings = SETTINGS.map(|(name, value)| format!("{name} {value}")).join(", ");
    report.setting("postgres", format!("fsync, full_page_writes, synchronous_commit on; {settings}"));
    let [uniform, zipf] = rates(config, &root, FEW, 0, &mut report).await?;
    let [grown_uniform, grown_zipf] =
        rates(config, &root, config.members, config.entries, &mut report).await?;
    report.figure("redeem", uniform, "redeems/s, small books");
    report.figure("redeem_grown", grown_uniform, "redeems/s, large books");
    report.figure_at_least("growth_uniform", grown_uniform / uniform, "large ÷ small", 0.7);
    report.figure_at_least("growth_zipf", grown_zipf / zipf, "large ÷ small", 0.7);
    Ok(report)
}

/// What books of so many members do, once they hold so many entries.
async fn rates(
    config: &Bench,
    root: &Path,
    members: u32,
    entries: u64,
    report: &mut Report,
) -> anyhow::Result<[f64; 2]> {
    let stage = Stage::with_settings(root, &SETTINGS).await?;
    let url = store::test_database(&stage.postgres.url("postgres")).await?;
    let (books, pool) = stage::prepare(&url, members).await?;
    let (committer, task) = Committer::start(pool.clone(), &books.log, Keyring::new(&WRAPPING_KEY)).await?;
    let callers = Callers::new(books, committer, members, config.seed);
    // A redemption has two, and so has what a member was given at first.
    while 2 * (u64::from(members) + callers.asked()) < entries {
        callers.run(4 * CALLERS, Mix::Redeem, Spread::Uniform, config.duration.0).await?;
    }
    let each = config.duration.0;
    let rates = [
        callers.run(CALLERS, Mix::Redeem, Spread::Uniform, each).await?,
        callers.run(CALLERS, Mix::Redeem, Spread::Zipf, each).await?,
    ];
    let bytes = store::bytes_on_disk(&mut *pool.acquire().await?).await?;
    report.figure(&format!("gigabytes_{members}"), bytes as f64 / 1e9, "on disk");
    drop(callers);
    task.await?;
    pool.close().await;
    stage.stop().await?;
    Ok(rates)
}
