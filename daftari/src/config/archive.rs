//! What the commands are told that move old postings into files and back, or read them there.

use std::path::PathBuf;

use clap::Args;

use super::{Database, Who};

/// Move the rows of old postings into a file, as the tables' owner.
#[derive(Clone, Debug, Args)]
pub(crate) struct Archive {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) who: Who,
    /// Those before this leaf, from the newest archive on.
    #[arg(long, required_unless_present = "older_than_days", conflicts_with = "older_than_days")]
    pub(crate) before: Option<u64>,
    /// Those that were recorded more days ago.
    #[arg(long)]
    pub(crate) older_than_days: Option<u32>,
    /// The folder for the file, which only its owner may read.
    #[arg(long, env = "ARCHIVE_DIR")]
    pub(crate) to: PathBuf,
    /// Only say which leaves it would be.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Bring archived postings back, the newest first, as the tables' owner.
#[derive(Clone, Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) who: Who,
    /// The folder with the files.
    #[arg(env = "ARCHIVE_DIR")]
    pub(crate) from: PathBuf,
    /// The archive of this leaf and all after it; without it, all.
    #[arg(long, default_value_t = 0)]
    pub(crate) leaf: u64,
    /// Only list the archives that would come back.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Where archived postings are read, for as long as a command runs.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Archived {
    /// The folder with the archives of postings: they are read with the books, and stay where they are.
    #[arg(long = "archive", env = "ARCHIVE_DIR", value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}
