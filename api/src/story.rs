//! A transaction with what became of it.

use std::sync::Arc;

use axum::response::Response;
use proof::Balances;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Fed, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::body::json;
use crate::error::Problem;
use crate::history::Change;
use crate::post::Holdings;
use crate::reviews::{asked_as, is_review};
use crate::route::Asked;
use crate::subject::transaction_not_found;
use crate::time::rfc3339;

/// A transaction with what became of it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ToldTransaction {
    /// The posting.
    transaction_id: Uuid,
    /// What it is.
    kind: &'static str,
    /// `SUCCESS`; of a redemption under review `PENDING`, then `SUCCESS`, `DENIED`, or `LAPSED` where nobody decided; of a
    /// hold `HELD`, `CAPTURED`, `VOIDED` or `LAPSED`; `REVERSED` where all of it was undone, else `PARTLY_REVERSED`.
    state: &'static str,
    /// How many points it moved.
    points: i64,
    /// When it was recorded.
    #[schemars(extend("format" = "date-time"))]
    recorded_at: String,
    /// From when it counts.
    #[schemars(extend("format" = "date-time"))]
    effective_at: String,
    /// The caller's side of it; absent for whoever has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
    /// What that came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Holdings>,
    /// The transaction that it undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    reverses: Option<Uuid>,
    /// The hold or the pending earning that it goes on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<Uuid>,
    /// What the merchant calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_reference: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Why it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What went on from it or undid it, in order.
    story: Vec<Chapter>,
    /// Its place in the log.
    leaf_index: u64,
    /// Where its receipt is.
    receipt_url: String,
}

/// What went on from a transaction, or undid it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Chapter {
    /// The posting.
    transaction_id: Uuid,
    /// What it is.
    kind: &'static str,
    /// How many points it moved.
    points: i64,
    /// When it was recorded.
    #[schemars(extend("format" = "date-time"))]
    recorded_at: String,
    /// Its place in the log.
    leaf_index: u64,
}

/// `GET /api/v1/loyalty/transactions/{transaction_id}`
pub(crate) async fn transaction(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let id = Uuid::try_parse(asked.path("transaction_id")).map_err(|_| transaction_not_found())?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let side = asked.side(&api, &mut conn).await?;
    let story = store::story(&mut conn, api.program_id, id).await?;
    let story = story.filter(|it| side.sees(&it.posting)).ok_or_else(transaction_not_found)?;
    let (posting, later) = (&story.posting, &story.later);
    let own = side.entry(posting);
    let chapter = |it: &Fed| Chapter {
        transaction_id: it.posting_id,
        kind: it.kind.name().unwrap_or("unknown"),
        points: moved(it),
        recorded_at: rfc3339(it.recorded_at_us),
        leaf_index: it.leaf_index,
    };
    Ok(json(&ToldTransaction {
        transaction_id: id,
        kind: asked_as(posting).name().unwrap_or("unknown"),
        state: state(posting, later),
        points: moved(posting),
        recorded_at: rfc3339(posting.recorded_at_us),
        effective_at: rfc3339(posting.effective_at_us),
        change: own.map(|it| it.change.into()),
        balance: own.map(|it| Holdings::of(&it.after, it.version)),
        reverses: posting.reverses,
        follows: posting.follows,
        merchant_reference: posting.merchant_reference.clone(),
        description: posting.description.clone(),
        reason: posting.reason.clone(),
        story: later.iter().map(chapter).collect(),
        leaf_index: posting.leaf_index,
        receipt_url: api.receipt_url(id),
    }))
}

/// How many points a posting moved: the most that one of its entries did.
pub(crate) fn moved(posting: &Fed) -> i64 {
    let most = |it: Balances| it.available.abs().max(it.held.abs()).max(it.pending.abs());
    posting.entries.iter().map(|it| most(it.change)).max().unwrap_or(0)
}

fn state(posting: &Fed, later: &[Fed]) -> &'static str {
    let has = |name: &str| later.iter().any(|it| it.kind.name() == Some(name));
    let undone: i64 = later.iter().filter(|it| it.reverses == Some(posting.posting_id)).map(moved).sum();
    match posting.kind.name() {
        _ if 0 < undone && moved(posting) <= undone => "REVERSED",
        _ if 0 < undone => "PARTLY_REVERSED",
        Some("hold") if is_review(posting) => match () {
            () if has("lapse") => "LAPSED",
            () if has("void") => "DENIED",
            () if has("capture") => "SUCCESS",
            () => "PENDING",
        },
        Some("hold") if has("lapse") => "LAPSED",
        Some("hold") if has("void") => "VOIDED",
        Some("hold") if has("capture") => "CAPTURED",
        Some("hold") => "HELD",
        _ => "SUCCESS",
    }
}
