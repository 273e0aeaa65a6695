//! What a command prints goes to somebody who has stopped reading, as after `| head`.

use std::process::{Output, Stdio};

use journeys::daftari;
use tokio::process::Command;

/// A pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    Stdio::from(writer)
}

async fn end(command: &mut Command) -> Output {
    command.spawn().expect("the command starts").wait_with_output().await.expect("it ends")
}

#[tokio::test]
async fn a_command_that_nobody_reads_ends_without_a_word() {
    let mut kinds = daftari();
    let ended = end(kinds.args(["books", "kinds"]).stdout(unread()).stderr(Stdio::piped())).await;
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert!(!ended.status.success(), "what it said was not heard");
}

#[tokio::test]
async fn a_log_that_nobody_reads_ends_nothing() {
    let mut kinds = daftari();
    kinds.args(["--log-level", "debug", "books", "kinds"]).stdout(Stdio::piped()).stderr(unread());
    let ended = end(&mut kinds).await;
    assert!(ended.status.success(), "{}", ended.status);
    assert!(String::from_utf8_lossy(&ended.stdout).contains("insufficient_balance"));
}
