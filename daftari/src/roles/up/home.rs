//! The folder of `daftari up`: everything that must survive a restart.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use store::Environment;

use crate::keys;

/// The folder and the names in it.
pub(super) struct Home {
    folder: PathBuf,
}

impl Home {
    /// Opens the folder, making it and the secrets in it the first time.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let make =
            |path: &Path| fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()));
        make(folder)?;
        let home = Self { folder: folder.canonicalize()? };
        make(&home.folder.join("keys"))?;
        keys::write_secret(&home.wrapping_key(), &keys::random_hex()?)?;
        for name in ["api-key", "token"] {
            // Marked as a development credential: no production key looks like this.
            keys::write_secret(&home.secret(name), &Environment::Test.generate())?;
        }
        keys::write_secret(&home.secret("origin"), &format!("daftari.local/{}", &keys::random_hex()?[..8]))?;
        Ok(home)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn secret(&self, name: &str) -> PathBuf {
        self.folder.join("keys").join(name)
    }

    pub(super) fn wrapping_key(&self) -> PathBuf {
        self.secret("wrapping.key")
    }

    pub(super) fn log_key(&self) -> PathBuf {
        self.secret("log.key")
    }

    /// The development API key.
    pub(super) fn api_key(&self) -> anyhow::Result<String> {
        Ok(keys::read_secret(&self.secret("api-key"))?.to_string())
    }

    /// The development bearer token.
    pub(super) fn token(&self) -> anyhow::Result<String> {
        Ok(keys::read_secret(&self.secret("token"))?.to_string())
    }

    /// The log's origin, made up once.
    pub(super) fn origin(&self) -> anyhow::Result<String> {
        Ok(keys::read_secret(&self.secret("origin"))?.to_string())
    }
}
