//! Secrets at rest: ours wrapped, others' hashed, by a key that lives outside the database and its backups.

use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::StoreError;

const VERSION: u8 = 1;

/// 32 secret bytes from which salts are derived.
pub type Secret = Zeroizing<[u8; 32]>;

/// The wrapping key.
pub struct Keyring {
    cipher: Aes256Gcm,
    key_id: [u8; 4],
    pepper: Pepper,
}

/// Hashes the secrets of others for keeping: without the wrapping key a stolen table is no use, not even for guessing.
#[derive(Clone)]
pub struct Pepper(Arc<Secret>);

impl Pepper {
    /// The keyed hash of a secret. What it is for is bound in, so that one kind of secret is never taken for another.
    pub(crate) fn hash(&self, purpose: &str, secret: &[u8]) -> [u8; 32] {
        mac(&self.0, &[purpose.as_bytes(), &[0], secret])
    }
}

fn mac(key: &[u8; 32], pieces: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

impl Keyring {
    /// The keyring of one 32-byte wrapping key.
    pub fn new(key: &[u8; 32]) -> Self {
        let hash: [u8; 32] =
            Sha256::new().chain_update(b"daftari/v1/wrapping-key").chain_update(key).finalize().into();
        let pepper = Pepper(Arc::new(Secret::new(mac(key, &[b"daftari/v1/credentials"]))));
        Self { cipher: Aes256Gcm::new(key.into()), key_id: [hash[0], hash[1], hash[2], hash[3]], pepper }
    }

    /// What hashes the secrets of others.
    pub fn pepper(&self) -> Pepper {
        self.pepper.clone()
    }

    /// A name for something that may hold a secret: another for another, and nothing of it can be found from the name.
    pub fn fingerprint(&self, purpose: &str, secret: &str) -> String {
        hex::encode(&self.pepper.hash(purpose, secret.as_bytes())[..8])
    }

    /// Makes a new secret for this owner and wraps it: version, key id, nonce, ciphertext. The owner's id is bound in,
    /// so that a wrapped secret cannot be passed off as another's.
    pub fn generate(&self, owner: Uuid) -> Vec<u8> {
        let mut secret = Secret::default();
        fill(secret.as_mut());
        let mut nonce = [0; 12];
        fill(&mut nonce);
        let payload = Payload { msg: secret.as_ref(), aad: owner.as_bytes() };
        let sealed =
            self.cipher.encrypt(&Nonce::from(nonce), payload).expect("a secret of 32 bytes can be sealed");
        [&[VERSION][..], &self.key_id, &nonce, &sealed].concat()
    }

    /// Opens a wrapped secret.
    pub fn open(&self, owner: Uuid, wrapped: &[u8]) -> Result<Secret, StoreError> {
        let rest = wrapped.strip_prefix(&[VERSION]).and_then(|rest| rest.strip_prefix(&self.key_id));
        let (nonce, sealed) =
            rest.and_then(|rest| rest.split_first_chunk::<12>()).ok_or(StoreError::WrongWrappingKey)?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        let opened =
            self.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| StoreError::WrongWrappingKey)?;
        let opened = Zeroizing::new(opened);
        Ok(Secret::new(opened.as_slice().try_into().map_err(|_| StoreError::WrongWrappingKey)?))
    }
}

pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_for_its_owner_only() {
        let (ring, owner) = (Keyring::new(&[1; 32]), Uuid::from_u128(7));
        let wrapped = ring.generate(owner);
        assert_eq!(wrapped.len(), 65);
        assert_ne!(wrapped, ring.generate(owner), "each secret and each nonce is new");
        assert!(ring.open(owner, &wrapped).is_ok());
        assert!(matches!(ring.open(Uuid::from_u128(8), &wrapped), Err(StoreError::WrongWrappingKey)));
        assert!(matches!(Keyring::new(&[2; 32]).open(owner, &wrapped), Err(StoreError::WrongWrappingKey)));
        for at in 0..wrapped.len() {
            let mut flipped = wrapped.clone();
            flipped[at] ^= 1;
            assert!(ring.open(owner, &flipped).is_err(), "byte {at}");
        }
    }
}
