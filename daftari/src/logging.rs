//! Log lines on standard error, and the process's metrics.

use std::io::IsTerminal;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Logging};

/// Its spans name the endpoint, path and all, at every level below: and who sells endpoints puts the key into the path.
const UNTOLD: &str = "alloy_transport_http=info";

/// Starts logging as configured.
pub(crate) fn start(config: &Logging) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log_level)
        .with_context(|| format!("{:?} is not a log level: try info, debug or warn", config.log_level))?;
    let filter = filter.add_directive(UNTOLD.parse()?);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Where nobody reads the log any more, a line of it is lost, and not the task that wrote it: to say so would panic.
    let lines = lines.log_internal_errors(false);
    match config.log_format {
        LogFormat::Text => lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Collects the process's metrics, for `/metrics` to show.
pub(crate) fn collect_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = api::metrics_builder()?.install_recorder()?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}
