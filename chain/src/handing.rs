//! Handing signed bytes to a node, and what its answer means. Any error means *perhaps sent*.

use alloy::primitives::{B256, Bytes};

use crate::error::ChainError;
use crate::rpc::{Chain, SENDER_PATIENCE};

/// What came of handing a transaction to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// The node has it, now or since before.
    Taken,
    /// The node has another of the same nonce that offers too nearly as much.
    Underpriced,
    /// The nonce is used: it is in a block, or a sibling is.
    NonceUsed,
    /// The sender cannot pay for it.
    Unfunded,
}

impl Chain {
    /// Hands signed bytes over.
    pub async fn hand(&self, raw: &[u8]) -> Result<Handed, ChainError> {
        let raw = Bytes::copy_from_slice(raw);
        let sent = self.ask_within::<_, B256>(SENDER_PATIENCE, "eth_sendRawTransaction", (raw,)).await;
        match sent {
            Ok(_) => Ok(Handed::Taken),
            Err(ChainError::Refused(why)) => meaning(&why).ok_or(ChainError::Refused(why)),
            Err(error) => Err(error),
        }
    }
}

/// What a refusal's words mean, in the dialects of geth, erigon, bor, reth, nethermind and anvil.
fn meaning(why: &str) -> Option<Handed> {
    let why = why.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|it| why.contains(it));
    if says(&["already known", "already imported", "known transaction", "alreadyknown"]) {
        Some(Handed::Taken)
    } else if says(&["underpriced", "replacement", "fee too low to compete"]) {
        Some(Handed::Underpriced)
    } else if says(&["nonce too low", "old nonce", "oldnonce"]) {
        Some(Handed::NonceUsed)
    } else if says(&["insufficient funds", "insufficientfunds"]) {
        Some(Handed::Unfunded)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_understood_in_each_dialect() {
        let check = |why, expected| assert_eq!(meaning(why), expected, "{why}");
        check("already known", Some(Handed::Taken));
        check("transaction already imported", Some(Handed::Taken));
        check("AlreadyKnown", Some(Handed::Taken));
        check("replacement transaction underpriced", Some(Handed::Underpriced));
        check("transaction underpriced", Some(Handed::Underpriced));
        check("nonce too low: next nonce 5, tx nonce 4", Some(Handed::NonceUsed));
        check("Insufficient funds for gas * price + value", Some(Handed::Unfunded));
        check("gas tip cap 1, minimum needed 25000000000", None);
    }
}
