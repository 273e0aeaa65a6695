//! Balances, as the app and the partners read them.

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ledger::{MemberRef, Name, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{AsOf, MemberBalance, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::body::json;
use crate::code::Code;
use crate::error::Problem;
use crate::gate;
use crate::query::Query;
use crate::route::Asked;
use crate::time::{http_date, last_second, micros, rfc3339};

/// The unit of a program's points.
pub(crate) const POINTS: u16 = 1;

/// A member's tier. There is none for "none": members without one do not have the field.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Tier {
    Bronze,
    Silver,
    Gold,
    Platinum,
}

impl From<store::Tier> for Tier {
    fn from(tier: store::Tier) -> Self {
        match tier {
            store::Tier::Bronze => Self::Bronze,
            store::Tier::Silver => Self::Silver,
            store::Tier::Gold => Self::Gold,
            store::Tier::Platinum => Self::Platinum,
        }
    }
}

impl From<Tier> for store::Tier {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Bronze => Self::Bronze,
            Tier::Silver => Self::Silver,
            Tier::Gold => Self::Gold,
            Tier::Platinum => Self::Platinum,
        }
    }
}

/// What a member has.
#[derive(Serialize, JsonSchema)]
#[schemars(extend("examples" = [{
    "user_id": "550e8400-e29b-41d4-a716-446655440000", "current_balance": 15750, "pending_points": 250, "held_points": 0,
    "last_updated": "2025-07-17T14:30:00Z", "expires_on": "2025-12-31T23:59:59Z", "tier": "GOLD", "status": "active",
    "version": 42
}]))]
pub(crate) struct AppBalance {
    /// The member.
    user_id: Uuid,
    /// What can be spent; below zero, what is owed.
    current_balance: i64,
    /// What was earned and cannot be spent yet.
    pending_points: i64,
    /// What is set aside.
    held_points: i64,
    /// What is owed, where it is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    debt_points: Option<i64>,
    /// When it last changed.
    #[schemars(extend("format" = "date-time"))]
    last_updated: String,
    /// The last second of the points that end first; absent where none end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    expires_on: Option<String>,
    /// The member's tier, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    /// When it changes by itself, if nothing is done before; absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    next_change_at: Option<String>,
    /// `active`; `suspended`, who earns and spends nothing; `closed`.
    #[schemars(extend("enum" = ["active", "suspended", "closed"]))]
    status: &'static str,
    /// The account's version: it grows by one with each change.
    version: u64,
    /// As of when this is, where another time than now was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
}

/// What a member has, as the M-PESA contract says it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BalanceResponse")]
#[schemars(extend("examples" = [{
    "user_id": "550e8400-e29b-41d4-a716-446655440000", "balance": 15750, "pending_points": 250,
    "last_updated": "2025-07-17T14:30:00Z", "expires_on": "2025-12-31T23:59:59Z", "tier": "GOLD"
}]))]
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
    /// The last second of the points that end first; absent where none end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    expires_on: Option<String>,
    /// The member's tier, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
}

/// `GET /api/v1/loyalty/balance`
pub(crate) async fn app_balance(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["min_version", "as_of"])?;
    let (min_version, as_of) = (query.number::<u64>("min_version")?, query.text("as_of"));
    let headers = asked.headers();
    let member = gate::member(&asked.caller, headers)?
        .ok_or_else(|| Problem::invalid_parameter("X-User-ID", "this header is required"))?;
    if let Some(text) = as_of {
        return then(&api, &member, text).await;
    }
    let balance = read(&api, &member).await?;
    // What a caller was told is committed before they are told it: a version that is not here is not anywhere.
    if min_version.is_some_and(|it| (balance.sequence as u64) < it) {
        let words = format!("The account's version is {}: ask for at most that.", balance.sequence);
        return Err(Problem::new(Code::VersionConflict, words));
    }
    Ok(unless_known(headers, &balance, "app", || AppBalance {
        user_id: balance.member_id,
        current_balance: balance.available,
        pending_points: balance.pending,
        held_points: balance.held,
        debt_points: debt(balance.available),
        last_updated: rfc3339(balance.updated_at_us),
        expires_on: expires_on(&balance),
        tier: balance.tier.map(Tier::from),
        next_change_at: balance.next_change_us.map(rfc3339),
        status: balance.status.name(),
        version: balance.sequence as u64,
        as_of: None,
    }))
}

