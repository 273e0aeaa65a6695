//! The dated version of `/api/v1` that a request is answered in: the newest, unless `Loyalty-Version` names another.
//!
//! Within a version fields are added, and nothing is renamed, retyped or narrowed: what would do so is a new version, and the
//! one before is served beside it until its end, which its answers tell beforehand.

use axum::http::{HeaderMap, HeaderValue};
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::caller::only;
use crate::endpoint::{Parameter, Place};
use crate::error::Problem;
use crate::time::http_date;

pub(crate) const HEADER: &str = "Loyalty-Version";

/// A version that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The day of its publication: its name.
    pub(crate) day: &'static str,
    /// From when on nobody should begin to use it, in Unix seconds.
    pub(crate) deprecated_s: Option<i64>,
    /// From when on it may be served no more, in Unix seconds: not before it was deprecated.
    pub(crate) sunset_s: Option<i64>,
}

/// All that are served, oldest first.
const VERSIONS: &[Version] = &[Version { day: "2026-11-01", deprecated_s: None, sunset_s: None }];

fn days() -> Vec<&'static str> {
    VERSIONS.iter().map(|it| it.day).collect()
}

/// Whether answers under a path have a version. The M-PESA contract has its own, and what the log says has its formats.
pub(crate) fn is_versioned(path: &str) -> bool {
    path.starts_with("/api/v1/")
}

/// The version that a request is answered in, where its path has any.
pub(crate) fn asked(path: &str, headers: &HeaderMap) -> Result<Option<&'static Version>, Problem> {
    if !is_versioned(path) {
        return Ok(None);
    }
    let Some(named) = only(headers, HEADER)? else { return Ok(VERSIONS.last()) };
    match VERSIONS.iter().find(|it| named == it.day) {
        Some(version) => Ok(Some(version)),
        None => {
            let words = format!("there is no such version: it is {}, or left out", days().join(" or "));
            Err(Problem::invalid_parameter(HEADER, words))
        }
    }
}

impl Version {
    /// Writes on an answer which version it is in, and when that ends (RFC 9745, RFC 8594).
    pub(crate) fn tell(&self, headers: &mut HeaderMap, base_url: &str) {
        let mut say = |name, value: &str| {
            let value =
                HeaderValue::from_str(value).expect("days, instants and addresses are a header's value");
            headers.append(name, value);
        };
        say("loyalty-version", self.day);
        if let Some(at_s) = self.deprecated_s {
            say("deprecation", &format!("@{at_s}"));
            say("link", &format!("<{base_url}/docs/>; rel=\"deprecation\"; type=\"text/html\""));
        }
        if let Some(at_s) = self.sunset_s {
            say("sunset", &http_date(at_s * 1_000_000));
        }
    }
}

/// What the header may say.
fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": days()})
}

/// The parameter of each path that has versions.
pub(crate) fn parameter() -> Parameter {
    Parameter {
        name: HEADER,
        place: Place::Header,
        is_required: false,
        meaning: "The version that it is answered in; the newest where it is left out.",
        schema,
    }
}
