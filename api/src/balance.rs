//! Balances, as the app and the partners read them.

use std::sync::Arc;

use axum::extract::Query;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ledger::MemberRef;
use schemars::JsonSchema;
use serde::Serialize;
use store::MemberBalance;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::Api;
use crate::body::json;
use crate::error::{Code, Problem};
use crate::gate;
use crate::route::Asked;

/// The unit of a program's points.
pub(crate) const POINTS: u16 = 1;

// Tier and expiry have no value for "none": members without them do not have the fields, and so far nobody has them.
/// What a member has.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AppBalance {
    /// The member.
    user_id: Uuid,
    /// What can be spent; below zero, what is owed.
    current_balance: i64,
    /// What was earned and cannot be spent yet.
    pending_points: i64,
    /// When it last changed.
    #[schemars(extend("format" = "date-time"))]
    last_updated: String,
}

/// What a member has, as the M-PESA contract says it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PartnerBalance {
    /// The member.
    user_id: Uuid,
    /// What can be spent.
    // The contract's balance is never below zero, though a ledger's may be.
    #[schemars(range(min = 0))]
    balance: i64,
    /// What is owed, where it is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    debt_points: Option<i64>,
    /// What was earned and cannot be spent yet, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pending_points: Option<i64>,
    /// When it last changed.
    #[schemars(extend("format" = "date-time"))]
    last_updated: String,
}

/// `GET /api/v1/loyalty/balance`
pub(crate) async fn app_balance(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let headers = asked.headers();
    let member = gate::member(&asked.caller, headers)?
        .ok_or_else(|| Problem::invalid_parameter("X-User-ID", "this header is required"))?;
    let balance = read(&api, &member).await?;
    Ok(unless_known(headers, &balance, "app", || AppBalance {
        user_id: balance.member_id,
        current_balance: balance.available,
        pending_points: balance.pending,
        last_updated: rfc3339(balance.updated_at_us),
    }))
}

/// `GET /loyalty/v1/partner/users/{userId}/balance`
pub(crate) async fn partner_balance(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let headers = asked.headers();
    gate::partner(&asked.caller, headers, true)?;
    let member = user_id(&asked)?;
    let with_pending = include_pending(&asked.parts.uri)?;
    let balance = read(&api, &MemberRef::Id(member)).await?;
    let view = if with_pending { "partner-pending" } else { "partner" };
    Ok(unless_known(headers, &balance, view, || PartnerBalance {
        user_id: balance.member_id,
        balance: balance.available.max(0),
        debt_points: (balance.available < 0).then(|| -balance.available),
        pending_points: with_pending.then_some(balance.pending),
        last_updated: rfc3339(balance.updated_at_us),
    }))
}

/// The member of the contract's paths.
pub(crate) fn user_id(asked: &Asked) -> Result<Uuid, Problem> {
    let text = asked.path("userId");
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 => Ok(id),
        _ => Err(Problem::invalid_parameter("userId", "it is not a UUID")),
    }
}

pub(crate) fn user_not_found() -> Problem {
    Problem::new(Code::UserNotFound, "The user was not found or is inactive.")
}

fn include_pending(uri: &Uri) -> Result<bool, Problem> {
    let bad = |words: &str| Problem::invalid_parameter("include_pending", words);
    let query: Query<Vec<(String, String)>> =
        Query::try_from_uri(uri).map_err(|_| bad("the query cannot be read"))?;
    let mut values =
        query.iter().filter(|(name, _)| name == "include_pending").map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some("true"), None) => Ok(true),
        (Some("false"), None) => Ok(false),
        _ => Err(bad("it is true or false, once")),
    }
}

async fn read(api: &Api, member: &MemberRef) -> Result<MemberBalance, Problem> {
    api.reader.balance(api.program_id, POINTS, member).await?.ok_or_else(user_not_found)
}

/// The answer, or 304 where the caller has it already.
fn unless_known<T: Serialize>(
    headers: &HeaderMap,
    balance: &MemberBalance,
    view: &str,
    body: impl FnOnce() -> T,
) -> Response {
    let etag = format!("\"{}.{}.{view}\"", balance.member_id.simple(), balance.sequence);
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .any(|it| it.trim() == "*" || it.trim().trim_start_matches("W/") == etag);
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { json(&body()) };
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::from_str(&etag).expect("ids and numbers are a header's value"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=0, must-revalidate"));
    headers
        .insert(VARY, HeaderValue::from_static("Authorization, X-API-Key, X-User-ID, X-Partner-ID, Accept"));
    response
}

fn rfc3339(micros: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .ok()
        .and_then(|it| it.format(&Rfc3339).ok())
        .expect("a recorded time is between 1970 and 9999")
}
