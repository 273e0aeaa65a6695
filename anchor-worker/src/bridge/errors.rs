//! Why a round of the bridge came to nothing.

use chain::ChainError;
use store::{StoreError, SubmitError};
use tiles::TileError;

/// A round that did not come to its end. What it had done stands.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The world is bad: try again.
    #[error(transparent)]
    Retry(#[from] BridgeObstacle),
    /// We no longer know what is true: stand still.
    #[error(transparent)]
    Halt(#[from] BridgeDoubt),
}

/// What is in the way.
#[derive(Debug, thiserror::Error)]
pub enum BridgeObstacle {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The books do not answer.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The log's tiles.
    #[error(transparent)]
    Tiles(#[from] TileError),
    /// Too few endpoints say the same of what is final.
    #[error("only {agreed} of {endpoints} endpoints show the same {what}: more than half must")]
    Disagreement {
        /// How many say the same.
        agreed: usize,
        /// How many there are.
        endpoints: usize,
        /// What they were asked for.
        what: String,
    },
    /// The block that the bridge read last is another one, or none, where it is looked at now.
    #[error("block {block} is not the one that the bridge has read")]
    OtherBlock {
        /// Which.
        block: u64,
    },
    /// The gateway's local days end after the program's: points would live on there that have expired in the books.
    #[error(
        "the gateway's local time, {zone_s} seconds ahead of UTC, is behind the program's: points would outlive their lot there"
    )]
    LocalTime {
        /// By how many seconds it is ahead of UTC.
        zone_s: i32,
    },
    /// A gateway that is not read from the beginning may have paid withdrawals that would be taken back as unpaid.
    #[error(
        "block {first_block}, from which the gateway is to be read, is later than the last final one, {last}"
    )]
    FirstBlock {
        /// From which block it is to be read.
        first_block: u64,
        /// The last one that most endpoints call final.
        last: u64,
    },
    /// It settles the heads of another log. One that the books know may have followed their log to its successor since.
    #[error("the gateway settles another log than that of these books")]
    OtherLog,
    /// Points of before the first block that is to be read, which these books have not sent there.
    #[error(
        "holders had {unexpired} points before block {first_block}, from which the gateway is to be read: begin with an earlier block, and where these are other books' points, with another gateway; see docs/runbook.md"
    )]
    UsedBefore {
        /// From which block it is to be read.
        first_block: u64,
        /// What holders could spend before it.
        unexpired: u64,
    },
}

/// What is in doubt.
#[derive(Debug, thiserror::Error)]
pub enum BridgeDoubt {
    /// A block that was final is another now. What was credited from it may be gone.
    #[error(
        "block {block} was final and is another one now: what its chain's operators say decides; see docs/runbook.md"
    )]
    FinalityBroken {
        /// Which.
        block: u64,
    },
    /// The gateway has paid what the books did not withdraw. Whoever holds those points can burn them for credit.
    #[error(
        "withdrawal 0x{withdrawal_id} {problem} (transaction 0x{transaction}): nothing is read on before somebody knows why; see docs/runbook.md"
    )]
    StrangeClaim {
        /// Which withdrawal the gateway says it was.
        withdrawal_id: String,
        /// What is wrong with it.
        problem: String,
        /// The transaction that claimed it.
        transaction: String,
    },
}

macro_rules! obstacles {
    ($($error:ty),*) => {$(
        impl From<$error> for BridgeError {
            fn from(error: $error) -> Self {
                Self::Retry(error.into())
            }
        }
    )*};
}

obstacles!(StoreError, SubmitError, ChainError, TileError);