/// What stood in the books of the member at an instant, or when the log had so many leaves: what had fallen due and was not posted
/// yet is as it was. It never changes any more, but for status and tier, which are of now.
async fn then(api: &Api, member: &MemberRef, as_of: &str) -> Result<Response, Problem> {
    let size = as_of.parse::<u64>().ok().filter(|it| it.to_string() == as_of).map(AsOf::Size);
    let point = size.or_else(|| micros(as_of).map(AsOf::Instant)).ok_or_else(|| {
        Problem::invalid_parameter(
            "as_of",
            "it is neither an instant, as in 2026-01-31T10:00:00Z, nor a log's size",
        )
    })?;
    // Before a connection is taken: the reader takes one by itself.
    let now = read(api, member).await?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    if let AsOf::Size(size) = point
        && store::log_size(&mut conn).await? < size
    {
        return Err(Problem::invalid_parameter("as_of", "the log is not that long"));
    }
    let name = Name::Member(MemberRef::Id(now.member_id));
    let account = store::account_number(&mut conn, api.program_id, POINTS, &name).await?;
    let account = account.ok_or_else(user_not_found)?;
    let standing = store::balance_as_of(&mut conn, account, point).await?;
    let changed = match standing.version {
        0 => None,
        version => {
            store::history(&mut conn, account, Some(version - 1), store::Order::Forward, 1).await?.pop()
        }
    };
    Ok(json(&AppBalance {
        user_id: now.member_id,
        current_balance: standing.balances.available,
        pending_points: standing.balances.pending,
        held_points: standing.balances.held,
        debt_points: debt(standing.balances.available),
        last_updated: rfc3339(changed.map_or(now.updated_at_us, |it| it.recorded_at_us)),
        expires_on: None,
        tier: now.tier.map(Tier::from),
        next_change_at: None,
        status: now.status.name(),
        version: standing.version,
        as_of: Some(as_of.to_owned()),
    }))
}

/// `GET /loyalty/v1/partner/users/{userId}/balance`
pub(crate) async fn partner_balance(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let headers = asked.headers();
    gate::partner(&asked.caller, headers, true)?;
    let member = user_id(&asked)?;
    let with_pending = Query::lenient(&asked.parts.uri, "include_pending")?.flag("include_pending")?;
    let balance = read(&api, &MemberRef::Id(member)).await?;
    // The contract does not tell a member who is suspended or closed from one who is not there.
    if balance.status != Status::Active {
        return Err(user_not_found());
    }
    let view = if with_pending { "partner-pending" } else { "partner" };
    Ok(unless_known(headers, &balance, view, || PartnerBalance {
        user_id: balance.member_id,
        balance: balance.available.max(0),
        debt_points: debt(balance.available),
        pending_points: with_pending.then_some(balance.pending),
        last_updated: rfc3339(balance.updated_at_us),
        expires_on: expires_on(&balance),
        tier: balance.tier.map(Tier::from),
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

fn debt(available: i64) -> Option<i64> {
    (available < 0).then(|| -available)
}

fn expires_on(balance: &MemberBalance) -> Option<String> {
    balance.first_end_us.map(last_second)
}

async fn read(api: &Api, member: &MemberRef) -> Result<MemberBalance, Problem> {
    api.reader.balance(api.program_id, POINTS, member).await?.ok_or_else(user_not_found)
}

/// What is another one after every change of the member.
pub(crate) fn version_tag(balance: &MemberBalance) -> String {
    let (status, tier) = (balance.status as u8, balance.tier.map_or(0, |it| it as u8));
    format!("{}.{}.{status}.{tier}", balance.member_id.simple(), balance.sequence)
}

/// The answer, or 304 where the caller has it already. What changes with time alone has another tag then. A caller who
/// goes by `If-Modified-Since` alone gets the whole answer: a second is too coarse for a balance.
fn unless_known<T: Serialize>(
    headers: &HeaderMap,
    balance: &MemberBalance,
    view: &str,
    body: impl FnOnce() -> T,
) -> Response {
    let next = balance.next_change_us.unwrap_or_default();
    let etag = format!("\"{}.{next:x}.{view}\"", version_tag(balance));
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .any(|it| it.trim() == "*" || it.trim().trim_start_matches("W/") == etag);
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { json(&body()) };
    let headers = response.headers_mut();
    let own = |text: &str| HeaderValue::from_str(text).expect("ids, numbers and dates are a header's value");
    headers.insert(ETAG, own(&etag));
    headers.insert(LAST_MODIFIED, own(&http_date(balance.updated_at_us)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=0, must-revalidate"));
    headers
        .insert(VARY, HeaderValue::from_static("Authorization, X-API-Key, X-User-ID, X-Partner-ID, Accept"));
    response
}
