//! The log's key behind a program: `openssl` signs, and this process never sees the key.

use std::fs;
use std::path::Path;
use std::process::Command;

use signing::{SigningCommand, SigningError};

use super::fixture::{Fixture, ORIGIN};
use crate::{KeyError, LogKey, Obstacle, SealError, Sealed, Sealer};

/// Makes a key, and a program that signs with it; answers the program and the public key.
fn signer(folder: &Path) -> (SigningCommand, [u8; 32]) {
    let at = folder.display();
    let made = format!(
        "openssl genpkey -algorithm ed25519 -out {at}/key.pem && openssl pkey -in {at}/key.pem -pubout -outform DER"
    );
    let made = Command::new("sh").args(["-c", &made]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let script = format!(
        "set -e\ncat > {at}/text\nopenssl pkeyutl -sign -inkey {at}/key.pem -rawin -in {at}/text -out {at}/made\nod -An -v -tx1 {at}/made\n"
    );
    fs::write(folder.join("sign"), script).unwrap();
    let public_key = *made.stdout.last_chunk().unwrap();
    (SigningCommand::parse(&format!("sh {at}/sign")).unwrap(), public_key)
}

#[tokio::test]
async fn a_log_is_sealed_by_a_program_that_holds_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (command, public_key) = signer(folder.path());
    let key = LogKey::behind(command, ORIGIN, &public_key).await.unwrap();
    let it = Fixture::of(key.log()).await;
    it.post(3).await;
    let mut sealer = Sealer::new(it.pool.clone(), it.folder.clone(), key);

    // While the program fails nothing is promised, and it is asked again.
    let pem = folder.path().join("key.pem");
    fs::rename(&pem, folder.path().join("away")).unwrap();
    let waits = sealer.seal().await.unwrap_err();
    assert!(matches!(&waits, SealError::Retry(Obstacle::Signing(SigningError::Failed { .. }))), "{waits}");
    assert!(store::latest_checkpoint(&mut it.pool.acquire().await.unwrap()).await.unwrap().is_none());
    // What another key has signed is nobody's business.
    Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&pem).output().unwrap();
    let wrong = sealer.seal().await.unwrap_err();
    assert!(matches!(&wrong, SealError::Retry(Obstacle::Signing(SigningError::WrongKey { .. }))), "{wrong}");
    assert!(it.folder.checkpoint().unwrap().is_none());

    fs::rename(folder.path().join("away"), &pem).unwrap();
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 3 });
    let note = it.folder.checkpoint().unwrap().unwrap();
    let verifier = proof::VerifierKey::of_log(ORIGIN, &public_key).unwrap();
    let policy = proof::Policy::of_log(verifier);
    assert_eq!(proof::verify_checkpoint(&note, &policy).unwrap().checkpoint.size, 3);
}

#[tokio::test]
async fn a_program_with_another_key_is_refused_before_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (command, public_key) = signer(folder.path());
    let (other, _) = signer(tempfile::tempdir_in(folder.path()).unwrap().keep().as_path());
    assert!(LogKey::behind(command, ORIGIN, &public_key).await.is_ok());
    let wrong = LogKey::behind(other, ORIGIN, &public_key).await.err().unwrap();
    assert!(matches!(&wrong, KeyError::Signing(SigningError::WrongKey { .. })), "{wrong}");
}
