//! What members may ask of an operator, and what an operator says of them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use store::Tier;

use super::{Archived, Database, Span, Who};

/// Erase a member, give them everything that is held about them, or settle their tier.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Members {
    /// Close the member's accounts and destroy what opens or names them; amounts stay under a random account id.
    Erase(EraseMember),
    /// Write everything that is held about the member, as JSON.
    Export(ExportMember),
    /// Settle what tier a member has, or that they have none.
    Tier(SettleTier),
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

/// Settle a member's tier.
#[derive(Clone, Debug, Args)]
pub(crate) struct SettleTier {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) who: Who,
    /// The member's UUID or external id.
    pub(crate) member: String,
    /// What they are to have.
    #[arg(value_enum)]
    pub(crate) tier: TierOrNone,
}

/// A tier, or none.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TierOrNone {
    /// The first.
    Bronze,
    /// The second.
    Silver,
    /// The third.
    Gold,
    /// The last.
    Platinum,
    /// No tier.
    None,
}

impl TierOrNone {
    pub(crate) fn tier(self) -> Option<Tier> {
        match self {
            Self::Bronze => Some(Tier::Bronze),
            Self::Silver => Some(Tier::Silver),
            Self::Gold => Some(Tier::Gold),
            Self::Platinum => Some(Tier::Platinum),
            Self::None => None,
        }
    }
}
