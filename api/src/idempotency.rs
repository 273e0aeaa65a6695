//! The key under which a request is one and the same, however often it is sent.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use store::{Answer, Committer, SubmitError};
use uuid::Uuid;

use crate::code::Code;
use crate::error::{Invalid, Problem};

const CONTRACTS: &str = "X-Idempotency-Key";
const STANDARD: &str = "Idempotency-Key";
const KEY_CHARS_MAX: usize = 255;
/// So long a twin of a request that is being worked on waits for it.
const TWIN_WAITS: Duration = Duration::from_secs(5);

fn bad(field: &'static str, message: &str) -> Problem {
    Problem::invalid(vec![Invalid::parameter(field, "INVALID", message)])
}

/// The key in one of the headers, without its quotes.
fn read<'a>(headers: &'a HeaderMap, field: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(field).iter();
    let (value, more) = (values.next(), values.next());
    if more.is_some() {
        return Err(bad(field, "it is given more than once"));
    }
    let Some(value) = value else { return Ok(None) };
    // The draft's form is a quoted string, most clients send it bare.
    let text = value.to_str().unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(text);
    let is_plain = text.bytes().all(|it| (b' '..=b'~').contains(&it));
    match (1..=KEY_CHARS_MAX).contains(&text.len()) && is_plain {
        true => Ok(Some(text)),
        false => Err(bad(field, "it has 1 to 255 characters of ASCII")),
    }
}

/// The UUID that a key is, as the contract's are.
pub(crate) fn uuid(key: &str) -> Option<Uuid> {
    Uuid::try_parse(key).ok().filter(|_| key.len() == 36)
}

/// A UUID is the same however it is written.
fn is_same(one: &str, other: &str) -> bool {
    let uuid = |it| Uuid::try_parse(it).ok();
    one == other || (uuid(one).is_some() && uuid(one) == uuid(other))
}

/// The key, from the contract's header or the draft standard's. Both may be there if they say the same.
pub(crate) fn key(headers: &HeaderMap) -> Result<String, Problem> {
    match (read(headers, CONTRACTS)?, read(headers, STANDARD)?) {
        (Some(one), Some(other)) if !is_same(one, other) => {
            Err(bad(CONTRACTS, "it differs from Idempotency-Key: send one of them"))
        }
        (Some(key), _) | (None, Some(key)) => Ok(key.to_owned()),
        (None, None) => Err(Problem::new(
            Code::IdempotencyKeyMissing,
            "Send a key of your own choice in Idempotency-Key: the same key with the same request is done once.",
        )),
    }
}

/// The requests that this process is working on, by source and key.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<HashSet<(String, String)>>>);

/// Taken out again when the request ends, however it ends.
struct Entered {
    running: Running,
    name: (String, String),
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Running {
    fn enter(&self, name: (String, String)) -> Option<Entered> {
        let is_first = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        is_first.then(|| Entered { running: self.clone(), name })
    }

    /// Whether a request with this key is being worked on here.
    pub(crate) fn is_running(&self, source: &str, key: &str) -> bool {
        let name = (source.to_owned(), key.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&name)
    }

    /// Hands a request in. A twin of one that is being worked on waits for it, but not for long.
    pub(crate) async fn submit(
        &self,
        committer: &Committer,
        request: ledger::Request,
    ) -> Result<Answer, Problem> {
        let entered = self.enter((request.source.clone(), request.key.clone()));
        // The database decides between twins: one that came to another process waits behind the account's lock.
        let submitted = committer.submit(request);
        let answered: Result<Answer, SubmitError> = match entered {
            Some(_entered) => submitted.await,
            None => match tokio::time::timeout(TWIN_WAITS, submitted).await {
                Ok(answered) => answered,
                Err(_) => return Err(Problem::in_progress()),
            },
        };
        Ok(answered?)
    }
}
