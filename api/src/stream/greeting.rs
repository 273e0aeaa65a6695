//! Whoever opens a WebSocket without a credential says in the first message who they are: a page in a browser can send no headers with
//! it, and an address is no place for a secret. Who says nothing in time, or is refused, is told by the code of the close.

use axum::extract::ws::{Message, WebSocket};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use notices::Subscription;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;

use super::socket::{close, farewell, speak, upgrade};
use super::{Wanted, Watch, begin};
use crate::Api;
use crate::error::Problem;
use crate::gate::Peer;
use crate::route::Threshold;

/// A token of another issuer may be long.
const GREETING_BYTES_MAX: usize = 16 << 10;

/// The first message of whoever shows no credential in a header. Each field is the header that it stands for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StreamGreeting")]
pub(crate) struct Greeting {
    /// What it is.
    #[serde(rename = "type")]
    _type: Auth,
    /// `Authorization`, without `Bearer`.
    token: Option<String>,
    /// `X-API-Key`.
    key: Option<String>,
    /// `X-User-ID`.
    user_id: Option<String>,
    /// `X-Partner-ID`.
    partner_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "StreamGreetingType")]
enum Auth {
    #[serde(rename = "auth")]
    Auth,
}

impl Greeting {
    fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The headers that it stands for, where it can be a header's value.
    fn headers(self) -> Option<HeaderMap> {
        let fields = [
            ("authorization", self.token.map(|it| format!("Bearer {it}"))),
            ("x-api-key", self.key),
            ("x-user-id", self.user_id),
            ("x-partner-id", self.partner_id),
        ];
        let said = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        said.map(|(name, value)| {
            let mut value = HeaderValue::try_from(value).ok()?;
            value.set_sensitive(true);
            Some((name.parse().ok()?, value))
        })
        .collect()
    }
}

/// Opens a WebSocket for a stranger, and lets them say who they are.
pub(crate) async fn greet(threshold: Threshold<Api>, mut parts: Parts) -> Result<Response, Problem> {
    let wanted = Wanted::read(&parts)?;
    let peer = Peer::of(&parts);
    let place = threshold.state.places.take_stranger(peer)?;
    let upgrade = upgrade(&mut parts, GREETING_BYTES_MAX).await?;
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let let_in = introduced(&mut socket, threshold, peer, wanted).await;
        drop(place);
        match let_in {
            Ok((subscription, watch)) => speak(socket, subscription, watch).await,
            Err(code) => farewell(&mut socket, code).await,
        }
    }))
}

/// What the caller is told, once they have said who they are; or the code of the refusal.
async fn introduced(
    socket: &mut WebSocket,
    threshold: Threshold<Api>,
    peer: Option<Peer>,
    wanted: Wanted,
) -> Result<(Subscription, Watch), u16> {
    let (time_max, ended) = (threshold.state.places.limits.greeting, threshold.state.hub.ended().clone());
    let first = tokio::select! {
        first = timeout(time_max, first(socket)) => first.map_err(|_| close::TOO_LATE)?,
        () = ended.cancelled() => return Err(close::GOING_AWAY),
    };
    let headers = first.as_deref().and_then(Greeting::read).and_then(Greeting::headers);
    let headers = headers.ok_or(close::INVALID)?;
    let admitted = threshold.admit(&headers, peer).await.map_err(|it| code_of(it.status()))?;
    let begun = begin(&admitted.state, &admitted.caller, &headers, peer, wanted).await;
    begun.map_err(|it| code_of(it.into_response().status()))
}

/// The first message, where it is a text.
async fn first(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.recv().await? {
            Ok(Message::Text(text)) => return Some(text.to_string()),
            // A sign of life says nothing.
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Binary(_) | Message::Close(_)) | Err(_) => return None,
        }
    }
}

/// The close code for what would be answered with this status.
fn code_of(status: StatusCode) -> u16 {
    if status.is_client_error() { 4000 + status.as_u16() } else { close::TRY_AGAIN }
}
