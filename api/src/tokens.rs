//! Access tokens of ours: RFC 9068, signed by Ed25519. What one says is believed only as far as the credential for which it
//! was issued still goes.

use std::sync::Arc;

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use store::TokenKey;
use uuid::Uuid;

/// How long an access token is good.
pub(crate) const ACCESS_S: u32 = 3600;
/// A longer one is none of ours.
const TOKEN_BYTES_MAX: usize = 4096;
/// What RFC 9068 has in the header, so that an id token, say, is never taken for an access token.
const TYPE: &str = "at+jwt";
/// How RFC 8410 wraps a bare seed.
const PKCS8_ED25519: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) jti: Uuid,
    /// The credential for which it was issued.
    pub(crate) credential: i64,
    /// The member's session to which it belongs; without one it is the client's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<Uuid>,
}

struct Key {
    name: String,
    signs: bool,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Jwk,
}

/// The keys of one program's tokens.
#[derive(Clone)]
pub(crate) struct Keys(Arc<[Key]>);

impl Keys {
    /// These keys, the newest first.
    pub(crate) fn new(keys: &[TokenKey]) -> Result<Self, jsonwebtoken::errors::Error> {
        let open = |it: &TokenKey| {
            let encoding = EncodingKey::from_ed_der(&[&PKCS8_ED25519[..], &it.seed[..]].concat());
            let mut public = Jwk::from_encoding_key(&encoding, Algorithm::EdDSA)?;
            let name = it.id.to_string();
            public.common.key_id = Some(name.clone());
            public.common.public_key_use = Some(PublicKeyUse::Signature);
            let decoding = DecodingKey::from_jwk(&public)?;
            Ok(Key { name, signs: it.signs, encoding, decoding, public })
        };
        keys.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// The public halves, for whoever verifies by themselves.
    pub(crate) fn public(&self) -> JwkSet {
        JwkSet { keys: self.0.iter().map(|it| it.public.clone()).collect() }
    }

    /// The token that says this.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let key =
            self.0.iter().find(|it| it.signs).ok_or(jsonwebtoken::errors::ErrorKind::InvalidEddsaKey)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.name.clone());
        jsonwebtoken::encode(&header, claims, &key.encoding)
    }

    /// What a token says, if one of these keys signed it for this issuer. Its time is for the caller to check.
    pub(crate) fn read(&self, token: &str, issuer: &str) -> Result<Claims, Unread> {
        let header = header_of(token)?;
        // The algorithm is settled here, not by the token.
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(Unread::NotOurs);
        }
        let key = self.0.iter().find(|it| Some(&it.name) == header.kid.as_ref()).ok_or(Unread::KeyUnknown)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[issuer]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        // By the database's clock, as everything else.
        validation.validate_exp = false;
        let read = jsonwebtoken::decode(token, &key.decoding, &validation);
        read.map(|it| it.claims).map_err(|_| Unread::NotOurs)
    }
}

/// Why a token says nothing to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It was not signed by us for us.
    NotOurs,
    /// Its key is not among those that we have read.
    KeyUnknown,
}

/// The header of what may be a token.
pub(crate) fn header_of(token: &str) -> Result<Header, Unread> {
    if TOKEN_BYTES_MAX < token.len() {
        return Err(Unread::NotOurs);
    }
    jsonwebtoken::decode_header(token).map_err(|_| Unread::NotOurs)
}

