//! The page that shows the descriptions and lets their paths be tried. It is part of the executable, and loads nothing from
//! another host.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use axum::{Router, http::HeaderName};

const SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                        form-action 'none'; frame-ancestors 'none'";

fn file(media_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, SECURITY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

/// The page's files.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route(
            "/docs/",
            get(async || file("text/html; charset=utf-8", include_str!("../explorer/index.html"))),
        )
        .route(
            "/docs/explorer.js",
            get(async || file("text/javascript; charset=utf-8", include_str!("../explorer/explorer.js"))),
        )
        .route(
            "/docs/explorer.css",
            get(async || file("text/css; charset=utf-8", include_str!("../explorer/explorer.css"))),
        )
}
