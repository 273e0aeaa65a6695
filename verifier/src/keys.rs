//! The log's keys, as its own leaves tell.

use std::sync::Arc;

use api::Problem;
use axum::extract::State;
use axum::response::Response;
use proof::{KeyHistory, KeyTerm, RetiredKey, VerifierKey};
use schemars::JsonSchema;
use serde::Serialize;
use store::StoreError;

use crate::ProofService;
use crate::anchors::lock;
use crate::log::public;

/// Who signs the log.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Keys {
    /// The log's name.
    origin: String,
    /// Its id, in hexadecimal.
    log_id: String,
    /// The keys that sign it now, as C2SP writes verifier keys.
    keys: Vec<String>,
    /// All keys that ever did, the log's first one first.
    history: Vec<KeyTold>,
    /// Whether the log was asked just now; else it is what the service was configured with.
    is_current: bool,
    /// Lines for a verifier's policy. Who takes them from here trusts us once more than needed: compare them with the `key`
    /// leaves that the log holds.
    policy: String,
}

/// A key, and from where to where in the log it signs.
#[derive(Serialize, JsonSchema)]
struct KeyTold {
    /// The key.
    vkey: String,
    /// The leaf that introduces it; absent for the first key.
    #[serde(skip_serializing_if = "Option::is_none")]
    introduced_in_leaf: Option<u64>,
    /// The leaf that retires it. What it signed counts only where it was witnessed before, or is anchored.
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_in_leaf: Option<u64>,
    /// When that was, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<u64>,
}

pub(crate) async fn keys(State(service): State<Arc<ProofService>>) -> Result<Response, Problem> {
    let policy = service.policy();
    let own = || policy.log_keys.iter().filter(|it| it.name() == service.log.origin);
    let first = own().next().ok_or_else(|| Problem::internal("the policy names no key of this log"))?;
    let told = told_of_keys(&service, first.clone()).await.ok();
    let is_current = told.is_some();
    let history: Vec<KeyTold> = match &told {
        Some(history) => history.terms().iter().map(KeyTold::of).collect(),
        None => own().map(|key| KeyTold::configured(key, &policy.retired)).collect(),
    };
    let standing = history.iter().filter(|it| it.retired_in_leaf.is_none());
    let logs = history.iter().map(|it| format!("log {}\n", it.vkey));
    let body = Keys {
        origin: service.log.origin.clone(),
        log_id: hex::encode(service.log.log_id),
        keys: standing.map(|it| it.vkey.clone()).collect(),
        policy: logs.chain(history.iter().filter_map(KeyTold::policy_line)).collect(),
        history,
        is_current,
    };
    Ok(public("application/json", "public, max-age=60", axum::Json(body)))
}

/// What the log was found to say of its keys, in so many leaves, on this timeline of PostgreSQL.
#[derive(Clone)]
pub(crate) struct ToldOfKeys {
    timeline: u32,
    size: u64,
    history: KeyHistory,
}

/// What the log says of its keys. What it has said is known for good, unless the database may be another one: only what it
/// has said since is read.
async fn told_of_keys(service: &ProofService, first: VerifierKey) -> Result<KeyHistory, StoreError> {
    let conn = &mut *service.pool.acquire().await?;
    let (timeline, size) = (store::timeline(conn).await?, store::log_size(conn).await?);
    let is_still_so = |it: &ToldOfKeys| {
        it.timeline == timeline
            && it.size <= size
            && it.history.terms().first().is_some_and(|it| it.key == first)
    };
    let known = lock(&service.told_of_keys).clone().filter(is_still_so);
    let (mut history, known_size) = match known {
        Some(known) => (known.history, known.size),
        None => (KeyHistory::new(first), 0),
    };
    store::read_keys(conn, &service.log, &mut history, known_size..size).await?;
    *lock(&service.told_of_keys) = Some(ToldOfKeys { timeline, size, history: history.clone() });
    Ok(history)
}

impl KeyTold {
    fn of(term: &KeyTerm) -> Self {
        Self {
            vkey: term.key.encode(),
            introduced_in_leaf: term.introduced.map(|it| it.leaf_index),
            retired_in_leaf: term.retired.map(|it| it.leaf_index),
            retired_at: term.retired.map(|it| it.recorded_at_us.div_euclid(1_000_000) as u64),
        }
    }

    fn configured(key: &VerifierKey, retired: &[RetiredKey]) -> Self {
        let retired = retired.iter().find(|it| it.key == *key);
        Self {
            vkey: key.encode(),
            introduced_in_leaf: None,
            retired_in_leaf: retired.map(|it| it.leaf_index),
            retired_at: retired.map(|it| it.retired_at),
        }
    }

    fn policy_line(&self) -> Option<String> {
        Some(format!("retired {} {} {}\n", self.vkey, self.retired_in_leaf?, self.retired_at?))
    }
}
