//! The page that checks a receipt in the browser: a flat folder of files, and what we propose to trust.

use std::io::ErrorKind;
use std::sync::Arc;

use api::{Code, Problem};
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::ProofService;

/// Nothing from another host runs or is shown; the page itself may ask any chain's endpoint and any server of receipts.
const SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src *; \
                        base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

pub(crate) fn routes() -> Router<Arc<ProofService>> {
    Router::new()
        .route("/", get(async || Redirect::temporary("/verify/")))
        .route("/verify", get(async || Redirect::permanent("/verify/")))
        .route(
            "/verify/",
            get(async |State(service): State<Arc<ProofService>>| file(&service, "index.html").await),
        )
        .route("/verify/policy.txt", get(policy))
        .route("/verify/chain.json", get(chain))
        .route("/verify/{name}", get(named))
        .layer(map_response(async |mut response: Response| {
            let headers = response.headers_mut();
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SECURITY));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            // Whoever opened the page has no hold on it afterwards.
            headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
            // It changes with our version, and its parts must fit each other.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }))
}

async fn policy(State(service): State<Arc<ProofService>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], (service.page.policy)().0)
}

async fn chain(State(service): State<Arc<ProofService>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], service.page.chain.clone())
}

async fn named(
    State(service): State<Arc<ProofService>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    file(&service, &name.map(|Path(it)| it).unwrap_or_default()).await
}

async fn file(service: &ProofService, name: &str) -> Result<Response, Problem> {
    let not_found = || Problem::new(Code::NotFound, "The page has no such file.");
    let content_type = content_type(name).ok_or_else(not_found)?;
    match tokio::fs::read(service.page.folder.join(name)).await {
        Ok(bytes) => Ok(([(CONTENT_TYPE, content_type)], bytes).into_response()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(not_found()),
        Err(error) => Err(Problem::internal(error)),
    }
}

/// The type of a file that may be served: a plain name with an ending that we know. Nothing else is opened.
fn content_type(name: &str) -> Option<&'static str> {
    let (stem, ending) = name.rsplit_once('.')?;
    let is_plain =
        !stem.is_empty() && stem.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
    let content_type = match ending {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    };
    is_plain.then_some(content_type)
}
