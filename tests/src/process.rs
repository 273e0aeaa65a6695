//! Processes that are started, watched and ended by a journey.

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// How long anything may take before the journey fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The checkout's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the checkout is there")
}

/// The built executable, beside the test binary that runs now.
pub fn daftari() -> Command {
    let own = std::env::current_exe().expect("a test knows its own file");
    let program = own.parent().and_then(|it| it.parent()).expect("tests are in deps/").join("daftari");
    assert!(program.exists(), "{} is not built: run cargo build --workspace first", program.display());
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "TMPDIR", "JAVA_HOME", "LANG"] {
        #[expect(
            clippy::disallowed_methods,
            reason = "a child gets the paths of this machine and nothing else"
        )]
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Asks until there is an answer; fails the journey when there is none in time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A running process, with its standard output at hand.
pub struct Process {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the command starts");
        let stdout = child.stdout.take().expect("standard output is piped");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    /// Lines of standard output up to and including the first that holds this text.
    pub async fn lines_until(&mut self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        let read = async {
            while let Some(line) = self.lines.next_line().await.expect("standard output is text") {
                seen.push(line);
                if seen.last().is_some_and(|it| it.contains(text)) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(2 * PATIENCE, read).await;
        assert!(found == Ok(true), "{text:?} was never printed; this was:\n{}", seen.join("\n"));
        seen
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Sends a signal by name, as a user would, and gives the exit code.
    pub async fn end_with(mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status().await;
        assert!(sent.expect("kill is installed").success());
        let status =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends when it is told to");
        status.expect("it can be waited for").code()
    }
}
