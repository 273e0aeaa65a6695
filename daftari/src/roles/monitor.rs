//! `daftari monitor`: follows a log and alarms.

use std::process::ExitCode;

use anyhow::Context;
use auditor::{MonitorError, Observation};
use chain::{Chain, ChainError};

use crate::config::Monitor;
use crate::roles::trust;
use crate::signals::{self, now_s};

pub(crate) async fn run(config: Monitor) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_on_signal()?;
    let mut monitor = match monitor(&config) {
        Ok(monitor) => monitor,
        Err(error) => {
            eprintln!("daftari: {}", crate::told(&error));
            return Ok(ExitCode::from(2));
        }
    };
    loop {
        // A chain that is away, at the start too, is asked for again at each look.
        let away = connect(&config, &mut monitor).await.err().map(|error| error.to_string());
        let mut looked = monitor.look(now_s()).await;
        if let Ok(observed) = &mut looked {
            observed.unanswered = observed.unanswered.take().or(away);
        }
        let status = tell(looked);
        if config.once {
            return Ok(ExitCode::from(status));
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(config.every.0) => {}
        }
    }
}

async fn connect(config: &Monitor, monitor: &mut auditor::Monitor) -> Result<(), ChainError> {
    if let Some(rpc) = &config.rpc
        && monitor.chain.is_none()
    {
        monitor.chain = Some(Chain::connect(&rpc.0).await?);
    }
    Ok(())
}

fn monitor(config: &Monitor) -> anyhow::Result<auditor::Monitor> {
    let policy = trust::policy(&config.trust)?;
    let source = trust::source(&config.log)?;
    let folder = config.memory.clone();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let stale_after_s = config.stale_after.map(|it| it.0.as_secs());
    Ok(auditor::Monitor { source, policy, chain: None, folder, stale_after_s })
}

/// Says what was seen; gives the exit status of a single look.
fn tell(looked: Result<Observation, MonitorError>) -> u8 {
    let unanswered = looked.as_ref().ok().and_then(|it| it.unanswered.as_ref());
    if let Some(error) = unanswered {
        tracing::warn!(%error, "the chain could not be asked");
    }
    let is_unasked = unanswered.is_some();
    match looked {
        Ok(observed) if observed.findings.is_empty() => {
            let Observation { size, witnesses, contracts, .. } = &observed;
            tracing::info!(size, witnesses = witnesses.len(), contracts, "consistent with all that was seen");
            // With the chain's half of it left open.
            if is_unasked { 2 } else { 0 }
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
