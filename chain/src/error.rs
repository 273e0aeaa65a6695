//! What can go wrong at a chain, by what to do about it.

use signing::SigningError;

/// A failure at the boundary of a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It does not answer. Of a transaction: it may have been sent.
    #[error("the chain does not answer: {0}")]
    Unreachable(String),
    /// It answered with an error. Of a transaction: it may be known to the node all the same.
    #[error("the chain refuses: {0}")]
    Refused(String),
    /// The contract would refuse this.
    #[error("the contract refuses: {0}")]
    Reverted(String),
    /// It is not the chain that was meant.
    #[error("the RPC serves chain {found}, not {expected}")]
    OtherChain {
        /// Which it is.
        found: u64,
        /// Which it should be.
        expected: u64,
    },
    /// There is no such contract, or it does not answer as one.
    #[error("{0}")]
    NoContract(String),
    /// There is a contract, and its code is none that this build knows: it may do anything.
    #[error("{0}")]
    UnknownCode(String),
    /// Whoever holds the sender's key does not sign with it. Nothing was sent.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// What was given is not what it should be.
    #[error("{0}")]
    Malformed(String),
}
