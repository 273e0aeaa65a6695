//! A form, each of whose fields is there once.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};

use super::{Failure, refuse};

/// No form of ours is longer; a refresh token has 80 letters, an access token about 700.
const FORM_BYTES_MAX: usize = 16 << 10;

pub(super) struct Form(HashMap<String, String>);

impl Form {
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Failure> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(refuse("invalid_request", "send a form: application/x-www-form-urlencoded"));
        }
        let bytes = Limited::new(body, FORM_BYTES_MAX).collect().await;
        let bytes = bytes.map_err(|_| refuse("invalid_request", "the form is too long, or ended early"))?;
        let mut fields = HashMap::new();
        for (name, value) in form_urlencoded::parse(&bytes.to_bytes()) {
            // RFC 6749, 3.2: what is there without a value is not there; nothing is there twice.
            if !value.is_empty() && fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(refuse("invalid_request", "a field is there twice"));
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
