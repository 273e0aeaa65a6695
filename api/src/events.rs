//! Events over HTTP, through the same intake as those from Kafka, and the list of what was rejected.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, TryStreamExt, stream};
use ingest::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Credential, RejectedEvent};
use uuid::Uuid;

use crate::Api;
use crate::body::{json, not_json};
use crate::dress::Posted;
use crate::error::{Code, Invalid, Problem};
use crate::gate;
use crate::page::paged;
use crate::query::Query;
use crate::route::Asked;

/// Where an operator's list says that these events came from.
const ORIGIN: &str = "http";
const EVENTS_MAX: usize = 1000;
/// How many events of one request are on their way at once.
const IN_FLIGHT_MAX: usize = 256;
/// A page of rejected events ends with the one that brings it to 1 MiB: a page of many is a page of short ones.
const PAGE_BYTES_MAX: i64 = 1 << 20;
/// Up to this length a payload that is text is listed as text, too.
const TEXT_BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: Option<&'a RawValue>,
}

enum Body<'a> {
    One(&'a RawValue),
    Many(Vec<&'a RawValue>),
}

/// What happened: four fields suffice, and others are kept with it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "`ledger` reads events: this is what it takes, for the documents")]
pub(crate) struct Event {
    /// The member, by UUID or by what the operator's other systems call them.
    #[schemars(length(min = 1, max = 200))]
    user_id: String,
    /// What kind of event it is: the rules have a rate for each.
    r#type: String,
    /// How much, in money.
    #[schemars(extend("format" = "decimal"))]
    amount: f64,
    /// When it happened.
    #[schemars(extend("format" = "date-time"))]
    timestamp: String,
    /// Its name: the same of the same source is posted once, for ever.
    event_id: Option<String>,
    /// Who tells of it.
    source: Option<String>,
}

/// An event, an array of up to 1,000, or an object with that array.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the bytes of each event are kept as they came, so nothing is read into this")]
pub(crate) enum EventsBody {
    One(Event),
    Many(Vec<Event>),
    Named { events: Vec<Event> },
}

/// A verdict, or one for each in their order.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "either is written by itself: together they are the documents' word for an answer"
)]
pub(crate) enum EventsTold<'a> {
    One(Told<'a>),
    Many(Results<'a>),
}

/// What came of an event.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "UPPERCASE")]
pub(crate) enum Told<'a> {
    /// It is posted.
    Posted {
        /// The posting.
        transaction_id: Uuid,
        /// Its place in the log.
        leaf_index: u64,
        /// What it earned.
        points: i64,
        /// What the member can spend now.
        balance: i64,
        /// Whether it had been posted before.
        replayed: bool,
        /// Where its receipt is.
        receipt_url: String,
    },
    /// It is not posted, and kept with the reason.
    Rejected {
        /// The stable code.
        error: &'static str,
        /// What is wrong with it.
        message: &'a str,
    },
    /// It waits, and earns once its member is enrolled.
    Parked {
        /// Its number among those that wait.
        parked_event_id: i64,
    },
}

/// A verdict for each event, in their order.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Results<'a> {
    /// The verdicts.
    results: Vec<Told<'a>>,
}

/// `POST /api/v1/events`
pub(crate) async fn post_events(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let bytes = asked.json().await?;
    let partner = asked.caller.credential.partner_id.as_deref();
    let body = match read(&bytes) {
        Ok(body) => body,
        Err(error) => {
            // Kept like every other event that cannot be read, though the caller is told that it is not even JSON.
            api.intake.accept_of(partner, &bytes, ORIGIN).await?;
            return Err(not_json(&error));
        }
    };
    match body {
        Body::One(event) => one(&api, partner, event).await,
        Body::Many(events) if EVENTS_MAX < events.len() => Err(Problem::invalid(vec![Invalid::in_body(
            "events",
            "/events",
            "TOO_MANY",
            format!("one request has at most {EVENTS_MAX} events"),
        )])),
        Body::Many(events) => {
            asked.count_items(&api.gate, events.len()).await?;
            many(&api, partner, events).await
        }
    }
}

fn read(bytes: &[u8]) -> Result<Body<'_>, serde_json::Error> {
    let whole: &RawValue = serde_json::from_slice(bytes)?;
    let list = match whole.get().as_bytes().first() {
        Some(b'[') => Some(whole),
        Some(b'{') => serde_json::from_str::<Envelope<'_>>(whole.get())
            .ok()
            .and_then(|it| it.events)
            .filter(|it| it.get().starts_with('[')),
        _ => None,
    };
    list.map_or(Ok(Body::One(whole)), |it| serde_json::from_str(it.get()).map(Body::Many))
}

