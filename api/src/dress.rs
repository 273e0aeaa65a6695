//! What every request wears: an id, a span, a time limit, a line in the log, figures, and failures in one shape.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use crate::error::{self, Problem};
use crate::gate::Peer;
use crate::{trace, version};

/// How long an answer may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

const REQUEST_ID: &str = "x-request-id";

/// Left in a response by whoever posted something: the request's line in the log names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posted {
    pub(crate) transaction_id: Uuid,
    pub(crate) leaf_index: u64,
}

pub(crate) async fn dress(State(base_url): State<Arc<str>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let id = request_id.to_str().expect("a request's id is a UUID").to_owned();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let is_plain = error::is_plain(request.uri().path(), request.headers());
    let from = request.extensions().get::<Peer>().map(|it| tracing::field::display(it.address()));
    let trace_id = trace::trace_id(request.headers());
    let span = tracing::info_span!("request", correlation_id = id, trace_id, from);

    let version = version::asked(request.uri().path(), request.headers());
    let mut response = match &version {
        Ok(_) => within_limits(request, next).instrument(span.clone()).await,
        Err(problem) => problem.clone().into_response(),
    };
    let _entered = span.enter();
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        let mut rendered = problem.render(&base_url, &id, is_plain);
        // What routing has said already, such as which methods are allowed, stays.
        for (name, value) in response.headers() {
            if !rendered.headers().contains_key(name) && name != "content-length" {
                rendered.headers_mut().insert(name.clone(), value.clone());
            }
        }
        response = rendered;
    }
    response.headers_mut().insert(REQUEST_ID, request_id);
    if let Ok(Some(version)) = version {
        version.tell(response.headers_mut(), &base_url);
    }
    guard(response.headers_mut(), &base_url);
    let route = route.as_ref().map_or("unmatched", |it| it.as_str());
    observe(&method, route, started, &response, problem.as_ref());
    response
}

/// What keeps a browser from making more of an answer than it is, and everybody from keeping it: a key is in no header that a
/// cache knows as one. What a path has said for itself stays.
fn guard(headers: &mut HeaderMap, base_url: &str) {
    let mut say = |name, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    say(X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(X_FRAME_OPTIONS, "DENY");
    say(REFERRER_POLICY, "no-referrer");
    say(CACHE_CONTROL, "no-store");
    if base_url.starts_with("https://") {
        say(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}

async fn within_limits(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(REQUEST_TIME_MAX, answered).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::internal("the handler panicked").into_response(),
        Err(_) => Problem::unavailable(
            "It took longer than we let it, so it may be done or not: ask again with the same key.",
        )
        .into_response(),
    }
}

/// The caller's id for the request where it is a UUID, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given =
        headers.get(REQUEST_ID).filter(|it| it.len() == 36 && Uuid::try_parse_ascii(it.as_bytes()).is_ok());
    given.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&Uuid::new_v4().to_string()).expect("a UUID is a header's value")
    })
}

fn observe(
    method: &axum::http::Method,
    route: &str,
    started: Instant,
    response: &Response,
    problem: Option<&Problem>,
) {
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let labels = [("route", route.to_owned()), ("status", status.to_string())];
    metrics::counter!("daftari_http_requests_total", &labels).increment(1);
    metrics::histogram!("daftari_http_request_seconds", &labels).record(elapsed.as_secs_f64());
    let duration_us = elapsed.as_micros() as u64;
    let code = problem.map(|it| it.code().as_str());
    if let Some(cause) = problem.and_then(Problem::cause) {
        tracing::error!(%method, route, status, duration_us, code, cause, "request");
    } else if let Some(Posted { transaction_id, leaf_index }) = response.extensions().get::<Posted>() {
        tracing::info!(%method, route, status, duration_us, %transaction_id, leaf_index, "request");
    } else if route.starts_with("/health") || route == "/metrics" {
        tracing::debug!(%method, route, status, duration_us, code, "request");
    } else {
        tracing::info!(%method, route, status, duration_us, code, "request");
    }
}
