//! Bodies in and out.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;

use crate::error::{Code, Invalid, Problem};

/// The largest body that is read: 1 MiB.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// Reads a body that says it is JSON.
pub(crate) async fn json_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "Send JSON, with Content-Type: application/json.",
        ));
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|it| BODY_BYTES_MAX < it) {
        return Err(too_large());
    }
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => {
            Err(Problem::new(Code::InvalidRequest, format!("The body could not be read: {error}.")))
        }
    }
}

fn too_large() -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("A body has at most {BODY_BYTES_MAX} bytes."))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let json = "application/json";
    essence.eq_ignore_ascii_case(json)
        || (essence.starts_with("application/") && essence.to_ascii_lowercase().ends_with("+json"))
}

/// A body that is not JSON at all.
pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    // What is no value of ours is JSON all the same: a field that stands there twice.
    let (code, words) = match error.is_data() {
        true => ("DUPLICATE", error.to_string()),
        false => ("MALFORMED", format!("it is not JSON: {error}")),
    };
    Problem::invalid(vec![Invalid::in_body("body", "", code, words)])
}

/// An answer in JSON.
pub(crate) fn json(value: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(value).expect("an answer of texts and numbers is JSON");
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
}
