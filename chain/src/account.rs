//! A sender and what it signs.

use std::fmt;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, Bytes, TxKind, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;

use crate::error::ChainError;
use crate::fees::Fees;

/// An account that signs. Its key never leaves it, nor shows in `Debug`.
#[derive(Clone)]
pub struct Account {
    signer: PrivateKeySigner,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.signer.address())
    }
}

/// Signed bytes that have not been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// The bytes to send.
    pub raw: Vec<u8>,
    /// The hash under which the chain will know it.
    pub hash: [u8; 32],
    /// Its nonce.
    pub nonce: u64,
}

/// A transaction before it is signed.
pub(crate) struct Unsigned {
    pub(crate) chain_id: u64,
    pub(crate) nonce: u64,
    pub(crate) gas_max: u64,
    pub(crate) fees: Fees,
    pub(crate) to: Option<Address>,
    pub(crate) input: Bytes,
}

impl Account {
    /// The account of this private key: 32 bytes in hexadecimal, with or without 0x.
    pub fn from_key(key: &str) -> Result<Self, ChainError> {
        // What was given may be almost a key: it must not be repeated in the error.
        let signer = key.trim().parse();
        Ok(Self {
            signer: signer
                .map_err(|_| ChainError::Malformed("the chain key is not 32 bytes in hex".into()))?,
        })
    }

    /// Its address.
    pub fn address(&self) -> [u8; 20] {
        self.signer.address().into_array()
    }

    pub(crate) fn sign(&self, unsigned: Unsigned) -> SignedTransaction {
        let nonce = unsigned.nonce;
        let transaction = TxEip1559 {
            chain_id: unsigned.chain_id,
            nonce,
            gas_limit: unsigned.gas_max,
            max_fee_per_gas: unsigned.fees.fee_wei_max,
            max_priority_fee_per_gas: unsigned.fees.tip_wei_max,
            to: unsigned.to.map_or(TxKind::Create, TxKind::Call),
            value: U256::ZERO,
            access_list: Default::default(),
            input: unsigned.input,
        };
        let signature = self.signer.sign_hash_sync(&transaction.signature_hash());
        let signed = transaction.into_signed(signature.expect("a key in memory always signs"));
        let hash = signed.hash().0;
        SignedTransaction { raw: TxEnvelope::from(signed).encoded_2718(), hash, nonce }
    }
}
