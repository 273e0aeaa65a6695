//! The chain's half of a verdict: whether the contract that the policy names has anchored a checkpoint.

use proof::{AnchorPlace, Checkpoint, Hash};

use crate::audit_log::{AuditLog, Sighting};
use crate::error::ChainError;
use crate::rpc::Chain;

/// What the contract knows of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorStatus {
    /// It has this size with this root.
    Anchored {
        /// In which block; none where the node would not show its events.
        block: Option<u64>,
        /// By which transaction.
        transaction: Option<[u8; 32]>,
        /// Whether the chain has promised to keep it.
        is_final: bool,
    },
    /// It has nothing at this size and has not come so far: ask again.
    NotAnchored,
    /// It has nothing at this size and stands beyond it, so it never will: a newer receipt is needed.
    PassedOver,
    /// It has this size with another root.
    Disagrees {
        /// The root that it has.
        root: Hash,
    },
}

/// Asks the contract of the policy's place, never of a receipt's, about a checkpoint whose receipt was verified. The
/// block of a hint only says where to look first. Where the contract can look the leaf up itself, it is asked to.
pub async fn check_anchor(
    chain: &Chain,
    at: AnchorPlace,
    log_id: &Hash,
    checkpoint: &Checkpoint,
    leaf: &[u8],
    path: &[Hash],
    hint_block: Option<u64>,
) -> Result<AnchorStatus, ChainError> {
    let contract = AuditLog::new(chain.clone(), at, log_id)?;
    contract.chain().check_id().await?;
    let Checkpoint { size, root, .. } = *checkpoint;
    let stored = contract.stored_root(size).await?;
    if let Some(stored) = stored {
        if stored != root || !contract.includes(size, leaf, path).await? {
            return Ok(AnchorStatus::Disagrees { root: stored });
        }
    } else {
        let head = contract.head().await?;
        if head.writer == [0; 20] {
            // Not a log that is late, but none: asking again would wait for ever.
            let problem = "the contract has no log of this id by the policy's registrant";
            return Err(ChainError::NoContract(problem.to_owned()));
        }
        if head.size < size {
            return Ok(AnchorStatus::NotAnchored);
        }
    }
    let sighting = match contract.sighting(size, hint_block).await {
        // The contract's storage has answered already: that the node keeps no events takes nothing from it.
        Err(_) if stored.is_some() => None,
        sighting => sighting?,
    };
    match sighting {
        Some(sighting) if sighting.root != root => Ok(AnchorStatus::Disagrees { root: sighting.root }),
        Some(Sighting { block, transaction, .. }) => {
            let is_final = chain.finalized_block().await?.is_some_and(|finalized| block <= finalized);
            Ok(AnchorStatus::Anchored { block: Some(block), transaction: Some(transaction), is_final })
        }
        None if stored.is_some() => {
            Ok(AnchorStatus::Anchored { block: None, transaction: None, is_final: false })
        }
        // The head stands at this size or beyond it.
        None => Ok(AnchorStatus::PassedOver),
    }
}
