//! The whole system, as `daftari up` runs it.

use std::path::{Path, PathBuf};

use devstack::Scratch;
use serde_json::Value;

use crate::api::Api;
use crate::ask::{Answered, answer_of};
use crate::process::{Process, daftari};

/// A system that runs, in a folder that may outlive it.
pub struct System {
    /// The process.
    pub process: Process,
    /// What it printed until it was ready.
    pub printed: Vec<String>,
    /// What it says of itself, for programs.
    pub facts: Value,
    home: PathBuf,
}

impl System {
    /// A folder for a system's data, in memory where there is room, removed when it is dropped.
    pub fn folder() -> Scratch {
        Scratch::new().expect("a folder can be made")
    }

    /// Starts the system in this folder, with these further words, and waits until it says that it is ready.
    pub async fn up(folder: &Path, words: &[&str]) -> Self {
        let mut command = daftari();
        command.args(["--log-format", "json", "up", "--anchor-gap", "200ms", "--data-dir"]);
        command.arg(folder).args(words);
        if !words.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut process = Process::start(command, &folder.join("up.log"));
        let printed = process.lines_until("Ctrl-C stops").await;
        let facts = std::fs::read(folder.join("up.json")).expect("up says where everything is");
        let facts = serde_json::from_slice(&facts).expect("up.json is JSON");
        Self { process, printed, facts, home: folder.to_owned() }
    }

    /// A fact of `up.json`.
    pub fn fact(&self, name: &str) -> &str {
        self.facts[name].as_str().unwrap_or_else(|| panic!("up.json says nothing of {name}: {}", self.facts))
    }

    /// The folder of its data.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The API, with the development credential.
    pub fn api(&self) -> Api {
        Api::new(self.fact("api"), self.fact("api_key"), self.fact("partner"))
    }

    /// The lines of its log that hold this text.
    pub fn logged(&self, text: &str) -> Vec<Value> {
        let log = self.process.log();
        let lines = log.lines().filter(|it| it.contains(text));
        lines.filter_map(|it| serde_json::from_str(it).ok()).collect()
    }

    /// Runs `daftari verify` with these words.
    pub async fn verify(words: &[&str]) -> Answered {
        Self::run(&[&["verify"], words].concat()).await
    }

    /// Runs the executable with these words, to its end.
    pub async fn run(words: &[&str]) -> Answered {
        let mut command = daftari();
        command.args(words);
        answer_of(command).await
    }

    /// Recomputes the books from outside.
    pub async fn check_books(&self) -> store::BooksReport {
        check_books(self.fact("database_url")).await
    }

    /// Stops the system as Ctrl-C does; it must end well, with everything it has started.
    pub async fn interrupt(self) {
        assert_eq!(self.process.end_with("INT").await, Some(0));
    }
}

/// Recomputes the books of a database.
pub async fn check_books(database_url: &str) -> store::BooksReport {
    let pool = store::connect(database_url, 2).await.expect("the database answers");
    let report = store::check_books(&mut pool.acquire().await.expect("the database answers")).await;
    pool.close().await;
    report.expect("the books are right")
}

/// Changes a database by hand, as its owner can.
pub async fn sql(database_url: &str, statement: &str) {
    let pool = store::connect(database_url, 1).await.expect("the database answers");
    let mut conn = pool.acquire().await.expect("the database answers");
    store::tamper(&mut conn, statement).await.expect("the statement is right");
    drop(conn);
    pool.close().await;
}
