//! What an outsider's command trusts, and where it reads the log.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use auditor::Source;
use proof::{Policy, VerifierKey};
use tiles::TileStore;

use crate::config::Trust;
use crate::roles::policy_file;

/// The policy of this file, or of this key alone.
pub(crate) fn policy(trust: &Trust) -> anyhow::Result<Policy> {
    match (&trust.policy, &trust.key) {
        (Some(path), _) => Ok(policy_file::read(path)?.1),
        (None, Some(key)) => {
            Ok(Policy::of_log(VerifierKey::parse(key).context("--key is not a log's public key")?))
        }
        (None, None) => bail!("give --policy or --key: what you trust never comes from what is checked"),
    }
}

/// The log at this address or in this folder.
pub(crate) fn source(log: &str) -> anyhow::Result<Source> {
    if log.starts_with("http://") || log.starts_with("https://") {
        return Ok(Source::at(log)?);
    }
    ensure!(Path::new(log).is_dir(), "{log} is neither an http(s) address nor a folder");
    Ok(Source::Store(Arc::new(TileStore::view(log))))
}
