//! The scrub: what stands in the object store is read again and again, so that what has rotted is found and named.

use std::sync::Arc;
use std::time::Duration;

use auditor::{Audit, Source};
use proof::Policy;
use tiles::TileStore;
use tokio_util::sync::CancellationToken;

/// Reads the whole log over and over, one tile at a time so that sealing does not feel it, until it is told to stop.
/// The gauge `daftari_scrub_findings` says how much the last reading found.
pub(crate) async fn scrub(store: Arc<TileStore>, policy: Policy, every: Duration, stop: CancellationToken) {
    let findings = metrics::gauge!("daftari_scrub_findings");
    let source = Source::Store(store);
    let audit = Audit { source, policy, parallel: 1, memory: None, kept: Vec::new(), anchors: Vec::new() };
    loop {
        let read = tokio::select! {
            read = audit.run(|_, _| {}) => read,
            () = stop.cancelled() => return,
        };
        match read {
            Ok(report) => {
                findings.set(report.findings.len() as f64);
                for finding in &report.findings {
                    tracing::error!(%finding, "the object store is damaged");
                }
                tracing::info!(leaves = report.leaves, tiles = report.tiles, "the log was read again");
            }
            Err(error) => tracing::warn!(%error, "the log could not be read again"),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => return,
        }
    }
}
