//! Where secrets come from: files that only their owner may read, the environment, and programs that sign with them.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anchor_worker::{LogKey, LogKeys};
use anyhow::{Context, ensure};
use chain::Account;
use signing::SigningCommand;
use store::Keyring;
use zeroize::Zeroizing;

use crate::config::{ChainKeyAt, Log, SecretText, parse_address};

/// Writes a secret into a new file with mode 0600; an existing file is left as it is. The file is whole and durable
/// before it has its name: a crash at any moment leaves either no secret or all of it.
pub(crate) fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let at = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new().prefix(".secret-").tempfile_in(folder).with_context(at)?;
    staged.write_all(secret.as_bytes()).and_then(|()| staged.write_all(b"\n")).with_context(at)?;
    staged.as_file().sync_all().with_context(at)?;
    match staged.persist_noclobber(path) {
        Ok(_) => File::open(folder).and_then(|it| it.sync_all()).with_context(at),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error).with_context(at),
    }
}

/// A file that only its owner may read, empty whatever it held.
pub(crate) fn create_private(path: &Path) -> anyhow::Result<File> {
    let at = || format!("cannot write {}", path.display());
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let file = file.with_context(at)?;
    // One that was there has kept its mode.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600)).with_context(at)?;
    }
    Ok(file)
}

/// Writes a file that only its owner may read, replacing what it held.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    create_private(path)?.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a secret from a file that nobody else may read.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let metadata = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    let mode = metadata.permissions().mode();
    ensure!(mode & 0o077 == 0, "{} can be read by others: give it mode 0600", path.display());
    let text = Zeroizing::new(std::fs::read_to_string(path)?);
    let secret = Zeroizing::new(text.trim().to_owned());
    ensure!(!secret.is_empty(), "{} is empty: a secret belongs there", path.display());
    Ok(secret)
}

/// The 32 bytes in hexadecimal that this file holds.
pub(crate) fn read_key(path: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let text = read_secret(path)?;
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_start_matches("0x"), key.as_mut())
        .ok()
        .with_context(|| format!("{} does not hold 32 bytes in hexadecimal", path.display()))?;
    Ok(key)
}

/// The keys that this process signs the log with, wherever they are.
pub(crate) async fn log_keys(log: &Log) -> anyhow::Result<LogKeys> {
    let key = log_key(log).await?;
    let keys = match &log.key.log_first_public_key {
        Some(first) => LogKeys::of_log_begun_with(&parse_public_key(first)?, key)?,
        None => LogKeys::from(key),
    };
    Ok(match next_log_key(log).await? {
        Some(next) => keys.and(next),
        None => keys,
    })
}

async fn log_key(log: &Log) -> anyhow::Result<LogKey> {
    let at = &log.key;
    let place = (&at.log_key_command, &at.log_key, &at.log_key_file);
    let key = key_at(place, at.log_public_key.as_deref(), &log.origin).await.context("--log-key")?;
    key.context("the log needs --log-key-file or --log-key-command")
}

/// The key that is to take the place of the one that signs; none where none is configured.
pub(crate) async fn next_log_key(log: &Log) -> anyhow::Result<Option<LogKey>> {
    let at = &log.key.next;
    let place = (&at.next_log_key_command, &at.next_log_key, &at.next_log_key_file);
    key_at(place, at.next_log_public_key.as_deref(), &log.origin).await.context("--next-log-key")
}

async fn key_at(
    place: (&Option<String>, &Option<SecretText>, &Option<PathBuf>),
    public_key: Option<&str>,
    origin: &str,
) -> anyhow::Result<Option<LogKey>> {
    let expected = public_key.map(parse_public_key).transpose()?;
    let key = match place {
        (Some(line), _, _) => {
            let public_key = expected.context("a command that signs needs its public key")?;
            LogKey::behind(SigningCommand::parse(line)?, origin, &public_key).await?
        }
        (None, Some(text), _) => LogKey::parse(&text.0, origin)?,
        (None, None, Some(file)) => LogKey::open(file, origin)?,
        (None, None, None) => return Ok(None),
    };
    let is_expected = expected.is_none_or(|it| it == *key.verifier_key().public_key());
    ensure!(is_expected, "the log's key is another one than its public key says");
    Ok(Some(key))
}

/// The account of this key, wherever it is; none where none is configured.
pub(crate) async fn account(at: &ChainKeyAt) -> anyhow::Result<Option<Account>> {
    let expected = at.chain_sender.as_deref().map(parse_address).transpose()?;
    let account = match (&at.chain_key_command, &at.chain_key, &at.chain_key_file) {
        (Some(line), _, _) => {
            let address = expected.context("a command that signs needs the address of its key")?;
            Account::behind(SigningCommand::parse(line)?, &address).await?
        }
        (None, Some(text), _) => Account::from_key(&text.0)?,
        (None, None, Some(file)) => match &at.chain_key_password_file {
            Some(password) => Account::from_keystore(file, &read_secret(password)?)?,
            None => Account::from_key(&read_secret(file)?)?,
        },
        (None, None, None) => return Ok(None),
    };
    let is_expected = expected.is_none_or(|it| it == account.address());
    ensure!(is_expected, "the chain's key is another account's than the sender that was named");
    Ok(Some(account))
}

/// The 32 public bytes of a log's key.
pub(crate) fn parse_public_key(text: &str) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut key)
        .with_context(|| format!("{text:?} is not a public key of 32 bytes in hexadecimal"))?;
    Ok(key)
}

/// The keyring of the wrapping key in this file.
pub(crate) fn keyring(path: &Path) -> anyhow::Result<Keyring> {
    Ok(Keyring::new(&*read_key(path)?))
}

/// 32 random bytes in hexadecimal.
pub(crate) fn random_hex() -> anyhow::Result<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).context("the operating system gives no random bytes")?;
    Ok(hex::encode(bytes.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_so_also_where_the_file_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export.json");
        std::fs::write(&path, "of before").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"now").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"now");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_secret(&path, &random_hex().unwrap()).unwrap();
        let first = read_key(&path).unwrap();
        write_secret(&path, &random_hex().unwrap()).unwrap();
        assert_eq!(read_key(&path).unwrap(), first, "a key is never overwritten");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read_key(&path).unwrap_err().to_string().contains("can be read by others"));
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        std::fs::set_permissions(&empty, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read_secret(&empty).unwrap_err().to_string().contains("is empty"));
    }
}
