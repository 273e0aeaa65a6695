//! Partners, as operators bring them in: made, settled, and let into the live books once they have shown what they must.

use std::sync::Arc;

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Acting, AuthMode, PartnerFacts, PartnerStage, Readiness, StoreError};

use crate::Api;
use crate::acts::{Because, deed};
use crate::body::json;
use crate::code::Code;
use crate::error::Problem;
use crate::gate;
use crate::page::paged;
use crate::precondition::{must_match, tag, tagged};
use crate::query::Query;
use crate::route::Asked;
use crate::time::rfc3339;

const PARTNERS: &str = "/api/v1/partners";

/// How a partner shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Showing {
    /// By a token or a key.
    Either,
    /// By a token.
    Token,
    /// By a key.
    Key,
    /// By both at once.
    Both,
}

/// A partner.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct PartnerTold {
    /// Its name, which `X-Partner-ID` says.
    partner_id: String,
    /// `onboarding`, while a live program gives it no keys; `live`.
    #[schemars(extend("enum" = ["onboarding", "live"]))]
    stage: &'static str,
    /// How it shows who it is.
    auth_mode: Showing,
    /// How many requests it has an hour; the program's usual number where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_hour: Option<i64>,
    /// Whether each of its references names one redemption, one hold, one capture and one reversal at most.
    references_once: bool,
    /// When it was made.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
}

/// A page of partners, by name.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PartnerPage {
    /// `list`.
    object: &'static str,
    /// The partners.
    data: Vec<PartnerTold>,
    /// Whether there are more.
    has_more: bool,
    /// The `starting_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The path of the list.
    url: &'static str,
}

/// A partner that is to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPartner {
    /// Its name, for ever.
    #[schemars(length(min = 1, max = 100))]
    partner_id: String,
    /// How it shows who it is; by a token or a key where it is left out.
    auth_mode: Option<Showing>,
    /// How many requests it has an hour.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    requests_per_hour: Option<i64>,
    /// Whether each of its references names one redemption, one hold, one capture and one reversal at most; not where it is left out.
    references_once: Option<bool>,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// What is to be another for a partner. What is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartnerChange {
    /// How it shows who it is.
    auth_mode: Option<Showing>,
    /// How many requests it has an hour.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    requests_per_hour: Option<i64>,
    /// Whether each of its references names one redemption, one hold, one capture and one reversal at most, from now on.
    references_once: Option<bool>,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// Whether a partner is ready to go live.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ReadinessTold {
    /// Whether nothing is missing.
    ready: bool,
    /// What there is to be done, and what of it is.
    steps: Vec<Step>,
}

/// One step towards going live.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Step {
    /// Which: `key`, `webhook`, `redemption`, `reversal`.
    step: &'static str,
    /// Whether it is done.
    done: bool,
    /// What to do for it.
    what: &'static str,
}

impl From<Readiness> for ReadinessTold {
    fn from(it: Readiness) -> Self {
        let step = |step, done, what| Step { step, done, what };
        let steps = vec![
            step("key", it.has_key, "Have a key that is good."),
            step("webhook", it.has_webhook, "Make a webhook and verify it: it answers a challenge."),
            step("redemption", it.has_redeemed, "Redeem some points of a member."),
            step("reversal", it.has_undone, "Reverse a redemption, or a part of one."),
        ];
        Self { ready: steps.iter().all(|it| it.done), steps }
    }
}

fn told(partner: &PartnerFacts) -> PartnerTold {
    PartnerTold {
        partner_id: partner.partner_id.clone(),
        stage: if partner.stage == PartnerStage::Live as i16 { "live" } else { "onboarding" },
        auth_mode: match partner.auth_mode {
            it if it == AuthMode::Token as i16 => Showing::Token,
            it if it == AuthMode::Key as i16 => Showing::Key,
            it if it == AuthMode::Both as i16 => Showing::Both,
            _ => Showing::Either,
        },
        requests_per_hour: partner.requests_per_hour,
        references_once: partner.references_once,
        created_at: rfc3339(partner.created_us),
    }
}

/// A partner as acts show it, for who settles one without asking over HTTP.
pub fn partner_as_shown(partner: &PartnerFacts) -> serde_json::Value {
    serde_json::to_value(told(partner)).expect("what is shown is JSON")
}

fn mode(showing: Showing) -> i16 {
    let mode = match showing {
        Showing::Either => AuthMode::Either,
        Showing::Token => AuthMode::Token,
        Showing::Key => AuthMode::Key,
        Showing::Both => AuthMode::Both,
    };
    mode as i16
}

fn not_found() -> Problem {
    Problem::new(Code::PartnerNotFound, "The program has no such partner.")
}

