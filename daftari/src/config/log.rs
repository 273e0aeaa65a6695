//! What can be done with the log itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Archived, Database, Log, Outside, SecretUrl, Span, Tiles, Trust};

/// What the log says of itself: account maps, and ways out when a database lost what was published, or the store has.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LogAct {
    /// Make the account map of the log as it is now: its parts beside the tiles, and the leaf that commits to them.
    Map(MakeMap),
    /// Take back what the database lost, byte for byte as it was published, without effect on the books.
    Adopt(Adopt),
    /// Rebuild what has rotted in the object store, or is gone from it, as the published root says it was.
    Mend(Mend),
    /// Change the log's signing key: introduce the next one or retire one, by a leaf that says so.
    Rotate(Rotate),
    /// Begin a new log, in an empty database, whose first leaf names the old one's last size and root.
    Succeed(Succeed),
}

/// Make the account map.
#[derive(Clone, Debug, Args)]
pub(crate) struct MakeMap {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) tiles: Tiles,
    /// Go on, and make another so long after the last, as in 24h, where something was posted since. Where none is so young,
    /// the first is made at once.
    #[arg(long, env = "MAP_EVERY")]
    pub(crate) every: Option<Span>,
}

/// Take back what the database lost.
#[derive(Clone, Debug, Args)]
pub(crate) struct Adopt {
    /// The PostgreSQL database of the books, as its tables' owner.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) tiles: Tiles,
    #[command(flatten)]
    pub(crate) outside: Outside,
    /// What happened: it stands in the log for everybody to read, for ever.
    #[arg(long)]
    pub(crate) reason: String,
    /// Take lost withdrawals back as well, knowing that their gateway pays whoever has the receipt.
    #[arg(long)]
    pub(crate) accept_withdrawals: bool,
    /// Only say what would come back.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Rebuild what has rotted in the object store.
#[derive(Clone, Debug, Args)]
pub(crate) struct Mend {
    /// The PostgreSQL database of the books; it is only read.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    #[command(flatten)]
    pub(crate) tiles: Tiles,
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Only say what would be put right.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Change the log's signing key.
#[derive(Clone, Debug, Args)]
pub(crate) struct Rotate {
    /// The PostgreSQL database of the books.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) outside: Outside,
    /// Retire the key with these 32 public bytes in hexadecimal: it signs no more. Without it the next key is introduced.
    #[arg(long)]
    pub(crate) retire: Option<String>,
    /// Only say what would be said.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Begin a new log that follows another.
#[derive(Clone, Debug, Args)]
pub(crate) struct Succeed {
    /// The new PostgreSQL database, which `daftari migrate` has made ready with the new log's origin and key.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    /// The old log, an http(s) address or a folder.
    #[arg(long)]
    pub(crate) old_log: String,
    /// The policy or key of the old log.
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Only say what the first leaf would name.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The operator's database, to hold a log against.
#[derive(Clone, Debug, Args)]
pub(crate) struct TheBooks {
    /// The PostgreSQL database of the books: also check that every posting is in the log, every leaf is a posting or what
    /// the log says of itself, and that the maps say what the accounts have.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, requires = "wrapping_key_file")]
    pub(crate) books: Option<SecretUrl>,
    /// The file with the wrapping key, to open what the books say.
    #[arg(long, env = "WRAPPING_KEY_FILE")]
    pub(crate) wrapping_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) archived: Archived,
}
