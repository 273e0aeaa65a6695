//! A role of this executable in a process of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;

use super::ground::PATIENCE;
use crate::load::{Client, written};

const TAIL_LINES: usize = 20;

/// This executable's own file.
pub(super) fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}

/// Waits until what was started there answers this path with 200.
pub(super) async fn answers(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let request = written(&format!("GET {path}"), "", "");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(mut client) = Client::connect(address).await
            && client.ask(request.as_bytes()).await.is_ok_and(|it| it == 200)
        {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{address} did not answer {path} in 20 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A role in a process of its own, which ends with this one, however that ends.
pub(super) struct Role {
    child: Child,
    pid: Pid,
    said: watch::Receiver<Said>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

/// What a role has said of itself.
#[derive(Clone, Copy, Default)]
struct Said {
    address: Option<SocketAddr>,
    has_panicked: bool,
}

impl Role {
    /// Starts `daftari` with these words.
    pub(super) fn start(words: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(own_program()?)
            .args(["--log-format", "json", "--log-level", "warn,daftari=info"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a role")?;
        let pid = child.id().and_then(|it| Pid::from_raw(it as i32)).context("the role has ended already")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        let (say, said) = watch::channel(Said::default());
        let tail = Arc::default();
        tokio::spawn(listen(stderr, say, Arc::clone(&tail)));
        Ok(Self { child, pid, said, tail })
    }

    /// Waits until it says where it answers.
    pub(super) async fn address(&mut self) -> anyhow::Result<SocketAddr> {
        let said = tokio::time::timeout(PATIENCE, self.said.wait_for(|it| it.address.is_some())).await;
        match said.map(|it| it.ok().and_then(|it| it.address)) {
            Ok(Some(address)) => Ok(address),
            _ => Err(self.failure("a role does not start")),
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends SIGKILL and waits for the end.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        self.killed().await
    }

    /// Waits for the end of one that was killed.
    pub(super) async fn killed(mut self) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        self.ended().await
    }

    /// Sends SIGTERM and waits for the end.
    pub(super) async fn drain(self) -> anyhow::Result<()> {
        kill_process(self.pid, Signal::TERM)?;
        self.drained().await
    }

    /// Waits for the end of one that was told to stop; it must end well.
    pub(super) async fn drained(mut self) -> anyhow::Result<()> {
        let Ok(status) = tokio::time::timeout(PATIENCE, self.child.wait()).await else {
            return Err(self.failure("a role does not end when it is told to"));
        };
        ensure!(status?.success(), self.failure("a role does not end well"));
        self.ended().await
    }

    /// Waits for one that ends by itself; gives its last words.
    pub(super) async fn last_words(mut self) -> anyhow::Result<(Option<i32>, String)> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.map_err(|_| self.failure("a role goes on"))??;
        self.ended().await?;
        Ok((status.code(), self.tail()))
    }

    // Whatever ended it, it must not have panicked before.
    async fn ended(&mut self) -> anyhow::Result<()> {
        // The listener drops its sender when it has read to the end.
        while self.said.changed().await.is_ok() {}
        ensure!(!self.said.borrow().has_panicked, self.failure("a role panicked"));
        Ok(())
    }

    fn failure(&self, what: &str) -> anyhow::Error {
        anyhow!("{what}; its log ends with:\n{}", self.tail())
    }

    fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

async fn listen(stderr: ChildStderr, say: watch::Sender<Said>, tail: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("panicked") {
            say.send_modify(|it| it.has_panicked = true);
        }
        if let Some(address) = address_in(&line) {
            say.send_modify(|it| it.address = Some(address));
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == "the API answers").then(|| line["listen"].as_str()?.parse().ok()).flatten()
}
