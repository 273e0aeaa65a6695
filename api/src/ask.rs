//! Questions about requests: would it be allowed, and what became of it.

use std::sync::Arc;

use axum::response::Response;
use ledger::Command;
use proof::{Details, PostingKind};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Answer, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::body::json;
use crate::code::Code;
use crate::error::Problem;
use crate::idempotency;
use crate::post::{Done, Transaction, Wish, is_pending};
use crate::query::Query;
use crate::refusal;
use crate::reviews::asked_as;
use crate::route::Asked;
use crate::spend::points;

/// Whether a redemption would be allowed now.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Eligibility {
    /// Whether it would be.
    eligible: bool,
    /// How many points would be spent.
    points: i64,
    /// What could be spent afterwards, or what can be now where it would not be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
    /// Why it would not be; of one that would wait as `PENDING`, `FRAUD_REVIEW`.
    reasons: Vec<Reason>,
}

/// Why something is refused.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Reason {
    /// The stable code.
    pub(crate) error: &'static str,
    /// What is wrong, and what can be done.
    pub(crate) message: String,
}

impl Reason {
    pub(crate) fn of(refused: &ledger::Refusal) -> Self {
        Self { error: refusal::code(refused).as_str(), message: refusal::words(refused) }
    }
}

/// `GET /api/v1/loyalty/eligibility`: the books decide it as they would decide the redemption, and post nothing.
pub(crate) async fn eligibility(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["points", "user_id", "partner_id", "up_to"])?;
    let wanted = query.number::<u64>("points")?;
    let wanted = wanted.filter(|it| *it > 0 && *it <= ledger::MEMBER_LIMIT as u64);
    let wanted = wanted.ok_or_else(|| {
        Problem::invalid_parameter(
            "points",
            format!("it is a whole number from 1 to {}", ledger::MEMBER_LIMIT),
        )
    })?;
    let wanted = i64::try_from(wanted).expect("a limit of members is an amount");
    let command = Command::Redeem {
        member: asked.member(query.text("user_id"))?,
        points: points(wanted)?,
        partner: asked.partner(query.text("partner_id").map(str::to_owned))?,
        up_to: query.flag("up_to")?,
    };
    let wish = Wish { command, details: Details::default(), expected_version: None };
    let request = api.request(&asked, Uuid::now_v7().to_string(), wish)?;
    let request = ledger::Request { dry_run: true, ..request };
    let Answer { outcome, .. } = api.committer.submit(request).await?;
    let told = match outcome {
        Ok(items) => {
            let item =
                items.into_iter().next().ok_or_else(|| Problem::internal("a trial came to nothing"))?;
            // It would be accepted, and wait.
            let waits = is_pending(PostingKind::REDEEM, &item);
            Eligibility {
                eligible: true,
                points: item.points,
                available: Some(item.after.available),
                reasons: waits.then(|| Reason::of(&ledger::Refusal::ScreenReview)).into_iter().collect(),
            }
        }
        Err(refused) => Eligibility {
            eligible: false,
            points: wanted,
            available: match refused.refusal {
                ledger::Refusal::InsufficientBalance { available, .. } => Some(available.max(0)),
                _ => None,
            },
            reasons: vec![Reason::of(&refused.refusal)],
        },
    };
    Ok(json(&told))
}

/// What became of a request.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Became {
    /// The key.
    idempotency_key: String,
    /// `SUCCESS`, `REFUSED`, or `IN_PROGRESS` while it is being worked on here.
    status: &'static str,
    /// What was posted, item by item.
    transactions: Vec<Transaction>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Reason>,
}

/// `GET /api/v1/responses/{idempotency_key}`: what happened to my request?
pub(crate) async fn response(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let mut key = asked.path("idempotency_key").to_owned();
    let source = Api::source(&asked);
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let mut is_running = api.running.is_running(&source, &key);
    let mut known = api.committer.remembered(&mut conn, api.program_id, &source, &key).await?;
    // The contract's key is a UUID, which is remembered in one way however it was written.
    if known.is_none()
        && !is_running
        && let Some(uuid) = idempotency::uuid(&key)
    {
        key = uuid.to_string();
        is_running = api.running.is_running(&source, &key);
        known = api.committer.remembered(&mut conn, api.program_id, &source, &key).await?;
    }
    let told = |status, transactions, refusal| {
        json(&Became { idempotency_key: key.clone(), status, transactions, refusal })
    };
    match known {
        Some((_, Ok(items))) => {
            let mut all = Vec::with_capacity(items.len());
            for accepted in items {
                let story = store::story(&mut conn, api.program_id, accepted.posting_id).await?;
                let kind = story.map_or(PostingKind::NONE, |it| asked_as(&it.posting));
                all.push((kind, Done { accepted, replayed: true }));
            }
            // Who holds one connection while they wait for another waits for others who do the same.
            drop(conn);
            let mut transactions = Vec::with_capacity(all.len());
            for (kind, done) in all {
                transactions.push(api.tell(kind, &done).await?);
            }
            Ok(told("SUCCESS", transactions, None))
        }
        Some((_, Err(refused))) => Ok(told("REFUSED", vec![], Some(Reason::of(&refused.refusal)))),
        None if is_running => Ok(told("IN_PROGRESS", vec![], None)),
        None => Err(Problem::new(
            Code::NotFound,
            "Nothing is known of this key: the request never came, or was not one that is remembered. Send it again.",
        )),
    }
}
