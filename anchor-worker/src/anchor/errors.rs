//! What can go wrong with anchoring, by what to do about it. Sealing goes on whatever it is.

use chain::ChainError;
use store::StoreError;
use tiles::TileError;

use crate::failpoint::{Act, Moment};

/// A failure of anchoring, by what to do about it. Sealing goes on whatever it is.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The world is bad: back off, then try again.
    #[error("anchoring waits: {0}")]
    Retry(#[from] AnchorObstacle),
    /// We no longer know our own state, or the contract refuses us: stop this chain's sender, and raise the alarm.
    #[error("anchoring halts: {0}")]
    Halt(#[from] AnchorDoubt),
}

/// What keeps us from anchoring for now.
#[derive(Debug, thiserror::Error)]
pub enum AnchorObstacle {
    /// PostgreSQL does not answer.
    #[error(transparent)]
    Store(StoreError),
    /// The object store does not answer.
    #[error(transparent)]
    Tiles(TileError),
    /// The chain does not answer, or refuses. A transaction may have been sent.
    #[error(transparent)]
    Chain(ChainError),
    /// The chain shows less than it made final before.
    #[error(
        "the chain shows a head of {shown} leaves after it made {finalized} final: the endpoint is behind, or serves \
         another chain. Point --chain-rpc-url at a node that is in step; a development chain that was reset is taken \
         up by the next start of `daftari up`"
    )]
    Stale {
        /// What it shows.
        shown: u64,
        /// What was final.
        finalized: u64,
    },
    /// A test ended the worker here.
    #[error("a failpoint: {0:?}, {1:?}")]
    Failpoint(Act, Moment),
}

/// What makes us stop a chain's sender.
#[derive(Debug, thiserror::Error)]
pub enum AnchorDoubt {
    /// The contract holds a checkpoint that this log has not signed.
    #[error(
        "the contract's head of {size} leaves is not a checkpoint of this log: two histories, or lost commits"
    )]
    HeadDisagrees {
        /// The head's size.
        size: u64,
    },
    /// A transaction was reverted, or would be.
    #[error("the contract refuses the checkpoint of {size} leaves: {why}")]
    Reverted {
        /// The checkpoint's size.
        size: u64,
        /// In the contract's words.
        why: String,
    },
    /// It was stopped before, and nobody has let it go on.
    #[error("it was stopped, and `daftari anchors resume` has not been called since: {0}")]
    Standing(String),
    /// The chain, the contract or their configuration is not what it should be.
    #[error(transparent)]
    Chain(ChainError),
    /// Tiles are missing or damaged.
    #[error(transparent)]
    Tiles(TileError),
    /// The books are damaged.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for AnchorError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(_) => Self::Retry(AnchorObstacle::Store(error)),
            _ => Self::Halt(AnchorDoubt::Store(error)),
        }
    }
}

impl From<TileError> for AnchorError {
    fn from(error: TileError) -> Self {
        if error.is_passing() {
            Self::Retry(AnchorObstacle::Tiles(error))
        } else {
            Self::Halt(AnchorDoubt::Tiles(error))
        }
    }
}

impl From<ChainError> for AnchorError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Unreachable(_)
            | ChainError::Refused(_)
            | ChainError::Reverted(_)
            | ChainError::Signing(_) => Self::Retry(AnchorObstacle::Chain(error)),
            _ => Self::Halt(AnchorDoubt::Chain(error)),
        }
    }
}
