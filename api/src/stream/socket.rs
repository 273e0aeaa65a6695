//! A WebSocket that tells: each notice a text frame, and a ping now and then.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use notices::{Subscription, Told};
use tokio::time::timeout;

use super::{Watch, opened};
use crate::error::Problem;

/// A reader that takes nothing for so long has gone.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);
/// There are many sockets, and each has its buffers.
const BUFFER_BYTES: usize = 1024;

/// Why a socket is closed. A refusal is 4000 and the status that it would have had.
pub(super) mod close {
    pub(crate) const GOING_AWAY: u16 = 1001;
    pub(crate) const TRY_AGAIN: u16 = 1013;
    pub(crate) const INVALID: u16 = 4400;
    pub(crate) const UNAUTHORIZED: u16 = 4401;
    pub(crate) const TOO_LATE: u16 = 4408;
}

fn reason(code: u16) -> &'static str {
    match code {
        close::GOING_AWAY => "the server stops: come again",
        close::INVALID => "the first message cannot be read, or asks for what there is not",
        close::UNAUTHORIZED => "the credential is not good, or not any more",
        4403 => "the credential does not allow this",
        4404 => "there is no such member",
        close::TOO_LATE => "nobody has said in time who they are",
        4429 => "too many requests, or too many streams: come again later",
        _ => "it cannot be told now: come again",
    }
}

/// The WebSocket that a request asks for, on which messages have at most so many bytes.
pub(super) async fn upgrade(parts: &mut Parts, bytes_max: usize) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await.map_err(|error| {
        let words = format!("the WebSocket cannot be opened: {}", error.body_text());
        Problem::invalid_parameter("Upgrade", words)
    })?;
    Ok(upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(64 * BUFFER_BYTES)
        // Room is made for a frame as soon as its length is read, before any of it has come.
        .max_frame_size(bytes_max)
        .max_message_size(bytes_max))
}

/// Tells until somebody ends it.
pub(super) async fn speak(mut socket: WebSocket, mut subscription: Subscription, mut watch: Watch) {
    let code = converse(&mut socket, &mut subscription, &mut watch).await;
    if let Some(code) = code {
        farewell(&mut socket, code).await;
    }
}

/// Closes a socket and says why.
pub(super) async fn farewell(socket: &mut WebSocket, code: u16) {
    let frame = CloseFrame { code, reason: reason(code).into() };
    let _ = timeout(SEND_TIME_MAX, socket.send(Message::Close(Some(frame)))).await;
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
