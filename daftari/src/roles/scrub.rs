//! The scrub: what stands in the object store is read again and again, so that what has rotted is found and named.

use std::sync::Arc;
use std::time::Duration;

use auditor::{Audit, Source};
use proof::Policy;
use tiles::TileStore;
use tokio_util::sync::CancellationToken;

/// How long a process runs before it reads: one that is started again and again would do nothing else.
pub(crate) const FIRST: Duration = Duration::from_secs(60);

/// Reads the whole log over and over, one tile at a time so that sealing does not feel it, until it is told to stop: first
/// after so long. The gauge `daftari_scrub_findings` says how much the last reading found.
pub(crate) async fn scrub(
    store: Arc<TileStore>,
    policy: Policy,
    first: Duration,
    every: Duration,
    stop: CancellationToken,
) {
    let findings = metrics::gauge!("daftari_scrub_findings");
    let source = Source::Store(store);
    let audit = Audit { source, policy, parallel: 1, memory: None, kept: Vec::new(), anchors: Vec::new() };
    let mut pause = first;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = every,
            () = stop.cancelled() => return,
        }
        let read = tokio::select! {
            read = audit.run(|_, _| {}) => read,
            () = stop.cancelled() => return,
        };
        match read {
            Ok(report) => {
                findings.set(report.findings.len() as f64);
                for finding in &report.findings {
                    tracing::error!(%finding, "the object store is damaged: `daftari log mend` rebuilds it");
                }
                tracing::info!(leaves = report.leaves, tiles = report.tiles, "the log was read again");
            }
            Err(error) => tracing::warn!(%error, "the log could not be read again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proof::{Checkpoint, Leaf, LeafKind, Signer, TileId};
    use tiles::Edge;

    use super::*;

    #[tokio::test]
    async fn a_bit_that_has_flipped_is_found_and_counted() {
        let home = tempfile::TempDir::new().unwrap();
        let store = Arc::new(TileStore::open(home.path().join("log")).unwrap());
        let (origin, size) = ("log.example/scrubbed", 300);
        let signer = Signer::new(origin, &[5; 32]).unwrap();
        let log_id = proof::log_id(origin, signer.verifier_key().public_key());
        let leaf = |leaf_index| Leaf { kind: LeafKind::Posting, log_id, leaf_index, commitment: [7; 32] };
        let leaves: Vec<_> = (0..size).map(|it| leaf(it).encode()).collect();
        let (edge, tiles) = Edge::default().extended(&leaves);
        for (tile, bytes) in tiles {
            store.write(tile, &bytes).unwrap();
        }
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root: edge.root() };
        store.publish_checkpoint(&checkpoint.sign(&signer).encode(), u64::MAX).unwrap();
        let tile = TileId { level: Some(0), index: 0, width: 256 };
        let path = home.path().join("log").join(tile.path());
        let mut bytes = std::fs::read(&path).unwrap();

        let recorder = api::metrics_builder().unwrap().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let policy = Policy::of_log(signer.verifier_key());
        for (flip, findings) in [(0, "daftari_scrub_findings 0"), (1, "daftari_scrub_findings 1")] {
            bytes[100] ^= flip;
            std::fs::write(&path, &bytes).unwrap();
            let hour = Duration::from_secs(3600);
            let (now, never) = (Duration::ZERO, CancellationToken::new());
            let scrubbing = scrub(Arc::clone(&store), policy.clone(), now, hour, never);
            let told = async {
                while !recorder.handle().render().contains(findings) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                () = scrubbing => unreachable!("nobody has told it to stop"),
                told = tokio::time::timeout(Duration::from_secs(60), told) => told.expect(findings),
            }
        }
    }
}
