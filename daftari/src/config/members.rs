//! What members may ask of an operator.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Archived, Database, Span};

/// Erase a member, or give them everything that is held about them.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Members {
    /// Close the member's accounts and destroy what opens or names them; amounts stay under a random account id.
    Erase(EraseMember),
    /// Write everything that is held about the member, as JSON.
    Export(ExportMember),
}

/// Erase a member, as the tables' owner.
#[derive(Clone, Debug, Args)]
pub(crate) struct EraseMember {
    #[command(flatten)]
    pub(crate) database: Database,
    /// The member's UUID or external id.
    pub(crate) member: String,
    /// Who erases.
    #[arg(long, env = "ACTOR")]
    pub(crate) actor: String,
    /// How long to wait until the member's leaves are sealed, as in 5m.
    #[arg(long, default_value = "5m")]
    pub(crate) patience: Span,
    /// Only say what would be erased.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Write everything that is held about a member.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExportMember {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) archived: Archived,
    /// The member's UUID or external id.
    pub(crate) member: String,
    /// The file to write, which only its owner may read; standard output where none is named.
    pub(crate) file: Option<PathBuf>,
}
