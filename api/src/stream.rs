//! `GET /api/v1/loyalty/stream`: notices as they happen, over a WebSocket or as server-sent events, from any place on.
//! Both say the same in the same order. A socket holds no connection to the database and waits for nobody.

mod greeting;
mod socket;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use notices::{Hub, Reader, Subscription, Told};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::access::{Access, EVERYBODY};
use crate::balance::{POINTS, user_not_found};
use crate::error::Problem;
use crate::gate::{self, Caller, Gate, Peer, Scope};
use crate::places::Place;
use crate::query::Query;
use crate::route::Asked;
use crate::{Api, Role};
use socket::{close, speak, upgrade};

pub(crate) use greeting::{Greeting, greet};

/// How often a socket is asked whether it is there, and the credential whether it is good.
pub(crate) const PING_GAP: Duration = Duration::from_secs(30);
/// What a client may send that has said who it is: nothing but a pong or a farewell is listened to.
const MESSAGE_BYTES_MAX: usize = 4096;

const ACCESS: Access = Access { scope: Scope::Read, roles: EVERYBODY };

/// What the caller may see: a member named by them or by their token, a partner, or everything.
pub(crate) async fn reader(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    unit: Option<u16>,
) -> Result<Reader, Problem> {
    if let Some(member) = gate::member(caller, headers)? {
        let unit = unit.unwrap_or(POINTS);
        let balance = api.reader.balance(api.program_id, unit, &member).await?.ok_or_else(user_not_found)?;
        return Ok(Reader::Member(balance.member_id, unit));
    }
    match caller.role {
        Role::Member => Err(Problem::invalid_parameter("X-User-ID", "this header is required")),
        Role::Partner => Ok(Reader::Partner(gate::partner(caller, headers, false)?.to_owned())),
        Role::Viewer | Role::Editor | Role::Approver | Role::Auditor => Ok(Reader::Operator),
    }
}

/// What a stream is to be: of which unit, and from which place on.
#[derive(Clone, Copy)]
struct Wanted {
    unit: Option<u16>,
    seen: Option<u64>,
}

impl Wanted {
    fn read(parts: &Parts) -> Result<Self, Problem> {
        let query = Query::read(&parts.uri, &["unit", "resume_from"])?;
        let unit = query.number("unit")?;
        let seen = match parts.headers.get("last-event-id") {
            Some(id) => Some(id.to_str().ok().and_then(|it| it.parse().ok()).ok_or_else(|| {
                Problem::invalid_parameter("Last-Event-ID", "it is the seq of a notice of this stream")
            })?),
            None => query.number("resume_from")?,
        };
        Ok(Self { unit, seen })
    }
}

/// What a caller is told who shows these headers, and what ends it.
async fn begin(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    peer: Option<Peer>,
    Wanted { unit, seen }: Wanted,
) -> Result<(Subscription, Watch), Problem> {
    let reader = reader(api, caller, headers, unit).await?;
    let place = api.places.take(caller, &reader)?;
    let subscription = Subscription::begin(api.hub.clone(), reader, seen).await?;
    if seen.is_some_and(|it| subscription.seq() < it) {
        let words = "nothing was told beyond it: it is of another stream";
        return Err(Problem::invalid_parameter("resume_from", words));
    }
    let watch = Watch {
        gate: api.gate.clone(),
        shown: shown(headers),
        peer,
        gap: ping_gap(api.ping_gap),
        hub: api.hub.clone(),
        _place: place,
    };
    Ok((subscription, watch))
}

/// `GET /api/v1/loyalty/stream`
pub(crate) async fn stream(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let wanted = Wanted::read(&asked.parts)?;
    let peer = Peer::of(&asked.parts);
    let (subscription, watch) = begin(&api, &asked.caller, asked.headers(), peer, wanted).await?;
    if asked.headers().contains_key(UPGRADE) {
        let upgrade = upgrade(&mut asked.parts, MESSAGE_BYTES_MAX).await?;
        return Ok(upgrade.on_upgrade(|socket| speak(socket, subscription, watch)));
    }
    let accepts_events = asked.headers().get_all(ACCEPT).iter().any(accepts_events);
    if !accepts_events {
        let words = "accept text/event-stream, or upgrade to a WebSocket";
        return Err(Problem::invalid_parameter("Accept", words));
    }
    Ok(events(subscription, watch))
}

fn accepts_events(accept: &HeaderValue) -> bool {
    accept.to_str().is_ok_and(|it| it.contains("text/event-stream"))
}

/// Only what shows who asks: thousands of sockets keep it.
fn shown(headers: &HeaderMap) -> HeaderMap {
    let kept = [AUTHORIZATION.as_str(), "x-api-key"];
    kept.into_iter().filter_map(|it| Some((it.parse().ok()?, headers.get(it)?.clone()))).collect()
}

fn ping_gap(gap: Duration) -> Interval {
    let mut gap = interval_at(Instant::now() + gap, gap);
    gap.set_missed_tick_behavior(MissedTickBehavior::Delay);
    gap
}

/// What ends a stream besides its reader.
struct Watch {
    gate: Gate,
    shown: HeaderMap,
    peer: Option<Peer>,
    gap: Interval,
    hub: Arc<Hub>,
    _place: Place,
}

impl Watch {
    /// Whether the credential is good still. Where it could not be looked at, the reader is asked to come again. It is asked
    /// rarely, and has its room only then.
    async fn check(&self) -> Result<(), u16> {
        let admitted = Box::pin(self.gate.admit(&self.shown, self.peer)).await;
        match admitted.and_then(|caller| ACCESS.allow(&caller)) {
            Ok(()) => Ok(()),
            Err(problem) if problem.is_refusal() => Err(close::UNAUTHORIZED),
            Err(_) => Err(close::TRY_AGAIN),
        }
    }
}

/// The type of [`Opened`].
pub(crate) const OPENED: &str = "stream.opened";

/// The first frame: where the stream begins.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StreamOpened")]
pub(crate) struct Opened {
    /// What it is.
    r#type: &'static str,
    /// The reader's place: what comes is after it.
    seq: u64,
}

impl Opened {
    pub(crate) fn at(seq: u64) -> Self {
        Self { r#type: OPENED, seq }
    }
}

fn opened(subscription: &Subscription) -> Told {
    let opened = Opened::at(subscription.seq());
    Told {
        seq: opened.seq,
        json: serde_json::to_string(&opened).expect("a text and a number are JSON").into(),
    }
}

/// Server-sent events: the id of each is its place, which a client that comes again sends as `Last-Event-ID`.
fn events(subscription: Subscription, watch: Watch) -> Response {
    let first = Some(opened(&subscription));
    let told = stream::unfold((first, subscription, watch), |(first, mut subscription, mut watch)| async {
        let told = match first {
            Some(told) => told,
            None => next_event(&mut subscription, &mut watch).await?,
        };
        let event = Event::default().id(told.seq.to_string()).data(&*told.json);
        Some((Ok::<_, Infallible>(event), (None, subscription, watch)))
    });
    let keep_alive = KeepAlive::new().interval(PING_GAP).text("ping");
    let mut response = Sse::new(told).keep_alive(keep_alive).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn next_event(subscription: &mut Subscription, watch: &mut Watch) -> Option<Told> {
    let ended = watch.hub.ended().clone();
    loop {
        tokio::select! {
            told = subscription.next() => return told.ok().flatten(),
            _ = watch.gap.tick() => watch.check().await.ok()?,
            () = ended.cancelled() => return None,
        }
    }
}
