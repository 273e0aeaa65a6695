//! SHA-256 with a domain tag before every meaning, so that no two meanings share a preimage.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// A UUID's sixteen bytes.
pub type Id = [u8; 16];

pub(crate) const T_LOG: Hash = tag("daftari/v1/log-id");
pub(crate) const T_COMMITMENT: Hash = tag("daftari/v1/commitment");
pub(crate) const T_HEADER: Hash = tag("daftari/v1/header");
pub(crate) const T_DETAILS: Hash = tag("daftari/v1/details");
pub(crate) const T_BODY: Hash = tag("daftari/v1/body");
pub(crate) const T_ENTRY: Hash = tag("daftari/v1/entry");
pub(crate) const T_EVENT: Hash = tag("daftari/v1/event");
pub(crate) const T_LOTS: Hash = tag("daftari/v1/lots");
pub(crate) const T_MAP_KEY: Hash = tag("daftari/v1/map-key");
pub(crate) const T_MAP_VALUE: Hash = tag("daftari/v1/map-value");
pub(crate) const T_MAP_SALT: Hash = tag("daftari/v1/map-salt");
pub(crate) const T_SALT: Hash = tag("daftari/v1/salt");

const fn tag(name: &str) -> Hash {
    let mut tag = [0; 32];
    let (head, _) = tag.split_at_mut(name.len());
    head.copy_from_slice(name.as_bytes());
    tag
}

pub(crate) fn hash(pieces: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize().into()
}

/// The log's name on every chain: a hash of its origin and its first Ed25519 signing key.
///
/// # Panics
/// If the origin is longer than a `u16` counts.
pub fn log_id(origin: &str, first_key: &[u8; 32]) -> Hash {
    let length = u16::try_from(origin.len()).expect("an origin is shorter than 64 KiB");
    hash(&[&T_LOG, &length.to_be_bytes(), origin.as_bytes(), &[0x01], first_key])
}

/// What a salt is for. A salt serves one part of one posting and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaltPart {
    /// The header, under the program's secret.
    Header = 1,
    /// The details, under the program's secret.
    Details = 2,
    /// The body, under the program's secret.
    Body = 3,
    /// The event hash inside the header, under the program's secret.
    Event = 4,
    /// An account's entry, under that account's secret.
    Entry = 5,
}

/// Derives the salt of one part of one posting.
pub fn salt(secret: &[u8; 32], posting_id: &Id, part: SaltPart) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(&T_SALT);
    mac.update(posting_id);
    mac.update(&[part as u8]);
    mac.finalize().into_bytes().into()
}

/// The salted hash of an event's bytes that a header carries.
pub fn event_hash(salt: &Hash, payload: &[u8]) -> Hash {
    hash(&[&T_EVENT, salt, &hash(&[payload])])
}

/// The hash by which a witness names a log to its monitors.
pub fn origin_hash(origin: &str) -> Hash {
    hash(&[origin.as_bytes()])
}

/// The hash by which a posting names the rule set that decided it.
pub fn rule_set_hash(rule_set: &[u8]) -> Hash {
    hash(&[rule_set])
}
