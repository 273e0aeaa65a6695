//! One message to one endpoint, signed.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::Value;
use store::{Endpoint, Keyring, StoreError};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use uuid::Uuid;

use super::course::Said;
use super::guard::{Blocked, Guard};
use super::message::{Challenge, Letter, VERIFICATION};
use super::signature::{SigningSecret, Signs};

/// Between the 15 and the 30 seconds that the specification names.
const TIME_MAX: Duration = Duration::from_secs(20);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// What is read of an answer: a challenge, said again.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// A connection that has rested for longer is not used again: the address is looked at anew.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Sends messages to where the guard lets them.
pub struct Post {
    client: Client,
    guard: Guard,
    keyring: Keyring,
}

impl Post {
    /// A post that signs with what this keyring opens.
    pub fn new(keyring: Keyring, guard: Guard) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("Daftari/", env!("CARGO_PKG_VERSION")))
            .timeout(TIME_MAX)
            .connect_timeout(CONNECT_TIME_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            // Neither an answer nor a proxy sends a message to where the guard has not looked.
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(std::sync::Arc::new(guard.clone()))
            .build()?;
        Ok(Self { client, guard, keyring })
    }

    /// What keeps the secrets.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Looks at what a partner gave as an address.
    pub fn check_url(&self, url: &str) -> Result<(), Blocked> {
        self.guard.check_url(url).map(|_| ())
    }

    /// The secrets that sign an endpoint's messages now, the newest first.
    pub fn secrets(&self, endpoint: &Endpoint) -> Result<Vec<SigningSecret>, StoreError> {
        let signs = if endpoint.is_asymmetric() { Signs::Asymmetric } else { Signs::Symmetric };
        let open = |it: &Vec<u8>| Ok(SigningSecret::new(signs, self.keyring.open(endpoint.endpoint_id, it)?));
        endpoint.secrets.iter().map(open).collect()
    }

    /// Sends a message and says what was answered.
    pub(crate) async fn send(&self, endpoint: &Endpoint, id: Uuid, body: String) -> Result<Said, StoreError> {
        let sent = self.request(endpoint, id, body).await?;
        Ok(match sent {
            Ok(mut answer) => {
                let said = Said::Status(answer.status().as_u16(), retry_after(&answer));
                // Read to its end, the connection serves the next message, too.
                let _ = read(&mut answer).await;
                said
            }
            Err(problem) => Said::Nothing(problem),
        })
    }

    /// Asks an endpoint whether it wants to be told: it says the challenge again. Answers why it has not.
    pub async fn challenge(&self, endpoint: &Endpoint) -> Result<Result<(), String>, StoreError> {
        let challenge = Challenge { challenge: Uuid::new_v4() };
        let body = Letter::new(VERIFICATION, now_us(), &challenge).body();
        let mut answer = match self.request(endpoint, Uuid::now_v7(), body).await? {
            Ok(answer) => answer,
            Err(problem) => return Ok(Err(problem)),
        };
        if !answer.status().is_success() {
            return Ok(Err(format!("it answered {}", answer.status().as_u16())));
        }
        let said: Option<Value> = read(&mut answer).await.and_then(|it| serde_json::from_slice(&it).ok());
        match said.is_some_and(|it| it["challenge"] == challenge.challenge.to_string()) {
            true => Ok(Ok(())),
            false => {
                Ok(Err("it did not answer {\"challenge\": …} with the challenge that it was sent".to_owned()))
            }
        }
    }

    async fn request(
        &self,
        endpoint: &Endpoint,
        id: Uuid,
        body: String,
    ) -> Result<Result<Response, String>, StoreError> {
        let url = match self.guard.check_url(&endpoint.url) {
            Ok(url) => url,
            Err(blocked) => return Ok(Err(blocked.to_string())),
        };
        let id = message_id(id);
        // The time of this attempt: a receiver refuses what is old.
        let timestamp = now_us() / 1_000_000;
        let signatures: Vec<String> =
            self.secrets(endpoint)?.iter().map(|it| it.sign(&id, timestamp, body.as_bytes())).collect();
        let sent = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "))
            .body(body)
            .send()
            .await;
        Ok(sent.map_err(|error| problem(&error)))
    }
}

/// A message's id as receivers see it.
pub fn message_id(id: Uuid) -> String {
    format!("msg_{}", id.simple())
}

async fn read(answer: &mut Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if ANSWER_BYTES_MAX < bytes.len() {
            return None;
        }
    }
    Some(bytes)
}

/// What went wrong, in words for the endpoint's owner: no address of ours, and the last cause, which says most.
fn problem(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!("it could not be asked: {cause}")
}

/// `Retry-After`: seconds, or a date.
fn retry_after(answer: &Response) -> Option<Duration> {
    let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    u64::try_from(date.unix_timestamp() - now_us() / 1_000_000).ok().map(Duration::from_secs)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a message carries the time of its attempt, by this machine's clock"
)]
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |it| it.as_micros() as i64)
}
