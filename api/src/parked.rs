//! Events that wait for members: listed, released with their member's enrolment, or dropped.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use ledger::MemberRef;
use schemars::JsonSchema;
use serde::Serialize;
use store::{ParkedEvent, StoreError};

use crate::Api;
use crate::acts::{Because, deed};
use crate::body::json;
use crate::code::Code;
use crate::enrol::{deed_of, enrol_within, name_taken};
use crate::error::Problem;
use crate::events;
use crate::page::paged;
use crate::query::Query;
use crate::route::Asked;
use crate::time::rfc3339;

const PARKED: &str = "/api/v1/parked-events";

/// An event that waits until whom it names is a member.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ParkedTold {
    /// Its number.
    id: i64,
    /// Whom it names, by UUID or external id.
    user_id: String,
    /// Where it came from: `http`, or the Kafka topic, partition and offset.
    origin: String,
    /// Since when it waits.
    #[schemars(extend("format" = "date-time"))]
    parked_at: String,
    /// Its bytes.
    #[schemars(extend("contentEncoding" = "base64"))]
    payload_base64: String,
}

/// A page of events that wait.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ParkedPage {
    /// `list`.
    object: &'static str,
    /// The events.
    data: Vec<ParkedTold>,
    /// Whether there are more.
    has_more: bool,
    /// The `starting_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The path of the list.
    url: &'static str,
}

fn told(event: &ParkedEvent) -> ParkedTold {
    ParkedTold {
        id: event.parked_event_id,
        user_id: match event.member() {
            MemberRef::Id(id) => id.to_string(),
            MemberRef::External(name) => name,
        },
        origin: event.origin.clone(),
        parked_at: rfc3339(event.parked_us),
        payload_base64: STANDARD.encode(&event.payload),
    }
}

/// `GET /api/v1/parked-events`, oldest first.
pub(crate) async fn list(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["limit", "starting_after"])?;
    let limit = query.limit()?;
    let after = query.number::<i64>("starting_after")?.unwrap_or_default();
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let mut events = store::parked_events(&mut conn, api.program_id, after, limit + 1).await?;
    let has_more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next_cursor = events.last().filter(|_| has_more).map(|it| it.parked_event_id.to_string());
    let data = events.iter().map(told).collect();
    let page = ParkedPage { object: "list", data, has_more, next_cursor, url: PARKED };
    Ok(paged(&page, &asked.parts.uri, "starting_after", page.next_cursor.as_deref()))
}

fn not_found() -> Problem {
    Problem::new(Code::NotFound, "No such event waits.")
}

fn number(asked: &Asked) -> Result<i64, Problem> {
    asked.path("parked_event_id").parse().map_err(|_| not_found())
}

/// `POST /api/v1/parked-events/{parked_event_id}/release`: its member is enrolled, and it earns as it would have.
pub(crate) async fn release(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let Because { reason } = asked.read().await?;
    let number = number(&asked)?;
    let mut acting = api.acting().await?;
    // Nobody drops it before it is said that it is released.
    store::hold_parked(acting.conn(), api.program_id, number).await?;
    let event = store::parked_event(acting.conn(), api.program_id, number).await?.ok_or_else(not_found)?;
    let (member_id, external_id) = match event.member() {
        MemberRef::Id(id) => (Some(id), None),
        MemberRef::External(name) => (None, Some(name)),
    };
    // Both acts are kept together, in the order in which they can be done again: who earns is a member first. Once they are, a sweep
    // may release the event, too, so no moment may lie between.
    let enrolled = enrol_within(&api, &asked, &mut acting, member_id, external_id.as_deref()).await?;
    if let Some(deed) = deed_of(&enrolled.map_err(name_taken)?) {
        api.also(&mut acting, &asked, Some(reason.clone()), deed).await?;
    }
    let deed = deed("parked_event.released", number.to_string(), None::<&()>, None::<&()>);
    api.done(acting, &asked, Some(reason), deed).await?;
    let verdict = api.intake.release(&event).await?.ok_or_else(not_found)?;
    Ok(json(&events::result(&api, &verdict)))
}

/// `DELETE /api/v1/parked-events/{parked_event_id}`
pub(crate) async fn forget(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let number = number(&asked)?;
    let mut acting = api.acting().await?;
    if !store::unpark(acting.conn(), api.program_id, number).await? {
        return Err(not_found());
    }
    let deed = deed("parked_event.dropped", number.to_string(), None::<&()>, None::<&()>);
    api.done(acting, &asked, None, deed).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
