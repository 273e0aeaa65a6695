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
    #[error(
        "only {agreed} of {endpoints} endpoints show the same in the blocks up to {block}: more than half must"
    )]
    Disagreement {
        /// How many say the same.
        agreed: usize,
        /// How many there are.
        endpoints: usize,
        /// Up to which block they were asked.
        block: u64,
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
