//! Members for whom another issuer vouches (OpenID Connect). Issuer and audience are settled by the operator, the keys come
//! from one address, and a token chooses nothing.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::Problem;
use crate::tokens::header_of;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Keys are fetched again after this time, and sooner when a token names another, but never more often than that.
const KEYS_FRESH: Duration = Duration::from_secs(600);
const KEYS_PAUSE: Duration = Duration::from_secs(30);
const FETCH_TIME_MAX: Duration = Duration::from_secs(3);
const KEYS_BYTES_MAX: usize = 256 << 10;
/// Clocks of two operators differ.
const SKEW_S: i64 = 60;

/// Another issuer.
#[derive(Clone)]
pub struct Outside(Arc<Inner>);

struct Inner {
    issuer: String,
    audience: String,
    keys_url: String,
    client: reqwest::Client,
    known: RwLock<Vec<Jwk>>,
    /// Held by whoever asks the issuer for its keys.
    fetched: Mutex<Fetched>,
}

#[derive(Default)]
struct Fetched {
    tried: Option<Instant>,
    is_good: bool,
}

/// Whom it vouches for, and how long.
#[derive(Debug, Deserialize)]
pub(crate) struct Vouched {
    #[serde(rename = "sub")]
    pub(crate) subject: String,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
}

impl Vouched {
    /// How much longer it is good.
    pub(crate) fn left(&self, now_s: i64) -> Option<Duration> {
        let has_begun = self.nbf.is_none_or(|it| it <= now_s + SKEW_S);
        let left_s = u64::try_from(self.exp.checked_sub(now_s)?).ok()?;
        (has_begun && 0 < left_s).then(|| Duration::from_secs(left_s.min(24 * 3600)))
    }
}

impl Outside {
    /// The issuer of this name, whose tokens for this audience are taken, by the keys at this address.
    pub fn new(issuer: &str, audience: &str, keys_url: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let (issuer, audience, keys_url) = (issuer.to_owned(), audience.to_owned(), keys_url.to_owned());
        let (known, fetched) = (RwLock::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { issuer, audience, keys_url, client, known, fetched })))
    }

    /// Whether a token says that it is this issuer's. That only says who is to be asked whether it is true.
    pub(crate) fn issued(&self, token: &str) -> bool {
        #[derive(Deserialize)]
        struct Said {
            iss: String,
        }
        let said = jsonwebtoken::dangerous::insecure_decode_claims::<Said>(token);
        said.is_ok_and(|it| it.iss == self.0.issuer)
    }

    /// Whom the token vouches for, if the issuer signed it for us. Its time is for the caller to check.
    pub(crate) async fn read(&self, token: &str) -> Result<Option<Vouched>, Problem> {
        let Ok(header) = header_of(token) else { return Ok(None) };
        let Some(kid) = header.kid.filter(|_| ALGORITHMS.contains(&header.alg) && header.crit.is_none())
        else {
            return Ok(None);
        };
        let Some(key) = self.key(&kid).await? else { return Ok(None) };
        if !is_for(&key, header.alg) {
            return Ok(None);
        }
        let Ok(decoding) = DecodingKey::from_jwk(&key) else { return Ok(None) };
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.0.issuer]);
        validation.set_audience(&[&self.0.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.validate_exp = false;
        let read = jsonwebtoken::decode::<Vouched>(token, &decoding, &validation);
        Ok(read.ok().map(|it| it.claims).filter(|it| (1..=200).contains(&it.subject.len())))
    }

    async fn key(&self, kid: &str) -> Result<Option<Jwk>, Problem> {
        let mut fetched = match self.0.fetched.try_lock() {
            Ok(fetched) => fetched,
            // The issuer may take its time: whom its keys vouch for is let in meanwhile.
            Err(_) => match self.known(kid) {
                Some(found) => return Ok(Some(found)),
                None => self.0.fetched.lock().await,
            },
        };
        let found = self.known(kid);
        let age = fetched.tried.map_or(Duration::MAX, |it| it.elapsed());
        let is_due = age >= if found.is_some() && fetched.is_good { KEYS_FRESH } else { KEYS_PAUSE };
        if !is_due {
            return self.told(&fetched, found);
        }
        fetched.tried = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = keys.keys;
                fetched.is_good = true;
            }
            // What is known goes on: the issuer's outage is not ours.
            Err(error) => {
                tracing::warn!(error, "the keys of the members' issuer could not be fetched");
                fetched.is_good = false;
            }
        }
        let found = self.known(kid);
        self.told(&fetched, found)
    }

    fn known(&self, kid: &str) -> Option<Jwk> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|it| it.common.key_id.as_deref() == Some(kid)).cloned()
    }

    /// A key that is not among those known is a stranger's, unless we could not ask.
    fn told(&self, fetched: &Fetched, found: Option<Jwk>) -> Result<Option<Jwk>, Problem> {
        match found {
            None if !fetched.is_good => Err(Problem::unavailable("The members' issuer does not answer.")),
            found => Ok(found),
        }
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let told = |error: reqwest::Error| error.without_url().to_string();
        let response = self.0.client.get(&self.0.keys_url).send().await.map_err(told)?;
        let mut response = response.error_for_status().map_err(told)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            bytes.extend_from_slice(&chunk);
            if KEYS_BYTES_MAX < bytes.len() {
                return Err("it sends more than a set of keys".to_owned());
            }
        }
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }
}

/// Whether the key says nothing against verifying by this algorithm.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let of = |name: String| name == format!("{algorithm:?}");
    let common = &key.common;
    common.key_algorithm.is_none_or(|it| of(it.to_string()))
        && common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|it| it.contains(&KeyOperations::Verify))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn who_is_vouched_for_does_not_wait_for_an_issuer_that_takes_its_time() {
        let outside = Outside::new("https://issuer.test", "app", "https://issuer.test/keys").unwrap();
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "known", "x": "AAAA"});
        *outside.0.known.write().unwrap() = vec![serde_json::from_value(key).unwrap()];
        let _asking = outside.0.fetched.lock().await;
        let known = outside.key("known").now_or_never().expect("nobody is waited for").unwrap();
        assert!(known.is_some());
        assert!(outside.key("new").now_or_never().is_none(), "only the issuer can say whether it is one");
    }
}
