//! Keys that this process does not hold: what signs is `openssl`, which knows neither Ethereum nor its low s.

use std::fs;
use std::path::Path;

use alloy::primitives::keccak256;
use signing::SigningCommand;
use tempfile::TempDir;

use super::*;
use crate::dev::{DEV_BRIDGE_KEY, DEV_KEY};

/// A program that signs with this key, and the folder that it needs.
fn command(key: &str) -> (TempDir, SigningCommand) {
    let folder = tempfile::tempdir().unwrap();
    let key: [u8; 32] = key.parse::<B256>().unwrap().0;
    // An EC private key of RFC 5915, on secp256k1.
    let der = [&[0x30, 0x2E, 2, 1, 1, 4, 0x20][..], &key, &[0xA0, 7, 6, 5, 0x2B, 0x81, 4, 0, 0x0A]].concat();
    fs::write(folder.path().join("key.der"), der).unwrap();
    let at = folder.path().display();
    let script = format!(
        "set -e\ncat > {at}/hash\nopenssl pkeyutl -sign -inkey {at}/key.der -keyform DER -in {at}/hash -out {at}/made\nod -An -v -tx1 {at}/made\n"
    );
    fs::write(folder.path().join("sign"), script).unwrap();
    let command = SigningCommand::parse(&format!("sh {at}/sign")).unwrap();
    (folder, command)
}

fn says(folder: &Path, text: &str) -> SigningCommand {
    fs::write(folder.join("says"), text).unwrap();
    SigningCommand::parse(&format!("sh {}/says", folder.display())).unwrap()
}

#[tokio::test]
async fn a_program_signs_for_an_account_and_for_no_other() {
    let own = Account::from_key(DEV_KEY).unwrap();
    let (_folder, command) = command(DEV_KEY);
    let behind = Account::behind(command.clone(), &own.address()).await.unwrap();
    assert_eq!(format!("{behind:?}"), format!("{own:?}"));
    // Its signatures differ each time, and half of them have the higher s.
    for number in 0..8_u8 {
        let hash = keccak256([number]);
        let signature = behind.sign_hash(hash).await.unwrap();
        assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), own.address);
        assert_eq!(signature.normalize_s(), None, "a chain refuses the higher s");
    }
    let other = Account::from_key(DEV_BRIDGE_KEY).unwrap();
    let wrong = Account::behind(command, &other.address()).await.unwrap_err();
    assert!(matches!(wrong, ChainError::Signing(SigningError::WrongKey { .. })), "{wrong}");
}

#[tokio::test]
async fn what_is_no_signature_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let address = Account::from_key(DEV_KEY).unwrap().address();
    for text in
        ["echo 00", "head -c 64 /dev/zero | od -An -v -tx1", "printf '%0128d' 1", "printf 'f%.0s' $(seq 130)"]
    {
        let refused = Account::behind(says(folder.path(), text), &address).await.unwrap_err();
        assert!(matches!(refused, ChainError::Signing(_)), "{text}: {refused}");
    }
}

/// The first test vector of the Web3 Secret Storage Definition.
const KEYSTORE: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":
{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6",
"version":3}"#;

#[test]
fn a_wallets_keystore_opens_with_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystore.json");
    fs::write(&path, KEYSTORE).unwrap();
    let expected =
        Account::from_key("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d").unwrap();
    assert_eq!(Account::from_keystore(&path, "testpassword").unwrap().address(), expected.address());
    let refused = Account::from_keystore(&path, "hunter2").unwrap_err().to_string();
    assert!(!refused.contains("hunter2"), "{refused}");
}
