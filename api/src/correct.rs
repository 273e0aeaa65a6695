//! Putting right what was posted: reversals by whoever it belongs to, adjustments by an operator.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use ledger::Command;
use proof::{Details, PostingKind, Text};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Api;
use crate::access::{APPROVING, Access};
use crate::caller::only;
use crate::code::Code;
use crate::error::Problem;
use crate::gate::{self, Peer, Scope};
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
        approver: approver(&api, &asked).await?,
        effective_at_us: new.effective_at.as_deref().and_then(micros),
    };
    let details = Details { reason: Text::new(new.reason).ok(), ..Details::default() };
    answer(&api, &asked, PostingKind::ADJUST, command, details, new.expected_version).await
}

/// Who approves it, by a token of their own: a name would be the caller's word, and so the caller's approval.
async fn approver(api: &Api, asked: &Asked) -> Result<Option<String>, Problem> {
    let Some(shown) = only(asked.headers(), "approver-authorization")? else { return Ok(None) };
    let scheme = shown.to_str().ok().and_then(|it| it.split_once(' ')).map(|it| it.0);
    if !scheme.is_some_and(|it| it.eq_ignore_ascii_case("bearer")) {
        let words = "it is Bearer and an approver's token";
        return Err(Problem::invalid_parameter("Approver-Authorization", words));
    }
    let shown = HeaderMap::from_iter([(AUTHORIZATION, shown.clone())]);
    let access = Access { scope: Scope::Adjust, roles: APPROVING };
    let admitted = api.gate.admit(&shown, Peer::of(&asked.parts)).await.and_then(|it| {
        access.allow(&it)?;
        let is_ours = it.credential.program_id == asked.caller.credential.program_id;
        is_ours.then_some(it).ok_or_else(gate::unknown)
    });
    // Of the two who are shown, the answer says whom it is about.
    let of_approver = |problem: Problem| match problem.is_refusal() {
        true => Problem::new(Code::Forbidden, format!("Approver-Authorization: {}", problem.told())),
        false => problem,
    };
    let approver = admitted.map_err(of_approver)?;
    Ok(Some(format!("{}:{}", approver.role.as_str(), approver.credential.owner)))
}
