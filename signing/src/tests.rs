use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{SigningCommand, SigningError};

/// A program with this text, run in a folder that must outlive it.
fn program(text: &str) -> (TempDir, SigningCommand) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign");
    fs::write(&path, format!("cd {}\n{text}\n", folder.path().display())).unwrap();
    let command = SigningCommand::parse(&format!("sh {} --slot 3", path.display())).unwrap();
    (folder, command)
}

async fn asked(text: &str, message: &[u8]) -> Result<Vec<u8>, SigningError> {
    let (_folder, command) = program(text);
    command.sign(message).await
}

#[tokio::test]
async fn it_reads_the_bytes_and_writes_the_signature() {
    let large = vec![0xA5; 1 << 20];
    assert_eq!(asked("wc -c | sed 's/.*/0x00FF & &/' | tr -d ' '", &large).await.unwrap()[..2], [0, 0xFF]);
    assert_eq!(
        asked("od -An -v -tx1", b"a\nb").await.unwrap(),
        b"a\nb",
        "white space anywhere is passed over"
    );
    assert_eq!(asked("echo $1$2 | od -An -tx1", b"").await.unwrap(), b"--slot3\n");
    assert_eq!(
        asked("echo 2a", &large).await.unwrap(),
        [0x2A],
        "one that reads nothing may sign all the same"
    );
}

#[tokio::test]
async fn what_fails_says_why_and_what_was_written_is_never_repeated() {
    let failed = asked("echo secret; echo 'no such slot' >&2; echo 'try another' >&2; exit 3", b"x").await;
    let text = failed.unwrap_err().to_string();
    assert!(text.contains("exit status: 3: no such slot; try another"), "{text}");
    assert!(!text.contains("secret"), "{text}");

    let text = asked("echo PRIVATE+KEY+secret", b"x").await.unwrap_err().to_string();
    assert!(text.ends_with("wrote no signature: it is not hexadecimal"), "{text}");
    assert!(matches!(asked("true", b"x").await, Err(SigningError::NoSignature { .. })));
    let long = asked("head -c 100000 /dev/zero | tr '\\0' y >&2; exit 1", b"x").await.unwrap_err();
    assert!(long.to_string().len() < 600, "{long}");
}

#[tokio::test]
async fn one_that_hangs_is_ended() {
    let (folder, command) = program("echo $$ > pid.tmp && mv pid.tmp pid; exec sleep 600");
    let began = Instant::now();
    // Time enough for a shell to begin, on a machine that does much else.
    let late = command.with_patience(Duration::from_secs(3)).sign(b"x").await;
    assert!(matches!(late, Err(SigningError::Late { .. })), "{late:?}");
    assert!(began.elapsed() < Duration::from_secs(60));
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    let state = format!("/proc/{}/stat", pid.trim());
    let deadline = Instant::now() + Duration::from_secs(60);
    let ended = || fs::read_to_string(&state).map_or(true, |it| it.contains(") Z "));
    while !ended() {
        assert!(Instant::now() < deadline, "it still runs");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let missing =
        SigningCommand::parse("/nonexistent/sign --pin 1234").unwrap().sign(b"x").await.unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/sign cannot be run"), "{missing}");
    assert!(!missing.to_string().contains("1234"), "arguments may be secret: {missing}");
    assert_eq!(SigningCommand::parse("  "), Err(SigningError::Empty));
}
