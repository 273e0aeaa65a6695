//! What can go wrong at the object store, by what to do about it.

use std::path::PathBuf;

/// A failure of the object store.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The store cannot be reached or has no room: try again.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A bucket cannot be reached, or does not let us in: try again.
    #[error("the object store, {path}: {problem}")]
    Remote {
        /// What was being read or written.
        path: String,
        /// What the store said.
        problem: String,
    },
    /// Another checkpoint of the same size stands there already.
    #[error(
        "a checkpoint of {size} leaves is published with another root: publishing this one would fork the log"
    )]
    Forked {
        /// The size that both have.
        size: u64,
    },
    /// A checkpoint stands there that its publisher has not seen: look first whether it is of the same history.
    #[error("a checkpoint of {size} leaves was published meanwhile, by whoever else seals")]
    Moved {
        /// The size that is published.
        size: u64,
    },
    /// Other bytes stand there already, and a published checkpoint covers them.
    #[error(
        "{path} stands with other bytes, and {size} leaves are published: writing over it would rewrite the log"
    )]
    Otherwise {
        /// What was to be written.
        path: String,
        /// The size that is published.
        size: u64,
    },
    /// A tile that a checkpoint implies is not there.
    #[error("{0} is missing, although a checkpoint implies it")]
    Missing(String),
    /// What is there was not written by us.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// Where it stands below the log's prefix.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl TileError {
    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Remote { .. } | Self::Moved { .. })
    }
}
