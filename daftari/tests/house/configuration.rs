//! The executable is configured by flags or by the environment, and a bad configuration is one sentence.

use std::process::Command;

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
