//! Signatures of Standard Webhooks 1.0.0: over `id.timestamp.body`, by a shared secret (`v1`) or by ed25519 (`v1a`).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use store::Secret;

/// How an endpoint's messages are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    /// By a secret that both sides know: `whsec_`.
    Symmetric,
    /// By a key whose public half the receiver knows: `whpk_`.
    Asymmetric,
}

/// What an endpoint's messages are signed with.
pub struct SigningSecret {
    signs: Signs,
    secret: Secret,
}

impl SigningSecret {
    /// The secret, used in this way.
    pub fn new(signs: Signs, secret: Secret) -> Self {
        Self { signs, secret }
    }

    /// What the receiver is given: the secret itself, or the public key.
    pub fn shown(&self) -> String {
        match self.signs {
            Signs::Symmetric => format!("whsec_{}", STANDARD.encode(self.secret.as_slice())),
            Signs::Asymmetric => {
                let key = SigningKey::from_bytes(&self.secret).verifying_key();
                format!("whpk_{}", STANDARD.encode(key.as_bytes()))
            }
        }
    }

    /// One signature, as it stands in `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let content = content(id, timestamp, body);
        match self.signs {
            Signs::Symmetric => {
                let mut mac = hmac(self.secret.as_slice());
                mac.update(&content);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            }
            Signs::Asymmetric => {
                let signature = SigningKey::from_bytes(&self.secret).sign(&content);
                format!("v1a,{}", STANDARD.encode(signature.to_bytes()))
            }
        }
    }
}

fn content(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{timestamp}.").as_bytes(), body].concat()
}

fn hmac(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("a key of any length will do")
}

/// What a receiver checks with.
pub enum Checks {
    /// A shared secret.
    Symmetric(Vec<u8>),
    /// The sender's public key.
    Asymmetric(VerifyingKey),
}

/// Why a message is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The secret is neither `whsec_` nor `whpk_` with what belongs behind it.
    Secret,
    /// The timestamp is not a number of seconds.
    Timestamp,
    /// It is older than the tolerance, so it may be a recording that is played again.
    TooOld,
    /// It is further in the future than the tolerance.
    TooNew,
    /// No signature is ours.
    Signature,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "the secret is not whsec_ or whpk_ with base64 behind it",
            Self::Timestamp => "the timestamp is not a number of seconds",
            Self::TooOld => "the timestamp is too old: it may be a recording that is played again",
            Self::TooNew => "the timestamp is in the future",
            Self::Signature => "no signature is by this secret over this id, timestamp and body",
        })
    }
}

impl Checks {
    /// Reads what the receiver was given.
    pub fn parse(secret: &str) -> Result<Self, Refused> {
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| Refused::Secret);
        if let Some(text) = secret.strip_prefix("whpk_") {
            let key = bytes(text)?.try_into().map_err(|_| Refused::Secret)?;
            return VerifyingKey::from_bytes(&key).map(Self::Asymmetric).map_err(|_| Refused::Secret);
        }
        let secret = bytes(secret.strip_prefix("whsec_").ok_or(Refused::Secret)?)?;
        match (24..=64).contains(&secret.len()) {
            true => Ok(Self::Symmetric(secret)),
            false => Err(Refused::Secret),
        }
    }

    /// Whether the message is the sender's and fresh: one of the signatures must be good, since there are two while a
    /// secret is changed.
    pub fn check(&self, shown: Shown<'_>, now_s: i64, tolerance_s: i64) -> Result<(), Refused> {
        let timestamp: i64 = shown.timestamp.parse().map_err(|_| Refused::Timestamp)?;
        if timestamp < now_s.saturating_sub(tolerance_s) {
            return Err(Refused::TooOld);
        }
        if now_s.saturating_add(tolerance_s) < timestamp {
            return Err(Refused::TooNew);
        }
        let content = content(shown.id, timestamp, shown.body);
        let is_good = |signature: &str| match (self, signature.split_once(',')) {
            (Self::Symmetric(secret), Some(("v1", text))) => STANDARD.decode(text).is_ok_and(|it| {
                let mut mac = hmac(secret);
                mac.update(&content);
                mac.verify_slice(&it).is_ok()
            }),
            (Self::Asymmetric(key), Some(("v1a", text))) => STANDARD
                .decode(text)
                .ok()
                .and_then(|it| Signature::from_slice(&it).ok())
                .is_some_and(|it| key.verify_strict(&content, &it).is_ok()),
            _ => false,
        };
        shown.signatures.split(' ').any(is_good).then_some(()).ok_or(Refused::Signature)
    }
}

/// A message as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signatures: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const VECTOR: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn check(secret: &str, signatures: &str, now_s: i64) -> Result<(), Refused> {
        Checks::parse(secret)?.check(Shown { id: ID, timestamp: AT, signatures, body: BODY }, now_s, 300)
    }

    #[test]
    fn the_specifications_vector_verifies_and_nothing_else_does() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let now = 1_614_265_330;
        assert_eq!(check(secret, VECTOR, now), Ok(()));
        assert_eq!(check(secret, &format!("v1,AAAA v2,x {VECTOR}"), now), Ok(()), "one of several");
        assert_eq!(check(secret, VECTOR, now + 301), Err(Refused::TooOld));
        assert_eq!(check(secret, VECTOR, now - 301), Err(Refused::TooNew));
        assert_eq!(check(secret, &VECTOR.replace("v1,", "v1a,"), now), Err(Refused::Signature));
        assert_eq!(check("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", VECTOR, now), Err(Refused::Signature));
        assert_eq!(check("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", VECTOR, now), Err(Refused::Secret));
        assert_eq!(check("whsec_MfKQ", VECTOR, now), Err(Refused::Secret), "too short to be one");
    }

    #[test]
    fn what_is_signed_either_way_verifies_by_what_the_receiver_was_given() {
        let now = 1_614_265_330;
        for signs in [Signs::Symmetric, Signs::Asymmetric] {
            let [one, two] = [1, 2].map(|it| SigningSecret::new(signs, Secret::new([it; 32])));
            let signature = one.sign(ID, now, BODY);
            assert_eq!(check(&one.shown(), &signature, now), Ok(()));
            assert_eq!(check(&two.shown(), &signature, now), Err(Refused::Signature));
            let both = format!("{} {signature}", two.sign(ID, now, BODY));
            assert_eq!(check(&one.shown(), &both, now), Ok(()), "while the secret is changed");
            assert_ne!(one.sign(ID, now, b"{}"), signature);
        }
    }
}
