use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::support::{descendants, eventually, is_alive, scratch_folder, send};

fn devstack(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a script that says when everything is up, and returns its first line.
fn started(arguments: &[&str], script: &str) -> (Child, String) {
    let arguments = [&["run"], arguments, &["--", "sh", "-c", script]].concat();
    let mut child = devstack(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

/// Sends the signal to a `devstack run` of this script and waits until nothing of it is left.
fn check_that_nothing_lingers(signal: Signal, script: &str) -> Option<i32> {
    let (mut child, line) = started(&["--anvil"], script);
    assert!(line.contains("postgres://daftari:") && line.contains("http://127.0.0.1:"), "{line}");
    let pids = descendants(child.id());
    let folder = scratch_folder(&pids).expect("the cleaner knows the folder");
    assert!(folder.join("postgres").exists());
    // The postmaster and its six helpers, anvil, the cleaner, the script.
    assert!(10 <= pids.len(), "{pids:?}");

    send(child.id(), signal);
    let status = child.wait().unwrap();
    eventually("all processes have ended", || !pids.iter().any(|&it| is_alive(it)));
    eventually("the folder is gone", || !folder.exists());
    status.code()
}

// A signal that we can pass on reaches all that the command has started. When we are killed, only the command itself is
// told; its own children are its own affair.
const WITH_A_CHILD: &str = "sleep 600 & echo $DAFTARI_TEST_POSTGRES $DAFTARI_TEST_ANVIL; wait";
const ALONE: &str = "echo $DAFTARI_TEST_POSTGRES $DAFTARI_TEST_ANVIL; exec sleep 600";

#[test]
fn the_exit_code_is_the_commands() {
    let code = |command: &str| devstack(&["run", "--", "sh", "-c", command]).status().unwrap().code();
    assert_eq!(code("test -n \"$DAFTARI_TEST_POSTGRES\" && exit 7"), Some(7));
    assert_eq!(code("kill -9 $$"), Some(128 + 9));
}

#[test]
fn a_command_line_without_a_command_is_refused() {
    for arguments in [&[] as &[&str], &["run"], &["run", "--"], &["run", "--redis", "--", "true"]] {
        let output = devstack(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
    }
}

#[test]
fn nothing_lingers_after_sigterm() {
    assert_eq!(check_that_nothing_lingers(Signal::TERM, WITH_A_CHILD), Some(128 + 15));
}

#[test]
fn nothing_lingers_after_sigint() {
    assert_eq!(check_that_nothing_lingers(Signal::INT, WITH_A_CHILD), Some(128 + 2));
}

#[test]
fn nothing_lingers_after_sigkill() {
    assert_eq!(check_that_nothing_lingers(Signal::KILL, ALONE), None);
}

#[test]
fn nothing_lingers_when_it_is_killed_while_starting() {
    let mut child = devstack(&["run", "--", "sleep", "600"]).spawn().unwrap();
    let mut seen = Vec::new();
    eventually("the first server is being made", || {
        seen = descendants(child.id());
        2 <= seen.len() && scratch_folder(&seen).is_some_and(|it| it.join("postgres").exists())
    });
    let folder = scratch_folder(&seen).unwrap();
    send(child.id(), Signal::KILL);
    child.wait().unwrap();
    eventually("all processes have ended", || !seen.iter().any(|&it| is_alive(it)));
    eventually("the folder is gone", || !folder.exists());
}
