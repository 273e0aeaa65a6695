//! A large log on disk: made from memory, audited, weighed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use auditor::{Audit, Source};
use proof::{Checkpoint, LEAF_BYTES, Leaf, LeafKind, Policy, Signer, TileId};
use tiles::{Edge, TileStore, stored_form};

use super::ORIGIN;
use crate::bench::report::Report;

/// As many leaves as a seal takes at once.
const BATCH: u64 = 16 * 1024;

/// Makes the log; only hashing, bundling and compressing count as sealing from memory.
pub(super) fn write(report: &mut Report, signer: &Signer, folder: &Path, size: u64) -> anyhow::Result<()> {
    let log_id = proof::log_id(ORIGIN, signer.verifier_key().public_key());
    let (mut edge, mut sealing) = (Edge::default(), Duration::ZERO);
    // Only the last partial tile of each place belongs to a log of this size.
    let mut partial = BTreeMap::new();
    while edge.size() < size {
        let leaves: Vec<[u8; LEAF_BYTES]> = (edge.size()..(edge.size() + BATCH).min(size))
            .map(|leaf_index| {
                let commitment = proof::leaf_hash(&leaf_index.to_be_bytes());
                Leaf { kind: LeafKind::Posting, log_id, leaf_index, commitment }.encode()
            })
            .collect();
        let begun = Instant::now();
        let (after, tiles) = edge.extended(&leaves);
        let files: Vec<_> = tiles.iter().map(|(tile, bytes)| (tile, stored_form(*tile, bytes))).collect();
        sealing += begun.elapsed();
        edge = after;
        for (tile, bytes) in files {
            let place = (tile.level, tile.index);
            if tile.is_partial() {
                partial.insert(place, (*tile, bytes));
            } else {
                partial.remove(&place);
                put(folder, tile, &bytes)?;
            }
        }
    }
    for (tile, bytes) in partial.values() {
        put(folder, tile, bytes)?;
    }
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: edge.root() };
    std::fs::write(folder.join("checkpoint"), checkpoint.sign(signer).encode())?;
    let rate = size as f64 / sealing.as_secs_f64();
    report.figure_at_least(
        "seal_memory_per_s",
        rate,
        "leaves/s: hashed, bundled, compressed, one thread",
        1e6,
    );
    report.figure_at_most(
        "bytes_per_leaf",
        bytes_below(folder)? as f64 / size as f64,
        "bytes a leaf on disk",
        120.0,
    );
    Ok(())
}

fn put(folder: &Path, tile: &TileId, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(tile.path());
    std::fs::create_dir_all(path.parent().expect("a tile lies in a folder"))?;
    Ok(std::fs::write(path, bytes)?)
}

/// An audit of all of it, from the folder, in a process of its own: its memory is its own too.
pub(super) async fn audit(
    report: &mut Report,
    signer: &Signer,
    folder: &Path,
    size: u64,
) -> anyhow::Result<()> {
    let source = Source::Store(Arc::new(TileStore::view(folder)));
    let policy = Policy::of_log(signer.verifier_key());
    let audit = Audit { source, policy, parallel: 16, memory: None, kept: Vec::new(), anchors: Vec::new() };
    let begun = Instant::now();
    let found = audit.run(|_, _| {}).await?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(found.findings.is_empty() && found.leaves == size, "the audit found {:?}", found.findings);
    report.figure_at_least("audit_leaves_per_s", size as f64 / seconds, "leaves/s, from a folder", 1e6);
    let key = signer.verifier_key().encode();
    let process = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--log-level", "warn", "audit", "--json", "--key", &key])
        .arg(folder)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    report.figure_at_most("audit_mb", peak_mb(process).await?, "MiB at its peak", 200.0);
    Ok(())
}

/// The largest resident size of a process until it ends well.
async fn peak_mb(mut process: tokio::process::Child) -> anyhow::Result<f64> {
    let status = format!("/proc/{}/status", process.id().context("the audit has not begun")?);
    let mut peak_mb = 0.0;
    loop {
        peak_mb = peak_of(&status).unwrap_or(peak_mb);
        match tokio::time::timeout(Duration::from_millis(20), process.wait()).await {
            Ok(ended) => {
                ensure!(ended?.success(), "the audit failed");
                return Ok(peak_mb);
            }
            Err(_) => continue,
        }
    }
}

/// The largest resident size that a process has had so far, in MiB.
pub(super) fn peak_of(status: &str) -> Option<f64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

fn bytes_below(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder)? {
            let item = item?;
            match item.file_type()?.is_dir() {
                true => folders.push(item.path()),
                false => bytes += item.metadata()?.len(),
            }
        }
    }
    Ok(bytes)
}
