//! What an operator asks: is it alive, is it ready, how is it doing.

use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use store::PgPool;

use crate::dress::dress;
use crate::error::{self, Code, Problem};

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

/// These routes with the operator's, every request dressed and every failure in one shape.
pub fn complete(routes: Router, operations: Operations) -> Router {
    let base_url = operations.public_url.as_str().into();
    let own = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(figures))
        .route("/problems/{name}", get(describe))
        .with_state(operations);
    routes
        .merge(own)
        .fallback(async || Problem::new(Code::NotFound, "There is nothing under this path."))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "The path is known, and does not take this method.")
        })
        .layer(middleware::from_fn_with_state(base_url, dress))
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(operations): State<Operations>) -> Result<&'static str, Problem> {
    let asked = async {
        let mut conn = operations.pool.acquire().await.map_err(store::StoreError::from)?;
        store::log_size(&mut conn).await
    };
    match tokio::time::timeout(READY_TIME_MAX, asked).await {
        Ok(Ok(_)) => Ok("ready\n"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::unavailable("PostgreSQL does not answer."))
        }
        Err(_) => Err(Problem::unavailable("PostgreSQL does not answer in time.")),
    }
}

async fn figures(State(operations): State<Operations>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], operations.metrics.render())
}

async fn describe(name: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let title = name.ok().and_then(|Path(name)| error::describe(&name));
    let title = title.ok_or_else(|| Problem::new(Code::NotFound, "There is no such problem."))?;
    Ok(format!("{title}.\n"))
}