/// `GET /api/v1/partners`
pub(crate) async fn list(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["limit", "starting_after"])?;
    let limit = query.limit()?;
    let after = query.text("starting_after").unwrap_or_default();
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let mut partners = store::partners(&mut conn, api.program_id, after, limit + 1).await?;
    let has_more = partners.len() > limit as usize;
    partners.truncate(limit as usize);
    let next_cursor = partners.last().filter(|_| has_more).map(|it| it.partner_id.clone());
    let data = partners.iter().map(told).collect();
    let page = PartnerPage { object: "list", data, has_more, next_cursor, url: PARTNERS };
    Ok(paged(&page, &asked.parts.uri, "starting_after", page.next_cursor.as_deref()))
}

/// `GET /api/v1/partners/{partner_id}`
pub(crate) async fn get(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let found = store::partner(&mut conn, api.program_id, asked.path("partner_id")).await?;
    Ok(tagged(&told(&found.ok_or_else(not_found)?)))
}

/// `POST /api/v1/partners`
pub(crate) async fn create(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewPartner = asked.read().await?;
    let mut acting = api.acting().await?;
    let (program_id, id) = (api.program_id, new.partner_id);
    // Of two at once the second is told of the first: before it looks, it waits.
    store::lock_program(acting.conn(), program_id).await?;
    if store::partner(acting.conn(), program_id, &id).await?.is_some() {
        return Err(Problem::new(Code::Conflict, "The program has a partner of this name."));
    }
    store::ensure_partner(acting.conn(), api.gate.keyring(), program_id, &id).await?;
    let mut made = store::partner(acting.conn(), program_id, &id).await?.ok_or_else(not_found)?;
    made.stage = PartnerStage::Onboarding as i16;
    made.auth_mode = new.auth_mode.map_or(made.auth_mode, mode);
    made.requests_per_hour = new.requests_per_hour;
    made.references_once = new.references_once.unwrap_or_default();
    store::set_partner(acting.conn(), program_id, &made).await?;
    let after = told(&made);
    let deed = deed("partner.created", &id, None::<&PartnerTold>, Some(&after));
    api.done(acting, &asked, Some(new.reason), deed).await?;
    let mut response = tagged(&after);
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(address) = HeaderValue::from_str(&format!("{PARTNERS}/{id}")) {
        response.headers_mut().insert(LOCATION, address);
    }
    Ok(response)
}

/// `PATCH /api/v1/partners/{partner_id}`
pub(crate) async fn change(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: PartnerChange = asked.read().await?;
    let (acting, before) = seen(&api, &asked).await?;
    let after = PartnerFacts {
        auth_mode: new.auth_mode.map_or(before.auth_mode, mode),
        requests_per_hour: new.requests_per_hour.or(before.requests_per_hour),
        references_once: new.references_once.unwrap_or(before.references_once),
        ..before.clone()
    };
    settle(&api, &asked, acting, "partner.changed", new.reason, [&before, &after]).await
}

/// `POST /api/v1/partners/{partner_id}/live`
pub(crate) async fn go_live(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let Because { reason } = asked.read().await?;
    let (mut acting, before) = seen(&api, &asked).await?;
    let ready = store::readiness(acting.conn(), api.program_id, &before.partner_id).await?;
    let ready = ReadinessTold::from(ready);
    if !ready.ready {
        let missing: Vec<&str> = ready.steps.iter().filter(|it| !it.done).map(|it| it.what).collect();
        let words = format!("The partner is not ready: {}", missing.join(" "));
        return Err(Problem::new(Code::PartnerNotReady, words));
    }
    let after = PartnerFacts { stage: PartnerStage::Live as i16, ..before.clone() };
    settle(&api, &asked, acting, "partner.live", reason, [&before, &after]).await
}

/// The partner of the path, if it is still what the operator has seen. Nobody else changes it until the act is done.
async fn seen(api: &Api, asked: &Asked) -> Result<(Acting, PartnerFacts), Problem> {
    let mut acting = api.acting().await?;
    let found = store::partner(acting.conn(), api.program_id, asked.path("partner_id")).await?;
    let partner = found.ok_or_else(not_found)?;
    must_match(asked.headers(), &tag(&told(&partner)))?;
    Ok((acting, partner))
}

async fn settle(
    api: &Api,
    asked: &Asked,
    mut acting: Acting,
    action: &str,
    reason: String,
    [before, after]: [&PartnerFacts; 2],
) -> Result<Response, Problem> {
    store::set_partner(acting.conn(), api.program_id, after).await?;
    let (before, told) = (told(before), told(after));
    let deed = deed(action, &after.partner_id, Some(&before), Some(&told));
    api.done(acting, asked, Some(reason), deed).await?;
    Ok(tagged(&told))
}

/// `GET /api/v1/partners/me/readiness`
pub(crate) async fn readiness(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let own = gate::partner(&asked.caller, asked.headers(), false)?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let done = store::readiness(&mut conn, api.program_id, own).await?;
    Ok(json(&ReadinessTold::from(done)))
}
