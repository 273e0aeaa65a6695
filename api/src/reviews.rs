//! Redemptions under review: which wait, and what an approver says of one. Approving spends what is set aside, denying gives
//! it back; where nobody says anything, it comes back by itself when the hold's time is over.

use std::sync::Arc;

use axum::response::Response;
use ledger::{Command, HELD_FOR_REVIEW};
use proof::{Details, PostingKind, Text};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Fed, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::acts::Because;
use crate::error::Problem;
use crate::page::paged;
use crate::query::Query;
use crate::route::Asked;
use crate::spend::answer;
use crate::story::moved;
use crate::subject::transaction_not_found;
use crate::time::rfc3339;

/// A redemption that waits.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Review {
    /// The redemption.
    transaction_id: Uuid,
    /// Whose points they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    partner_id: Option<String>,
    /// How many points.
    points: i64,
    /// What the merchant calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_reference: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// When it was asked for.
    #[schemars(extend("format" = "date-time"))]
    recorded_at: String,
    /// When its points come back by themselves.
    #[schemars(extend("format" = "date-time"))]
    expires_at: String,
    /// Its place in the log.
    leaf_index: u64,
}

/// A page of redemptions that wait, the oldest first.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ReviewPage {
    /// `list`.
    object: &'static str,
    /// The redemptions.
    data: Vec<Review>,
    /// Whether there are more.
    has_more: bool,
    /// The `starting_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The path of the list.
    url: &'static str,
}

/// Whether a hold stands for a redemption under review.
pub(crate) fn is_review(posting: &Fed) -> bool {
    posting.kind == PostingKind::HOLD && posting.reason.as_deref() == Some(HELD_FOR_REVIEW)
}

/// What was asked for, where another thing was posted in its place.
pub(crate) fn asked_as(posting: &Fed) -> PostingKind {
    if is_review(posting) { PostingKind::REDEEM } else { posting.kind }
}

/// `GET /api/v1/reviews`
pub(crate) async fn list(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["limit", "starting_after"])?;
    let limit = query.limit()?;
    let after = query.number::<u64>("starting_after")?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let first = after.map_or(0, |it| it.saturating_add(1));
    let mut held = store::holds_for_review(&mut conn, api.program_id, first, limit + 1).await?;
    let has_more = held.len() > limit as usize;
    held.truncate(limit as usize);
    let next_cursor = held.last().filter(|_| has_more).map(|it| it.0.leaf_index.to_string());
    let data = held.into_iter().map(|(posting, due_us)| review(posting, due_us)).collect();
    let page = ReviewPage { object: "list", data, has_more, next_cursor, url: "/api/v1/reviews" };
    Ok(paged(&page, &asked.parts.uri, "starting_after", page.next_cursor.as_deref()))
}

fn review(posting: Fed, due_us: i64) -> Review {
    Review {
        transaction_id: posting.posting_id,
        user_id: posting.entries.iter().find_map(|it| it.member_id),
        points: moved(&posting),
        partner_id: posting.partner_id,
        merchant_reference: posting.merchant_reference,
        description: posting.description,
        recorded_at: rfc3339(posting.recorded_at_us),
        expires_at: rfc3339(due_us),
        leaf_index: posting.leaf_index,
    }
}

/// `POST /api/v1/reviews/{transaction_id}/approve`: what was set aside is spent, at the rate of when it was asked for.
pub(crate) async fn approve(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let (hold, details) = looked_at(&api, &mut asked).await?;
    let command = Command::Capture { hold, points: None, keep_rest: false };
    answer(&api, &asked, PostingKind::CAPTURE, command, details, None).await
}

/// `POST /api/v1/reviews/{transaction_id}/deny`: what was set aside comes back.
pub(crate) async fn deny(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let (hold, details) = looked_at(&api, &mut asked).await?;
    let details = Details { rate: None, ..details };
    answer(&api, &asked, PostingKind::VOID, Command::Void { hold }, details, None).await
}

/// The redemption of the path, with the words of what goes on from it.
async fn looked_at(api: &Api, asked: &mut Asked) -> Result<(Uuid, Details), Problem> {
    let new: Because = asked.read().await?;
    let id = Uuid::try_parse(asked.path("transaction_id")).map_err(|_| transaction_not_found())?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let story = store::story(&mut conn, api.program_id, id).await?;
    let posting = story.map(|it| it.posting).filter(is_review).ok_or_else(transaction_not_found)?;
    let text = |it: Option<String>| it.and_then(|it| Text::new(it).ok());
    let details = Details {
        merchant_reference: text(posting.merchant_reference),
        description: text(posting.description),
        reason: text(Some(new.reason)),
        rate: text(posting.rate),
        ..Details::default()
    };
    Ok((id, details))
}
