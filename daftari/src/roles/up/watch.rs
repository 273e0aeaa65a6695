//! An embedded part that dies ends `up`: without it the rest would only look like a whole system.

use std::time::Duration;

use anyhow::bail;
use tokio_util::sync::CancellationToken;

use super::parts::Embedded;

const GAP: Duration = Duration::from_secs(1);

/// Looks after the parts until told to stop, or until one has ended by itself.
pub(super) async fn parts(embedded: Embedded, stop: CancellationToken) -> anyhow::Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(GAP)).await.is_some() {
        if let Some(ended) = embedded.ended() {
            bail!(ended);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use devstack::{Anvil, AnvilConfig, Scratch};

    use super::*;

    #[tokio::test]
    async fn a_part_that_dies_is_named_with_its_log() {
        let scratch = Scratch::new().unwrap();
        let state_file = Some(scratch.path().join("state.json"));
        let start = move || Anvil::start(&AnvilConfig { state_file, ..AnvilConfig::default() });
        let anvil = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
        let pid = anvil.pid().to_string();
        let embedded = Embedded::default();
        *embedded.anvil.lock().unwrap() = Some(anvil);
        let stop = CancellationToken::new();
        stop.cancel();
        parts(embedded.clone(), stop).await.expect("a stop is no death");
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        let patience = Duration::from_secs(20);
        let watched = tokio::time::timeout(patience, parts(embedded, CancellationToken::new())).await;
        let ended = watched.expect("it is noticed in time").unwrap_err().to_string();
        assert!(ended.starts_with("anvil has ended by itself: its log is "), "{ended}");
        assert!(ended.ends_with("state.log"), "{ended}");
    }
}
