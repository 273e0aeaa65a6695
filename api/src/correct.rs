//! Putting right what was posted: reversals by whoever it belongs to, adjustments by an operator.

use std::sync::Arc;

use axum::response::Response;
use ledger::Command;
use proof::{Details, PostingKind, Text};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Api;
use crate::error::Problem;
use crate::route::Asked;
use crate::spend::{answer, own, points, words};
use crate::time::micros;

/// What of a transaction is to be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReversal {
    /// How many points; what is left of it where it is left out.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    points: Option<i64>,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
    /// What the merchant calls it.
    #[schemars(length(max = 100))]
    merchant_reference: Option<String>,
}

/// A correction.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAdjustment {
    /// The member, by UUID or external id.
    #[schemars(length(min = 1, max = 200))]
    user_id: String,
    /// How many points are added, or below zero taken.
    #[schemars(range(min = -9_007_199_254_740_991_i64, max = 9_007_199_254_740_991_i64))]
    change: i64,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
    /// Who approved it besides the caller, where the program's policy asks for somebody.
    #[schemars(length(min = 1, max = 200))]
    approver: Option<String>,
    /// From when it counts; from now where it is left out.
    #[schemars(extend("format" = "date-time"))]
    effective_at: Option<String>,
    /// The version that the account must have.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    expected_version: Option<u64>,
}

/// `POST /api/v1/loyalty/transactions/{transaction_id}/reversals`
pub(crate) async fn reverse(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewReversal = asked.read().await?;
    let posting = own(&api, &asked, "transaction_id").await?;
    let command = Command::Reverse { posting, points: new.points.map(points).transpose()? };
    let details = Details { reason: Text::new(new.reason).ok(), ..words(new.merchant_reference, None) };
    answer(&api, &asked, PostingKind::REVERSE, command, details, None).await
}

/// `POST /api/v1/loyalty/adjustments`
pub(crate) async fn adjust(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewAdjustment = asked.read().await?;
    let command = Command::Adjust {
        member: asked.member(Some(&new.user_id))?,
        change: new.change,
        approver: new.approver,
        effective_at_us: new.effective_at.as_deref().and_then(micros),
    };
    let details = Details { reason: Text::new(new.reason).ok(), ..Details::default() };
    answer(&api, &asked, PostingKind::ADJUST, command, details, new.expected_version).await
}
