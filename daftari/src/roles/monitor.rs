//! `daftari monitor`: follows a log and alarms.

use std::process::ExitCode;

use anyhow::Context;
use auditor::{MonitorError, Observation};
use chain::Chain;

use crate::config::Monitor;
use crate::roles::trust;
use crate::signals::{self, now_s};

pub(crate) async fn run(config: Monitor) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_on_signal()?;
    let monitor = match monitor(&config).await {
        Ok(monitor) => monitor,
        Err(error) => {
            eprintln!("daftari: {}", crate::told(&error));
            return Ok(ExitCode::from(2));
        }
    };
    loop {
        let status = tell(monitor.look(now_s()).await);
        if config.once {
            return Ok(ExitCode::from(status));
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(config.every.0) => {}
        }
    }
}

async fn monitor(config: &Monitor) -> anyhow::Result<auditor::Monitor> {
    let policy = trust::policy(&config.trust)?;
    let source = trust::source(&config.log)?;
    let chain = match &config.rpc {
        Some(rpc) => Some(Chain::connect(&rpc.0).await?),
        None => None,
    };
    let folder = config.memory.clone();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let stale_after_s = config.stale_after.map(|it| it.0.as_secs());
    Ok(auditor::Monitor { source, policy, chain, folder, stale_after_s })
}

/// Says what was seen; gives the exit status of a single look.
fn tell(looked: Result<Observation, MonitorError>) -> u8 {
    match looked {
        Ok(observed) if observed.findings.is_empty() => {
            let Observation { size, witnesses, contracts, .. } = &observed;
            tracing::info!(size, witnesses = witnesses.len(), contracts, "consistent with all that was seen");
            0
        }
        Ok(observed) => {
            for finding in &observed.findings {
                match &observed.evidence {
                    Some(folder) => tracing::error!(%finding, evidence = %folder.display(), "alarm"),
                    None => tracing::error!(%finding, "alarm"),
                }
            }
            1
        }
        Err(error) => {
            tracing::warn!(%error, "could not look");
            2
        }
    }
}
