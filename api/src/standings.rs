//! What callers are told of their quotas: the contract's headers, and those of the IETF's draft.

use std::fmt::Write;

use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use store::{SLICE_S, SLICES};

use crate::error::Problem;
use crate::limits::Standing;

/// How it stands with each quota of a caller.
#[derive(Clone, Default)]
pub(crate) struct Standings(pub(crate) Vec<Standing>);

impl Standings {
    /// Writes them on an answer. The contract's headers have room for one: the one of which least is left.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let Some(tightest) = self.0.iter().min_by_key(|it| it.left) else { return };
        headers.insert("x-ratelimit-limit", tightest.limit.into());
        headers.insert("x-ratelimit-remaining", tightest.left.into());
        let (mut policies, mut left) = (String::new(), String::new());
        for Standing { kind, limit, left: remaining, frees_in_s } in &self.0 {
            let (comma, name) = (if policies.is_empty() { "" } else { ", " }, kind.name());
            let _ = write!(policies, "{comma}\"{name}\";q={limit};w={}", SLICE_S * SLICES as i64);
            let _ = write!(left, "{comma}\"{name}\";r={remaining};t={frees_in_s}");
        }
        for (name, value) in [("ratelimit-policy", policies), ("ratelimit", left)] {
            headers
                .insert(name, HeaderValue::from_str(&value).expect("names and numbers are a header's value"));
        }
    }

    /// The answer to one request too many.
    pub(crate) fn refused(&self) -> Response {
        let frees_in_s = self.0.iter().map(|it| it.frees_in_s).max().unwrap_or(1);
        let mut response = Problem::rate_limited(frees_in_s).into_response();
        self.tell(response.headers_mut());
        response
    }
}
