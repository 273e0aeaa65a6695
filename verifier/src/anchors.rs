//! Where the log is anchored, and the whole story of each transaction that anchored it, or tried to. It is what our rows
//! explain: the contract's state is the truth.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::Problem;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use proof::AnchorPlace;
use schemars::JsonSchema;
use serde::Serialize;
use store::{AttemptStory, PgConnection, StoreError};

use crate::ProofService;
use crate::check::rfc3339;
use crate::log::public;
use crate::proofs::Numbers;

/// How many stories are told of each place where no number is asked for, and at most.
const STORIES: u32 = 20;
const STORIES_MAX: u32 = 100;

/// Where the log is anchored, as far as our rows know: the contract's state is the truth.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Anchors {
    /// Whether our rows were asked just now; else this is what they said the last time.
    is_current: bool,
    /// The places.
    anchors: Vec<Place>,
}

/// A place where the log is anchored.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnchorPlace")]
struct Place {
    /// The chain.
    chain_id: u64,
    /// The contract's address.
    contract: String,
    /// Who registered the log there.
    registrant: String,
    /// The last anchor.
    latest: Option<Latest>,
    /// The last transactions, or those that carry the size that was asked for, oldest first.
    transactions: Vec<Story>,
}

/// An anchor.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Anchor")]
struct Latest {
    /// The size of the checkpoint.
    size: u64,
    /// The block.
    block: u64,
    /// The transaction's hash.
    transaction: String,
    /// Whether the chain has promised to keep it.
    is_final: bool,
    /// For how many milliseconds it has stood.
    age_ms: Option<u64>,
}

/// A transaction that was signed to anchor a checkpoint, and all that became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnchorTransaction")]
struct Story {
    /// The size of the checkpoint that it carries.
    size: u64,
    /// The size of the head that it extends; the same as `size` where it pins the head.
    extends: u64,
    /// Its hash.
    transaction: String,
    /// Its nonce: of those that share one, one takes effect.
    nonce: u64,
    /// How far it has come: `armed`, `broadcast`, `included`, `final` or `archived`; or `replaced`, `dropped`, `orphaned`,
    /// `reverted`, `spent` or `abandoned`.
    state: &'static str,
    /// The block that holds it.
    block: Option<u64>,
    /// What it offers for a unit of gas in all, in wei.
    fee_wei_max: String,
    /// What it offers to the producer, in wei.
    tip_wei_max: String,
    /// What it cost, in wei.
    paid_wei: Option<String>,
    /// What happened, in order.
    steps: Vec<Step>,
}

/// A step of a story.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnchorStep")]
struct Step {
    /// When.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// What it became.
    state: &'static str,
    /// The block that held it then.
    block: Option<u64>,
    /// Why.
    why: String,
}

pub(crate) async fn anchors(State(service): State<Arc<ProofService>>, uri: Uri) -> Result<Response, Problem> {
    let query = Numbers::read(&uri, ["size", "limit"])?;
    let [size, limit] = query.values();
    let limit = limit.map_or(Ok(STORIES), |it| {
        u32::try_from(it).ok().filter(|it| *it <= STORIES_MAX).ok_or_else(|| {
            Problem::invalid_parameter("limit", format!("at most {STORIES_MAX} are told of each place"))
        })
    })?;
    let is_usual = (size, limit) == (None, STORIES);
    let told = match told(&service, size, limit).await {
        Ok(anchors) => {
            let told = Anchors { is_current: true, anchors };
            if is_usual {
                *lock(&service.told_anchors) = Some(told.clone());
            }
            told
        }
        Err(error) => match lock(&service.told_anchors).clone().filter(|_| is_usual) {
            Some(told) => Anchors { is_current: false, ..told },
            None => return Err(error.into()),
        },
    };
    Ok(public("application/json", "public, max-age=1", axum::Json(told)))
}

async fn told(service: &ProofService, size: Option<u64>, limit: u32) -> Result<Vec<Place>, StoreError> {
    let mut conn = service.pool.acquire().await.map_err(StoreError::from)?;
    let mut anchors = Vec::new();
    for place in &service.policy().anchors {
        anchors.push(place_told(&mut conn, place, size, limit).await?);
    }
    Ok(anchors)
}

async fn place_told(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    size: Option<u64>,
    limit: u32,
) -> Result<Place, StoreError> {
    let latest = store::latest_anchor(conn, place).await?;
    let age_ms = store::latest_anchor_age_ms(conn, place).await?;
    let stories = store::attempt_stories(conn, place, size, limit).await?;
    Ok(Place {
        chain_id: place.chain_id,
        contract: prefixed(&place.contract),
        registrant: prefixed(&place.registrant),
        latest: latest.map(|it| Latest {
            size: it.size,
            block: it.block,
            transaction: prefixed(&it.transaction),
            is_final: it.is_final,
            age_ms,
        }),
        transactions: stories.into_iter().map(Story::from).collect(),
    })
}

impl From<AttemptStory> for Story {
    fn from(it: AttemptStory) -> Self {
        let step = |it: store::StoryStep| Step {
            at: rfc3339(it.at_ms as i64 * 1000).unwrap_or_default(),
            state: it.state.name(),
            block: it.block,
            why: it.why,
        };
        Self {
            size: it.size,
            extends: it.extends,
            transaction: prefixed(&it.transaction),
            nonce: it.nonce,
            state: it.state.name(),
            block: it.block,
            fee_wei_max: it.fee_wei_max.to_string(),
            tip_wei_max: it.tip_wei_max.to_string(),
            paid_wei: it.paid_wei.map(|it| it.to_string()),
            steps: it.steps.into_iter().map(step).collect(),
        }
    }
}

fn prefixed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

// What the lock guards is whole between any two statements, so a panic elsewhere poisons nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
