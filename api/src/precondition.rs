//! A change names what it is made to: the ETag of what the caller has seen.

use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::body::json;
use crate::code::Code;
use crate::error::Problem;

/// The tag of a thing as it is shown: another one after every change that can be seen.
pub(crate) fn tag(shown: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(shown).expect("what is shown is JSON");
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..12]))
}

/// The thing with its tag.
pub(crate) fn tagged(shown: &impl Serialize) -> Response {
    let mut response = json(shown);
    let tag = HeaderValue::from_str(&tag(shown)).expect("hexadecimal digits are a header's value");
    response.headers_mut().insert(ETAG, tag);
    response
}

/// Whether the caller has seen the thing of this tag: 428 where they do not say, 412 where it was another one.
pub(crate) fn must_match(headers: &HeaderMap, own: &str) -> Result<(), Problem> {
    let shown = headers.get(IF_MATCH).ok_or_else(|| {
        Problem::new(Code::PreconditionRequired, "Read it first, and send its ETag in If-Match.")
    })?;
    let mut tags = shown.to_str().unwrap_or_default().split(',').map(str::trim);
    match tags.any(|it| it == "*" || it == own) {
        true => Ok(()),
        false => Err(Problem::new(
            Code::PreconditionFailed,
            "It was changed meanwhile: read it again, and decide anew.",
        )),
    }
}
