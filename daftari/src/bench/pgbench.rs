//! PostgreSQL's own measure of itself: `pgbench` with its built-in TPC-B-like script.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;

/// `pgbench` against one database.
pub(super) struct Pgbench<'a> {
    pub(super) program: &'a Path,
    pub(super) url: String,
}

impl Pgbench<'_> {
    /// Fills the tables of this scale.
    pub(super) async fn fill(&self, scale: u32) -> anyhow::Result<()> {
        self.run(&["--initialize", "--quiet", "--scale", &scale.to_string()]).await.map(drop)
    }

    /// Transactions per second of the built-in TPC-B-like script.
    pub(super) async fn tpcb(&self, clients: u32, seconds: u64) -> anyhow::Result<f64> {
        self.builtin("tpcb-like", clients, seconds).await
    }

    /// Transactions per second of the built-in script that only selects.
    pub(super) async fn select(&self, clients: u32, seconds: u64) -> anyhow::Result<f64> {
        self.builtin("select-only", clients, seconds).await
    }

    async fn builtin(&self, script: &str, clients: u32, seconds: u64) -> anyhow::Result<f64> {
        let (clients, seconds) = (clients.to_string(), seconds.to_string());
        let words = [
            "--builtin",
            script,
            "--client",
            &clients,
            "--jobs",
            "2",
            "--time",
            &seconds,
            "--protocol",
            "prepared",
        ];
        let printed = self.run(&words).await?;
        let tps =
            printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        tps.context("pgbench printed no tps")
    }

    async fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.program)
            .args(words)
            .arg(&self.url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| {
                format!("cannot run {}: fetch it with devstack/fetch pgbench", self.program.display())
            })?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench failed: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
