//! What the commands that look into the books are told.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use ledger::{House, MemberRef, Name};

use super::{Archived, SecretUrl};

/// Recompute everything and name the first thing that is wrong.
#[derive(Clone, Debug, Args)]
pub(crate) struct Check {
    /// The PostgreSQL database of the books.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    /// The file with the wrapping key: open every posting too, so that no word can differ from what was logged.
    #[arg(long, env = "WRAPPING_KEY_FILE")]
    pub(crate) wrapping_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) archived: Archived,
}

/// Make balances, lots and reservations anew from the postings alone, and compare digests.
#[derive(Clone, Debug, Args)]
pub(crate) struct Replay {
    /// The PostgreSQL database of the books.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    /// The schema to make them in, which must not be there yet.
    #[arg(long, default_value = "replay")]
    pub(crate) schema: String,
    /// Only what stood in the log when it had so many leaves. Then there is nothing to compare with.
    #[arg(long)]
    pub(crate) size: Option<u64>,
    #[command(flatten)]
    pub(crate) archived: Archived,
}

/// Which program, in which books.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProgramAt {
    /// The PostgreSQL database of the books.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    /// The program.
    #[arg(long, env = "PROGRAM", default_value = "default")]
    pub(crate) program: String,
}

/// What a member has as of now, once what is due is done.
#[derive(Clone, Debug, Args)]
pub(crate) struct Balance {
    #[command(flatten)]
    pub(crate) program: ProgramAt,
    /// The unit; 1 is the program's points.
    #[arg(long, default_value_t = 1)]
    pub(crate) unit: u16,
    /// The member's UUID or external id.
    pub(crate) member: String,
    /// The version that the account must have reached: what is read before that is refused.
    #[arg(long)]
    pub(crate) min_version: Option<u64>,
}

/// The program's postings in the order of the log.
#[derive(Clone, Debug, Args)]
pub(crate) struct Feed {
    #[command(flatten)]
    pub(crate) program: ProgramAt,
    /// Those after this leaf; without it, from the log's first on.
    #[arg(long)]
    pub(crate) after: Option<u64>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) archived: Archived,
}

/// Whose account, in which books.
#[derive(Clone, Debug, Args)]
pub(crate) struct Whose {
    #[command(flatten)]
    pub(crate) program: ProgramAt,
    /// The unit; 1 is the program's points.
    #[arg(long, default_value_t = 1)]
    pub(crate) unit: u16,
    /// The member's UUID or external id, or the house's account: `issuance`, `redemption`, `breakage`, `bridge`,
    /// `settlement:<partner>` or `fund:<name>`, with `--house`.
    pub(crate) account: String,
    /// The account is one of the house's.
    #[arg(long)]
    pub(crate) house: bool,
    #[command(flatten)]
    pub(crate) archived: Archived,
}

/// What an account held before a period, what counted in it, and what it held after it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Statement {
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// The period's first instant, as in 2026-01-01T00:00:00Z.
    #[arg(long)]
    pub(crate) from: Timestamp,
    /// The first instant after it.
    #[arg(long)]
    pub(crate) to: Timestamp,
}

/// An account's entries by version, and what it held at a point of the log.
#[derive(Clone, Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// Forward, what comes after this version.
    #[arg(long, conflicts_with = "before")]
    pub(crate) after: Option<u64>,
    /// Backward, what comes before this version. Without either, backward from the newest.
    #[arg(long)]
    pub(crate) before: Option<u64>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    /// Only what it held when the log had so many leaves.
    #[arg(long, conflicts_with_all = ["after", "before", "at"])]
    pub(crate) size: Option<u64>,
    /// Only what it held at this instant.
    #[arg(long, conflicts_with_all = ["after", "before"])]
    pub(crate) at: Option<Timestamp>,
}

/// The points that members hold, by the month in which they end and who gave them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Liability {
    #[command(flatten)]
    pub(crate) program: ProgramAt,
    /// When the log had so many leaves; now where it is not said.
    #[arg(long, conflicts_with = "at")]
    pub(crate) size: Option<u64>,
    /// At this instant.
    #[arg(long)]
    pub(crate) at: Option<Timestamp>,
}

impl Whose {
    /// The account's name; `None` where the house has no such.
    pub(crate) fn name(&self) -> Option<Name> {
        if !self.house {
            return Some(Name::Member(MemberRef::parse(&self.account)));
        }
        let house = match (self.account.as_str(), self.account.split_once(':')) {
            ("issuance", _) => House::Issuance,
            ("redemption", _) => House::Redemption,
            ("breakage", _) => House::Breakage,
            ("bridge", _) => House::Bridge,
            (_, Some(("settlement", partner))) => House::Settlement(partner.to_owned()),
            (_, Some(("fund", fund))) => House::Fund(fund.to_owned()),
            _ => return None,
        };
        Some(Name::House(house))
    }
}