async fn one(api: &Api, partner: Option<&str>, event: &RawValue) -> Result<Response, Problem> {
    let verdict = api.intake.accept_of(partner, event.get().as_bytes(), ORIGIN).await?;
    match &verdict {
        Verdict::Rejected { code, detail } => Err(Problem::new(Code::Event(*code), detail.clone())),
        Verdict::Parked { .. } => {
            let mut response = json(&result(api, &verdict));
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok(response)
        }
        Verdict::Posted { transaction_id, leaf_index, .. } => {
            let mut response = json(&result(api, &verdict));
            response
                .extensions_mut()
                .insert(Posted { transaction_id: *transaction_id, leaf_index: *leaf_index });
            Ok(response)
        }
    }
}

/// A verdict for each, in order. Where one has none the whole request has none: sending it again posts nothing twice.
async fn many(api: &Api, partner: Option<&str>, events: Vec<&RawValue>) -> Result<Response, Problem> {
    let on_their_way: Vec<_> =
        events.into_iter().map(|it| api.intake.accept_of(partner, it.get().as_bytes(), ORIGIN)).collect();
    let verdicts: Vec<Verdict> = stream::iter(on_their_way).buffered(IN_FLIGHT_MAX).try_collect().await?;
    Ok(json(&Results { results: verdicts.iter().map(|it| result(api, it)).collect() }))
}

pub(crate) fn result<'a>(api: &Api, verdict: &'a Verdict) -> Told<'a> {
    match verdict {
        Verdict::Posted { transaction_id, leaf_index, points, balance, replayed } => Told::Posted {
            transaction_id: *transaction_id,
            leaf_index: *leaf_index,
            points: *points,
            balance: *balance,
            replayed: *replayed,
            receipt_url: api.receipt_url(*transaction_id),
        },
        Verdict::Parked { number } => Told::Parked { parked_event_id: *number },
        Verdict::Rejected { code, detail } => Told::Rejected { error: code.as_str(), message: detail },
    }
}

/// An event that was not posted.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RejectedEventListed {
    /// Its number.
    id: i64,
    /// Where it came from: `http`, or the Kafka topic, partition and offset.
    origin: String,
    /// Why it was not posted: a stable code.
    error: String,
    /// What was wrong with it.
    message: String,
    /// When it came first.
    first_seen_at: String,
    /// Its bytes.
    #[schemars(extend("contentEncoding" = "base64"))]
    payload_base64: String,
    /// Its text, where it is a short one.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_text: Option<String>,
}

/// A page of events that were not posted.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RejectedPage {
    /// `list`.
    object: &'static str,
    /// The events.
    data: Vec<RejectedEventListed>,
    /// Whether there are more.
    has_more: bool,
    /// The `starting_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The path of the list.
    url: &'static str,
}

/// `GET /api/v1/rejected-events`, oldest first: whoever works them off goes on from where they were. An app that speaks for any
/// member is shown all of them, a partner its own.
pub(crate) async fn rejected_events(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let Credential { delegated, partner_id, .. } = &asked.caller.credential;
    let partner = match *delegated && partner_id.is_none() {
        true => None,
        false => Some(gate::partner(&asked.caller, asked.headers(), false)?),
    };
    let query = Query::read(&asked.parts.uri, &["limit", "starting_after"])?;
    let (after, limit) = (query.number("starting_after")?.unwrap_or(0), query.limit()? as usize);
    let mut conn = api.pool.acquire().await.map_err(store::StoreError::from)?;
    let (events, has_more) =
        store::rejected_page(&mut conn, api.program_id, partner, after, limit, PAGE_BYTES_MAX).await?;
    let next_cursor = events.last().filter(|_| has_more).map(|it| it.rejected_event_id.to_string());
    let data = events.into_iter().map(listed).collect();
    let page = RejectedPage { object: "list", data, has_more, next_cursor, url: "/api/v1/rejected-events" };
    Ok(paged(&page, &asked.parts.uri, "starting_after", page.next_cursor.as_deref()))
}

fn listed(event: RejectedEvent) -> RejectedEventListed {
    RejectedEventListed {
        id: event.rejected_event_id,
        origin: event.origin,
        error: event.reason,
        message: event.detail,
        first_seen_at: event.first_seen_at,
        payload_base64: STANDARD.encode(&event.payload),
        payload_text: String::from_utf8(event.payload).ok().filter(|it| it.len() <= TEXT_BYTES_MAX),
    }
}
