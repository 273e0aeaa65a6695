//! What goes to a regulator, or into a dispute.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::{Archived, Database, Tiles};

/// Write what an account went through in a period, with the proofs, into one archive that `daftari verify` checks offline.
#[derive(Clone, Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) tiles: Tiles,
    #[command(flatten)]
    pub(crate) archived: Archived,
    /// The log's policy: its keys, and where it is anchored.
    #[arg(long, env = "POLICY_FILE")]
    pub(crate) policy_file: PathBuf,
    /// The member's UUID or external id.
    #[arg(long)]
    pub(crate) member: String,
    /// The unit; 1 is the program's points.
    #[arg(long, default_value_t = 1)]
    pub(crate) unit: u16,
    /// The period's first instant, by the time of recording, as in 2026-01-01T00:00:00Z.
    #[arg(long)]
    pub(crate) from: Timestamp,
    /// The first instant after it.
    #[arg(long)]
    pub(crate) to: Timestamp,
    /// The archive to write, which only its owner may read; its name ends in .tar.
    pub(crate) file: PathBuf,
}
