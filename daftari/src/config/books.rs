//! What can be done with the books from outside: one command each.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{Database, SecretUrl};

/// Look into the books, and do in them what an operator does.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Books {
    /// Recompute everything and name the first thing that is wrong.
    Check(CheckBooks),
    /// List the events that were not posted, with the reason.
    Rejects(Rejects),
}

/// Recompute everything and name the first thing that is wrong.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckBooks {
    /// The PostgreSQL database of the books.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    /// The file with the wrapping key: open every posting too, so that no word can differ from what was logged.
    #[arg(long, env = "WRAPPING_KEY_FILE")]
    pub(crate) wrapping_key_file: Option<PathBuf>,
}

/// List the events that were not posted, with the reason.
#[derive(Clone, Debug, Args)]
pub(crate) struct Rejects {
    #[command(flatten)]
    pub(crate) database: Database,
    /// Only those after this number.
    #[arg(long, default_value_t = 0)]
    pub(crate) after: i64,
}
