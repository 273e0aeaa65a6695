//! What contracts hold of a log.

use chain::{AuditLog, Chain, ChainError};
use proof::{Checkpoint, Hash, Policy};

use crate::finding::Finding;
use crate::proofs::{Extension, extension};
use crate::source::{Source, SourceError};

/// A checkpoint that a contract holds, or has held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// The chain.
    pub chain_id: u64,
    /// The anchored size.
    pub size: u64,
    /// The anchored root.
    pub root: Hash,
}

impl Anchored {
    /// The heads of the policy's contracts on this chain. Read them before the log: what is anchored was published.
    pub async fn heads(chain: &Chain, policy: &Policy, log_id: &Hash) -> Result<Vec<Self>, ChainError> {
        let mut heads = Vec::new();
        for contract in contracts(chain, policy, log_id)? {
            let head = contract.head().await?;
            if head.writer == [0; 20] {
                let problem = "the contract has no log of this id by the policy's registrant";
                return Err(ChainError::NoContract(problem.to_owned()));
            }
            heads.push(Self { chain_id: chain.id(), size: head.size, root: head.root });
        }
        heads.retain(|it| it.size != 0);
        Ok(heads)
    }

    /// Every anchor that the chain's events show, oldest first, with the head last.
    pub async fn all(chain: &Chain, policy: &Policy, log_id: &Hash) -> Result<Vec<Self>, ChainError> {
        let mut all = Vec::new();
        for contract in contracts(chain, policy, log_id)? {
            let history = contract.history().await?;
            all.extend(history.into_iter().map(|(size, it)| Self {
                chain_id: chain.id(),
                size,
                root: it.root,
            }));
        }
        all.extend(Self::heads(chain, policy, log_id).await?);
        all.dedup();
        Ok(all)
    }

    /// Holds what the log shows now against it.
    pub(crate) async fn compare(
        &self,
        source: &Source,
        shown: &Checkpoint,
    ) -> Result<Option<Finding>, SourceError> {
        let Self { chain_id, size, root } = *self;
        if shown.size < size {
            return Ok(Some(Finding::AnchorAhead { chain_id, anchored: size, shown: shown.size }));
        }
        let anchored = Checkpoint { origin: shown.origin.clone(), size, root };
        let extends = extension(source, &anchored, shown).await? == Extension::Extends;
        Ok((!extends).then_some(Finding::AnchorDisagrees { chain_id, size }))
    }
}

fn contracts(chain: &Chain, policy: &Policy, log_id: &Hash) -> Result<Vec<AuditLog>, ChainError> {
    let places = policy.anchors.iter().filter(|it| it.chain_id == chain.id());
    let contracts =
        places.map(|it| AuditLog::new(chain.clone(), *it, log_id)).collect::<Result<Vec<_>, _>>()?;
    match contracts.is_empty() {
        true => Err(ChainError::NoContract(format!("the policy names no contract on chain {}", chain.id()))),
        false => Ok(contracts),
    }
}