/// Whether it is written as a signed token is.
pub(crate) fn is_signed(token: &str) -> bool {
    token.starts_with("ey") && token.bytes().filter(|it| *it == b'.').count() == 2
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    use serde_json::{Value, json};

    use super::*;

    const US: &str = "https://loyalty.test";

    fn keys(numbers: &[u128]) -> Keys {
        let key = |it: &u128| TokenKey {
            id: Uuid::from_u128(*it),
            seed: store::Secret::new([*it as u8; 32]),
            signs: true,
        };
        Keys::new(&numbers.iter().map(key).collect::<Vec<_>>()).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            iss: US.into(),
            aud: US.into(),
            sub: "duka".into(),
            client_id: "duka".into(),
            scope: "loyalty:read".into(),
            iat: 1000,
            exp: 4600,
            jti: Uuid::from_u128(9),
            credential: 7,
            sid: None,
        }
    }

    /// A token with another header or other claims, its signature made anew with this key where one is given.
    fn forged(header: Value, claims: &Value, key: Option<(&EncodingKey, Algorithm)>) -> String {
        let text = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature =
            key.map(|(key, algorithm)| jsonwebtoken::crypto::sign(text.as_bytes(), key, algorithm).unwrap());
        format!("{text}.{}", signature.unwrap_or_default())
    }

    #[test]
    fn what_was_signed_is_read_by_any_key_that_is_known() {
        let old = keys(&[1]);
        let token = old.sign(&claims()).unwrap();
        assert!(is_signed(&token));
        assert_eq!(old.read(&token, US), Ok(claims()));
        assert_eq!(keys(&[2, 1]).read(&token, US), Ok(claims()), "the new key overlaps the old");
        assert_eq!(keys(&[2]).read(&token, US), Err(Unread::KeyUnknown));
        assert_eq!(old.read(&token, "https://other.test"), Err(Unread::NotOurs));
        for at in 0..token.len() {
            let mut flipped = token.clone().into_bytes();
            flipped[at] ^= 1;
            let flipped = String::from_utf8_lossy(&flipped);
            assert!(old.read(&flipped, US).is_err(), "byte {at}");
        }
    }

    #[test]
    fn no_token_chooses_how_it_is_checked() {
        let keys = keys(&[1]);
        let kid = Uuid::from_u128(1).to_string();
        let said = serde_json::to_value(claims()).unwrap();
        let ours = &keys.0[0];
        let check = |token: String| assert_eq!(keys.read(&token, US), Err(Unread::NotOurs), "{token}");

        let good = forged(
            json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}),
            &said,
            Some((&ours.encoding, Algorithm::EdDSA)),
        );
        assert_eq!(
            keys.read(&good, US),
            Ok(claims()),
            "the forger can sign, so what follows is refused for its header"
        );
        for alg in ["none", "None", "NONE", ""] {
            check(forged(json!({"alg": alg, "typ": "at+jwt", "kid": kid}), &said, None));
        }
        // The public key, as everybody can read it, used as the secret of an HMAC.
        let public = serde_json::to_value(&ours.public).unwrap();
        let secret = EncodingKey::from_secret(&B64.decode(public["x"].as_str().unwrap()).unwrap());
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": kid});
        check(forged(header, &said, Some((&secret, Algorithm::HS256))));
        // A key of the forger's own, brought along.
        let own = EncodingKey::from_ed_der(&[&PKCS8_ED25519[..], &[66; 32]].concat());
        let jwk = Jwk::from_encoding_key(&own, Algorithm::EdDSA).unwrap();
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "jwk": jwk});
        check(forged(header, &said, Some((&own, Algorithm::EdDSA))));
        // Signed by us, as something else, or with a condition that we do not know.
        for header in [
            json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}),
            json!({"alg": "EdDSA", "kid": kid}),
            json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "crit": ["b64"], "b64": false}),
        ] {
            check(forged(header, &said, Some((&ours.encoding, Algorithm::EdDSA))));
        }
        for (claim, value) in [
            ("aud", json!("https://other.test")),
            ("iss", json!("https://other.test")),
            ("aud", Value::Null),
            ("exp", Value::Null),
            ("credential", json!("7")),
        ] {
            let mut said = said.clone();
            said[claim] = value;
            let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
            check(forged(header, &said, Some((&ours.encoding, Algorithm::EdDSA))));
        }
        check("x".repeat(5000));
    }
}
