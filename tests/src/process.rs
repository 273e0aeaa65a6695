//! Processes that are started, watched and ended by a journey.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::machine::root;

/// How long anything may take before the journey fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much of a log a failing journey shows.
const TAIL_LINES: usize = 30;

/// Where the built executable is: beside the test binary that runs now.
pub fn daftari_path() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own file");
    let program = own.parent().and_then(|it| it.parent()).expect("tests are in deps/").join("daftari");
    assert!(program.exists(), "{} is not built: run cargo build --workspace first", program.display());
    program
}

/// The built executable. It ends with the test that started it, however that ends.
pub fn daftari() -> Command {
    let program = daftari_path();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).current_dir(root()).env_clear();
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

/// Starts or stops a part of devstack's, which blocks.
pub async fn part<T: Send + 'static>(act: impl FnOnce() -> Result<T, devstack::Error> + Send + 'static) -> T {
    let acted = tokio::task::spawn_blocking(act).await.expect("a part does not panic");
    acted.unwrap_or_else(|error| panic!("{error}"))
}

/// A running process, with its standard output at hand and its standard error in a file. When a journey fails, it shows
/// how that file ends.
pub struct Process {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Process {
    /// Starts a command. Its log goes behind what the file holds already.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(log);
        command.stdout(Stdio::piped()).stderr(file.expect("the log can be written"));
        let mut child = command.spawn().expect("the command starts");
        let stdout = child.stdout.take().expect("standard output is piped");
        Self { child, lines: BufReader::new(stdout).lines(), log: log.to_owned() }
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

    /// What it has logged.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).expect("the log can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Waits for the end of a process that ends by itself.
    pub async fn end(mut self) -> Option<i32> {
        self.ended().await
    }

    async fn ended(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("it has not ended within {PATIENCE:?}"));
        status.expect("it can be waited for").code()
    }

    /// Sends a signal by name, as a user would, and gives the exit code. Nothing may be cut off because it does not end.
    pub async fn end_with(mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status().await;
        assert!(sent.expect("kill is installed").success(), "it had ended by itself");
        let code = self.ended().await;
        assert!(!self.log().contains("did not drain in time"), "some connections were cut off");
        code
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
            eprintln!("{} ends with:\n{tail}", self.log.display());
        }
    }
}
