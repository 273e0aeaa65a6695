//! `GET /api/v1/loyalty/stream`: notices as they happen, over a WebSocket or as server-sent events, from any place on.
//! Both say the same in the same order. A socket holds no connection to the database and waits for nobody.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::header::{ACCEPT, AUTHORIZATION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use notices::{Hub, Reader, Subscription, Told};
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use crate::access::{Access, EVERYBODY};
use crate::balance::{POINTS, user_not_found};
use crate::error::Problem;
use crate::gate::{self, Caller, Gate, Peer, Scope};
use crate::query::Query;
use crate::route::Asked;
use crate::{Api, Role};

/// How often a socket is asked whether it is there, and the credential whether it is good.
pub(crate) const PING_GAP: Duration = Duration::from_secs(30);
/// A reader that takes nothing for so long has gone.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);
/// What a client may send: nothing but a pong or a farewell is listened to.
const MESSAGE_BYTES_MAX: usize = 4096;
/// There are many sockets, and each has its buffers.
const BUFFER_BYTES: usize = 1024;

const ACCESS: Access = Access { scope: Scope::Read, roles: EVERYBODY };

/// Why a socket is closed.
mod close {
    pub(super) const GOING_AWAY: u16 = 1001;
    pub(super) const TRY_AGAIN: u16 = 1013;
    pub(super) const UNAUTHORIZED: u16 = 4401;
}

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

/// `GET /api/v1/loyalty/stream`
pub(crate) async fn stream(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["unit", "resume_from"])?;
    let reader = reader(&api, &asked.caller, &asked.parts.headers, query.number("unit")?).await?;
    let seen = match asked.headers().get("last-event-id") {
        Some(id) => Some(id.to_str().ok().and_then(|it| it.parse().ok()).ok_or_else(|| {
            Problem::invalid_parameter("Last-Event-ID", "it is the seq of a notice of this stream")
        })?),
        None => query.number("resume_from")?,
    };
    let subscription = Subscription::begin(api.hub.clone(), reader, seen).await?;
    if seen.is_some_and(|it| subscription.seq() < it) {
        let words = "nothing was told beyond it: it is of another stream";
        return Err(Problem::invalid_parameter("resume_from", words));
    }
    let watch = Watch {
        gate: api.gate.clone(),
        shown: shown(asked.headers()),
        peer: Peer::of(&asked.parts),
        gap: ping_gap(api.ping_gap),
        hub: api.hub.clone(),
    };
    if asked.headers().contains_key(UPGRADE) {
        let upgrade = WebSocketUpgrade::from_request_parts(&mut asked.parts, &()).await.map_err(|error| {
            Problem::invalid_parameter(
                "Upgrade",
                format!("the WebSocket cannot be opened: {}", error.body_text()),
            )
        })?;
        return Ok(upgrade
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_write_buffer_size(64 * BUFFER_BYTES)
            .max_message_size(MESSAGE_BYTES_MAX)
            .on_upgrade(|socket| speak(socket, subscription, watch)));
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
}

impl Watch {
    /// Whether the credential is good still. Where it could not be looked at, the reader is asked to come again.
    async fn check(&self) -> Result<(), u16> {
        match self.gate.admit(&self.shown, self.peer, ACCESS).await {
            Ok(_) => Ok(()),
            Err(problem) if problem.is_refusal() => Err(close::UNAUTHORIZED),
            Err(_) => Err(close::TRY_AGAIN),
        }
    }
}

/// The first frame: where the stream begins.
fn opened(subscription: &Subscription) -> Told {
    let seq = subscription.seq();
    Told { seq, json: json!({"type": "stream.opened", "seq": seq}).to_string().into() }
}

async fn speak(mut socket: WebSocket, mut subscription: Subscription, mut watch: Watch) {
    let code = converse(&mut socket, &mut subscription, &mut watch).await;
    if let Some(code) = code {
        let frame = CloseFrame { code, reason: reason(code).into() };
        let _ = timeout(SEND_TIME_MAX, socket.send(Message::Close(Some(frame)))).await;
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        close::GOING_AWAY => "the server stops: come again",
        close::UNAUTHORIZED => "the credential is not good any more",
        _ => "it cannot be told now: come again",
    }
}

/// Tells until somebody ends it; answers with which code, where we do.
async fn converse(socket: &mut WebSocket, subscription: &mut Subscription, watch: &mut Watch) -> Option<u16> {
    send(socket, opened(subscription)).await?;
    let ended = watch.hub.ended().clone();
    let mut has_answered = true;
    loop {
        tokio::select! {
            told = subscription.next() => match told {
                Ok(Some(told)) => send(socket, told).await?,
                Ok(None) => return Some(close::GOING_AWAY),
                Err(error) => {
                    tracing::warn!(%error, "a stream could not go on");
                    return Some(close::TRY_AGAIN);
                }
            },
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => has_answered = true,
            },
            _ = watch.gap.tick() => {
                if let Err(code) = watch.check().await {
                    return Some(code);
                }
                if !std::mem::take(&mut has_answered) {
                    return None;
                }
                timeout(SEND_TIME_MAX, socket.send(Message::Ping(Vec::new().into()))).await.ok()?.ok()?;
            }
            () = ended.cancelled() => return Some(close::GOING_AWAY),
        }
    }
}

async fn send(socket: &mut WebSocket, told: Told) -> Option<()> {
    timeout(SEND_TIME_MAX, socket.send(Message::text(&*told.json))).await.ok()?.ok()
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
