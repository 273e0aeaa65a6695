//! The log: sealing from memory and from rows, the time from a commit to its checkpoint, proofs over HTTP, an audit of
//! ten million leaves, one receipt's check, and what it all takes on disk.

mod books;
mod disk;
mod proofs;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use proof::{
    Balances, Checkpoint, Details, Header, LeafKind, MapAccount, MapTree, MapValue, OpenedLeaf, Part, Policy,
    PostingKind, Receipt, Signer, inclusion_proof,
};

use super::report::Report;
use crate::config::Bench;

/// The log that proofs and audits are measured on.
const LEAVES: u64 = 10_000_000;
const ORIGIN: &str = "daftari.local/bench-log";

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(root.join(".cache"))?;
    let mut report = Report::new("log", config.seed);
    report.setting("leaves", LEAVES);
    report.setting("seconds_each", config.duration.0.as_secs_f64());
    report.setting(
        "tiles",
        "a local folder; sealing from rows syncs every file, the large log is written without",
    );

    let signer = Signer::new(ORIGIN, &[5; 32])?;
    verify_one(&mut report, &signer)?;
    map(&mut report)?;
    let books = books::Books::start(folder.path()).await?;
    books.seal_backlog(&mut report).await?;
    books.commit_to_checkpoint(&mut report, config.duration.0, 0).await?;
    books.commit_to_checkpoint(&mut report, config.duration.0, 2).await?;
    let log = folder.path().join("large");
    disk::write(&mut report, &signer, &log)?;
    disk::audit(&mut report, &signer, &log).await?;
    proofs::measure(&mut report, config, &books, &signer, &log, folder.path()).await?;
    books.stop().await?;
    Ok(report)
}

/// A receipt with one Ed25519 signature and the path of a log of ten million leaves, checked on one thread.
fn verify_one(report: &mut Report, signer: &Signer) -> anyhow::Result<()> {
    let log_id = proof::log_id(ORIGIN, signer.verifier_key().public_key());
    let header = Header {
        posting_id: [1; 16],
        posting_kind: PostingKind::REDEEM,
        program: [2; 16],
        recorded_at_us: 1,
        effective_at_us: 1,
        rule_set_hash: [0; 32],
        event_hash: [0; 32],
        reverses: [0; 16],
    };
    let leaf = OpenedLeaf {
        kind: LeafKind::Posting,
        log_id,
        header: Part::Opened { salt: [3; 32], value: header },
        details: Part::Opened { salt: [4; 32], value: Details::default() },
        body: None,
        entries: vec![Part::Closed([5; 32]), Part::Closed([6; 32])],
        hints: Vec::new(),
    };
    let index = LEAVES / 3;
    let mut path =
        inclusion_proof(index, LEAVES, |node| Ok::<_, std::convert::Infallible>([node.level; 32]))?;
    let mut hash = proof::leaf_hash(&leaf.leaf(index).encode());
    // The root that this path leads to: which tree it is makes no difference to the work of checking it.
    (hash, path) = root_of(index, LEAVES, hash, path);
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: LEAVES, root: hash };
    let checkpoint = checkpoint.sign(signer).encode();
    let receipt = Receipt { leaf, leaf_index: index, path, checkpoint }.encode();
    let policy = Policy::of_log(signer.verifier_key());
    let checks = 10_000;
    let begun = Instant::now();
    for _ in 0..checks {
        proof::verify(receipt.as_bytes(), &policy)?;
    }
    let each_us = begun.elapsed().as_secs_f64() * 1e6 / f64::from(checks);
    report.figure_at_most("verify_rust_us", each_us, "µs a receipt, one Ed25519 signature", 60.0);
    Ok(())
}

/// The map of a million accounts, from their values to the root, with all that proofs need.
fn map(report: &mut Report) -> anyhow::Result<()> {
    let (accounts, log_size) = (1_000_000_u64, LEAVES);
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
    report.figure_at_most("map_1m_s", seconds, "s: salts, rows, tree of a million accounts", 10.0);
    let peak = disk::peak_of("/proc/self/status").context("the kernel tells this process's size")?;
    report.figure_at_most("map_1m_mb", peak, "MiB, this process at its peak", 500.0);
    Ok(())
}

fn root_of(
    index: u64,
    size: u64,
    mut hash: proof::Hash,
    path: Vec<proof::Hash>,
) -> (proof::Hash, Vec<proof::Hash>) {
    let (mut at, mut last) = (index, size - 1);
    for sibling in &path {
        if at % 2 == 1 || at == last {
            hash = proof::node_hash(sibling, &hash);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = proof::node_hash(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (hash, path)
}
