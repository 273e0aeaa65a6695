//! A sender and what it signs.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::k256::ecdsa;
use alloy::signers::local::PrivateKeySigner;
use signing::{SigningCommand, SigningError};

use crate::error::ChainError;
use crate::fees::Fees;

/// An account that signs. Its key never leaves it, nor shows in `Debug`.
#[derive(Clone)]
pub struct Account {
    address: Address,
    hand: Hand,
}

/// Who holds the pen.
#[derive(Clone)]
enum Hand {
    Memory(Box<PrivateKeySigner>),
    Command(SigningCommand),
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.address)
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
        Ok(Self::in_memory(
            signer.map_err(|_| ChainError::Malformed("the chain key is not 32 bytes in hex".into()))?,
        ))
    }

    /// The account of an encrypted keystore, the JSON file that wallets write.
    pub fn from_keystore(path: &Path, password: &str) -> Result<Self, ChainError> {
        let signer = PrivateKeySigner::decrypt_keystore(path, password);
        let refused = |error| ChainError::Malformed(format!("the keystore {}: {error}", path.display()));
        Ok(Self::in_memory(signer.map_err(refused)?))
    }

    /// The account of this address, behind a program that is given each hash to sign, 32 bytes. It is asked at once for a
    /// signature over the hash of a sentence: a key that is another one's is found before it is used.
    pub async fn behind(command: SigningCommand, address: &[u8; 20]) -> Result<Self, ChainError> {
        let account = Self { address: address.into(), hand: Hand::Command(command) };
        let sentence = format!("daftari: is this the key of {}?\n", account.address);
        account.sign_hash(keccak256(sentence)).await?;
        Ok(account)
    }

    fn in_memory(signer: PrivateKeySigner) -> Self {
        Self { address: signer.address(), hand: Hand::Memory(Box::new(signer)) }
    }

    /// Its address.
    pub fn address(&self) -> [u8; 20] {
        self.address.into_array()
    }

    pub(crate) async fn sign(&self, unsigned: Unsigned) -> Result<SignedTransaction, ChainError> {
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
        let signature = self.sign_hash(transaction.signature_hash()).await?;
        let signed = transaction.into_signed(signature);
        let hash = signed.hash().0;
        Ok(SignedTransaction { raw: TxEnvelope::from(signed).encoded_2718(), hash, nonce })
    }

    async fn sign_hash(&self, hash: B256) -> Result<Signature, SigningError> {
        match &self.hand {
            Hand::Memory(signer) => Ok(signer.sign_hash_sync(&hash).expect("a key in memory always signs")),
            Hand::Command(command) => {
                let bytes = command.sign(hash.as_slice()).await?;
                let found = read_signature(&bytes)
                    .ok_or_else(|| command.no_signature("it is neither 64 or 65 bytes nor DER"))?;
                // Whoever signs need not know how Ethereum tells the two points apart: the address says which.
                [false, true]
                    .into_iter()
                    .map(|is_odd| Signature::from_signature_and_parity(found, is_odd))
                    .find(|it| it.recover_address_from_prehash(&hash).is_ok_and(|it| it == self.address))
                    .ok_or_else(|| command.wrong_key(&self.address.to_string()))
            }
        }
    }
}

/// A signature as r and s, with or without v, or as DER, which is what an HSM or a KMS writes. Chains take only the lower
/// of the two values of s.
fn read_signature(bytes: &[u8]) -> Option<ecdsa::Signature> {
    let signature = match bytes.len() {
        64 | 65 => ecdsa::Signature::from_slice(&bytes[..64]),
        _ => ecdsa::Signature::from_der(bytes),
    };
    signature.ok().map(|it| it.normalize_s().unwrap_or(it))
}
