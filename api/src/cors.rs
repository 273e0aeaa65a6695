//! Which pages of other origins may ask: those that an operator names.

use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::http::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION,
    RETRY_AFTER,
};
use tower_http::cors::CorsLayer;

/// For how long a browser may remember that it may ask.
const AGE: Duration = Duration::from_secs(600);

const KEYS: [HeaderName; 10] = [
    HeaderName::from_static("anchor-priority"),
    HeaderName::from_static("approver-authorization"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("loyalty-version"),
    HeaderName::from_static("x-idempotency-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-partner-id"),
    HeaderName::from_static("x-user-id"),
    HeaderName::from_static("x-request-id"),
    // From where on events are told: whoever reads them by `fetch` sends it like any other.
    HeaderName::from_static("last-event-id"),
];

/// The router for pages of these origins too, such as `https://app.example`. Without any, browsers let none of them ask.
pub fn for_origins(router: Router, origins: &[HeaderValue]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let asked = [AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH].into_iter().chain(KEYS);
    let told = [ETAG, LINK, LOCATION, RETRY_AFTER, HeaderName::from_static("x-request-id")];
    let others = [
        "deprecation",
        "idempotent-replayed",
        "loyalty-version",
        "ratelimit",
        "ratelimit-policy",
        "sunset",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
    ];
    router.layer(
        CorsLayer::new()
            .allow_origin(origins.to_vec())
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(asked.collect::<Vec<_>>())
            .expose_headers(told.into_iter().chain(others.map(HeaderName::from_static)).collect::<Vec<_>>())
            .max_age(AGE),
    )
}
