//! The log: sealing from memory and from rows, the time from a commit to its checkpoint, proofs over HTTP, an audit of
//! ten million leaves, one receipt's check, and what it all takes on disk.

mod books;
mod disk;
mod proofs;
mod verify;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use proof::{Balances, MapAccount, MapTree, MapValue, Signer};

use super::report::Report;
use crate::config::Bench;

const ORIGIN: &str = "daftari.local/bench-log";

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(root.join(".cache"))?;
    let mut report = Report::new("log", config.seed);
    let leaves = config.leaves;
    // A tile of the lowest level must be full, or there is nothing to ask for.
    ensure!(256 <= leaves, "--leaves is at least 256");
    report.setting("leaves", leaves);
    report.setting("seconds_each", config.duration.0.as_secs_f64());
    report.setting(
        "tiles",
        "a local folder; sealing from rows syncs every file, the large log is written without",
    );

    let signer = Signer::new(ORIGIN, &[5; 32])?;
    verify::measure(&mut report, &signer, leaves, folder.path()).await?;
    map(&mut report, config.accounts)?;
    let books = books::Books::start(folder.path()).await?;
    books.seal_backlog(&mut report).await?;
    books.commit_to_checkpoint(&mut report, config.duration.0, 0).await?;
    books.commit_to_checkpoint(&mut report, config.duration.0, 2).await?;
    let log = folder.path().join("large");
    disk::write(&mut report, &signer, &log, leaves)?;
    disk::audit(&mut report, &signer, &log, leaves).await?;
    proofs::measure(&mut report, config, &books, &signer, &log, folder.path()).await?;
    books.stop().await?;
    Ok(report)
}

/// The map of a million accounts, from their values to the root, with all that proofs need.
fn map(report: &mut Report, accounts: u64) -> anyhow::Result<()> {
    report.setting("accounts", accounts);
    let log_size = 10 * accounts;
    let begun = Instant::now();
    let rows = (0..accounts).map(|number| {
        let account = uuid::Uuid::from_u128(u128::from(number)).into_bytes();
        let account = MapAccount { account, unit: 1, log_size };
        let value = MapValue {
            sequence: number + 1,
            balances: Balances { available: 5, ..Balances::default() },
            leaf_index: number,
            commitment: [7; 32],
        };
        account.row(&account.salt(&[8; 32]), &value)
    });
    let tree = MapTree::new(rows.collect()).context("each account stands there once")?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(tree.accounts() == accounts, "every account is in the map");
    report.figure_at_most("map_1m_s", seconds, "s: salts, rows and tree of all accounts", 10.0);
    let peak = disk::peak_of("/proc/self/status").context("the kernel tells this process's size")?;
    report.figure_at_most("map_1m_mb", peak, "MiB, this process at its peak", 500.0);
    Ok(())
}
