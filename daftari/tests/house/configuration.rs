//! The executable is configured by flags or by the environment, and a bad configuration is one sentence.

use std::collections::BTreeSet;
use std::process::Command;

use crate::{files_under, read, root};

/// Runs the executable with this environment and no other; gives its exit code and standard error.
fn run(words: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_daftari"))
        .args(words)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the executable runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("it writes text"))
}

#[test]
fn settings_come_from_the_environment_and_secrets_stay_out_of_errors() {
    let url = ("DATABASE_URL", "postgres://daftari:hunter2@127.0.0.1:1/books");
    let key = ("WRAPPING_KEY_FILE", "/nonexistent/wrapping.key");
    let (code, error) = run(&["api"], &[url, key]);
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("/nonexistent/wrapping.key"), "{error}");

    let (code, error) = run(&["api"], &[("DATABASE_URL", "mysql://daftari:hunter2@127.0.0.1/books"), key]);
    assert_eq!(code, Some(2));
    assert!(error.contains("a database URL begins with postgres://"), "{error}");

    let (code, error) = run(&["api"], &[key]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--database-url"), "{error}");

    let (_, help) = run(&["api", "--help"], &[url, key]);
    assert!(!help.contains("hunter2"), "{help}");
}

#[test]
fn each_role_has_a_port_of_its_own() {
    let listening = "env = \"LISTEN\", default_value = \"127.0.0.1:";
    let sources: Vec<String> = files_under(&root().join("daftari/src")).iter().map(|it| read(it)).collect();
    let defaults = sources.iter().flat_map(|it| it.split(listening).skip(1));
    let ports: Vec<&str> = defaults.map(|it| it.split('"').next().unwrap_or_default()).collect();
    let distinct: BTreeSet<&str> = ports.iter().copied().collect();
    assert_eq!(
        (ports.len(), distinct.len()),
        (7, 7),
        "two roles on one host would be at one place: {ports:?}"
    );
    let described = read(&root().join("docs/books.md"));
    for port in distinct {
        assert!(described.contains(port), "docs/books.md does not name {port}");
    }
}
