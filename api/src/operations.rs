//! What an operator asks: is it alive, is it ready, how is it doing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::IntoResponse;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use store::{Commits, PgPool};

use crate::dress::dress;
use crate::endpoint::Endpoint;
use crate::error::{self, Code, Problem};
use crate::explorer;
use crate::openapi;
use crate::route::{Route, Routes};

/// PostgreSQL has this long to answer a question about our health; the caller waits no more than two seconds.
const READY_TIME_MAX: Duration = Duration::from_millis(1500);

/// Milliseconds around what a redemption takes, then up to the limit of a request.
const REQUEST_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 5.0, 30.0];
const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 125.0, 250.0, 1000.0];

/// What the operator's routes look at.
#[derive(Clone)]
pub struct Operations {
    /// Ready means that this answers.
    pub pool: PgPool,
    /// Where this process commits: ready means that this comes to an end, too.
    pub commits: Option<Commits>,
    /// Where the figures are.
    pub metrics: PrometheusHandle,
    /// The address under which callers reach us, without a slash at the end: problem types and links begin with it.
    pub public_url: String,
}

/// A Prometheus recorder whose histograms have buckets that fit what they measure. The executable installs it.
pub fn metrics_builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &REQUEST_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_size".to_owned()), &BATCH_BUCKETS)
}

/// What the operator's routes are served from.
pub(crate) struct Desk {
    operations: Operations,
    /// The description of everything that this process serves.
    document: String,
    /// The contract's own.
    contract: String,
    /// What is told and taken besides.
    asyncapi: String,
}

/// The operator's paths, and the documents.
pub(crate) fn table() -> Vec<Route<Desk>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let get = |path, name, summary| Endpoint::new(Method::GET, path, name, summary);
    vec![
        get("/health/live", "isAlive", "Whether the process answers")
            .answers_plain(200, TEXT, "It does.")
            .open(live),
        get("/health/ready", "isReady", "Whether the books can be reached")
            .answers_plain(200, TEXT, "They can.")
            .open(ready),
        get("/metrics", "getMetrics", "Figures for Prometheus")
            .answers_plain(200, "text/plain; version=0.0.4; charset=utf-8", "The figures.")
            .open(figures),
        get("/problems/{slug}", "describeProblem", "What an error means")
            .path::<String>("slug", "The error's code, in lower case and with hyphens.")
            .answers_plain(200, TEXT, "What it means.")
            .refuses(&[Code::NotFound])
            .open(describe),
        get("/openapi.json", "getOpenApi", "This description, in OpenAPI 3.1")
            .answers_plain(200, "application/json", "The description.")
            .open(document),
        get(
            "/asyncapi.json",
            "getAsyncApi",
            "What streams tell and what is taken from Kafka, in AsyncAPI 3.0",
        )
        .answers_plain(200, "application/json", "The description.")
        .open(asyncapi),
        get("/loyalty/v1/openapi.json", "getContract", "The M-PESA contract, in OpenAPI 3.0")
            .answers_plain(200, "application/json", "The description.")
            .open(contract),
    ]
}

/// These routes with the operator's, every request dressed and every failure in one shape.
pub fn complete(routes: Routes, operations: Operations) -> Router {
    let base_url = operations.public_url.as_str().into();
    let mut endpoints = routes.endpoints.clone();
    endpoints.extend(crate::endpoints_of(table()));
    let document = openapi::openapi(&endpoints, &operations.public_url).to_string();
    let contract = openapi::contract(&endpoints, &operations.public_url).to_string();
    let asyncapi = crate::asyncapi(&operations.public_url).to_string();
    let own = Routes::new(table(), Arc::new(Desk { operations, document, contract, asyncapi }));
    routes
        .merge(own)
        .router
        .merge(explorer::routes())
        .fallback(async || Problem::new(Code::NotFound, "There is nothing under this path."))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "The path is known, and does not take this method.")
        })
        .layer(middleware::from_fn_with_state(base_url, dress))
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(desk): State<Arc<Desk>>) -> Result<&'static str, Problem> {
    let asked = async {
        let mut conn = desk.operations.pool.acquire().await.map_err(store::StoreError::from)?;
        store::log_size(&mut conn).await
    };
    match tokio::time::timeout(READY_TIME_MAX, asked).await {
        Ok(Ok(_)) => match desk.operations.commits.as_ref().and_then(Commits::trouble) {
            Some(trouble) => Err(Problem::unavailable(trouble)),
            None => Ok("ready\n"),
        },
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::unavailable("PostgreSQL does not answer."))
        }
        Err(_) => Err(Problem::unavailable("PostgreSQL does not answer in time.")),
    }
}

async fn figures(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], desk.operations.metrics.render())
}

async fn document(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], desk.document.clone())
}

async fn asyncapi(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], desk.asyncapi.clone())
}

async fn contract(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], desk.contract.clone())
}

async fn describe(name: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let title = name.ok().and_then(|Path(name)| error::describe(&name));
    let title = title.ok_or_else(|| Problem::new(Code::NotFound, "There is no such problem."))?;
    Ok(format!("{title}.\n"))
}
