//! Programs that run, answer and end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::machine::root;

/// Longer than any command takes, also a benchmark of crashes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a program said, and how it ended.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Answered {
    /// Fails the journey where it ended with another code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Its standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Runs a program to its end.
pub async fn answer_of(mut command: Command) -> Answered {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{command:?} does not end")).expect("the program starts");
    Answered {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Pastes a line into a shell in the checkout.
pub async fn bash(line: &str) -> Answered {
    let mut shell = Command::new("bash");
    shell.args(["-c", line]).current_dir(root());
    answer_of(shell).await
}

/// Runs lines of a shell that speak to a chain with Foundry's `cast`.
pub async fn cast(lines: &str, rpc_url: &str) -> Answered {
    let tools = root().join("contracts/node_modules/.tools");
    let mut shell = Command::new("bash");
    shell.args(["-euc", lines]).env("ETH_RPC_URL", rpc_url);
    shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display()));
    answer_of(shell).await
}

/// The commands that a document shows under a heading.
pub fn commands_of(document: &str, heading: &str) -> String {
    let text = std::fs::read_to_string(root().join(document)).expect("the document is there");
    let (_, rest) = text.split_once(&format!("## {heading}\n")).expect("the document has the heading");
    rest.split("```").nth(1).expect("it shows commands").to_owned()
}

/// Runs one of the checkout's scripts for Node.
pub async fn node(script: &Path, words: &[&str]) -> Answered {
    let mut node = Command::new("node");
    node.arg(script).args(words).current_dir(root());
    answer_of(node).await
}
