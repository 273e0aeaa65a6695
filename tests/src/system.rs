//! The whole system, as `daftari up` runs it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::process::{Process, daftari, root};

/// A system that runs, in a folder that may outlive it.
pub struct System {
    /// The process.
    pub process: Process,
    /// What it printed until it was ready.
    pub printed: Vec<String>,
    /// What it says of itself, for programs.
    pub facts: Value,
}

impl System {
    /// A folder for a system's data, removed when it is dropped. Everyone may pass through it, because PostgreSQL's
    /// user must where the tests run as root.
    pub fn folder() -> TempDir {
        use std::os::unix::fs::PermissionsExt;
        let everyone_passes = std::fs::Permissions::from_mode(0o711);
        tempfile::Builder::new()
            .prefix("journey-")
            .permissions(everyone_passes)
            .tempdir()
            .expect("a folder can be made")
    }

    /// Starts the system in this folder, with these further words, and waits until it says that it is ready.
    pub async fn up(folder: &Path, words: &[&str]) -> Self {
        let mut command = daftari();
        command.current_dir(root());
        command.args([
            "--log-format",
            "json",
            "up",
            "--listen",
            "127.0.0.1:0",
            "--anchor-gap",
            "200ms",
            "--data-dir",
        ]);
        command.arg(folder).args(words);
        let log = std::fs::File::options().create(true).append(true).open(folder.join("up.log"));
        command.stderr(log.expect("the log can be written"));
        let mut process = Process::start(command);
        let printed = process.lines_until("Ctrl-C stops").await;
        let facts = std::fs::read(folder.join("up.json")).expect("up says where everything is");
        Self { process, printed, facts: serde_json::from_slice(&facts).expect("up.json is JSON") }
    }

    /// A fact of `up.json`.
    pub fn fact(&self, name: &str) -> &str {
        self.facts[name].as_str().unwrap_or_else(|| panic!("up.json says nothing of {name}: {}", self.facts))
    }

    /// The API, with the development credential.
    pub fn api(&self) -> Api {
        Api::new(self.fact("api"), self.fact("api_key"), self.fact("partner"))
    }

    /// Recomputes the books from outside.
    pub async fn check_books(&self) -> store::BooksReport {
        let pool = store::connect(self.fact("database_url"), 2).await.expect("the database answers");
        let report = store::check_books(&mut *pool.acquire().await.expect("the database answers")).await;
        pool.close().await;
        report.expect("the books are right")
    }

    /// The policy file.
    pub fn policy(&self) -> PathBuf {
        self.fact("policy").into()
    }
}
