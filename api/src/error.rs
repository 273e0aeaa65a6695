//! The only place where an error becomes a status, a stable code and a body: RFC 9457 members and those of the M-PESA
//! contract in one document, so that clients of either read what they know.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use ingest::Retry;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Role, StoreError, SubmitError};

pub(crate) use crate::code::Code;

/// One field that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Invalid {
    /// The field, header, or parameter.
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub message: String,
    /// Where in the body, as a JSON pointer; absent for what is not in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Cow<'static, str>>,
    /// What is wrong with it, stable.
    pub code: &'static str,
}

/// A failure on its way to the caller. The request's wrapper writes it down, because the body depends on the request.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: String,
    invalid: Vec<Invalid>,
    current_balance: Option<i64>,
    required_points: Option<i64>,
    retry_after_s: Option<u32>,
    challenge: Option<String>,
    is_replayed: bool,
    is_uncounted: bool,
    cause: Option<String>,
}

impl Problem {
    /// What went wrong, for whoever runs this process: more than a caller is told.
    pub fn told(&self) -> &str {
        self.0.cause.as_deref().unwrap_or(&self.0.detail)
    }

    /// A failure in the caller's own terms.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            invalid: Vec::new(),
            current_balance: None,
            required_points: None,
            retry_after_s: None,
            challenge: None,
            is_replayed: false,
            is_uncounted: false,
            cause: None,
        }))
    }

    /// A request with these faults.
    pub fn invalid(invalid: Vec<Invalid>) -> Self {
        let words: Vec<String> = invalid.iter().map(|it| format!("{}: {}", it.field, it.message)).collect();
        let mut problem = Self::new(Code::InvalidRequest, words.join("; "));
        problem.0.invalid = invalid;
        problem
    }

    /// A request with a fault in a header, the path or the query.
    pub fn invalid_parameter(field: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(vec![Invalid::parameter(field, "INVALID", message)])
    }

    /// No known credential was shown.
    pub fn unauthorized(detail: &str, challenge: &str) -> Self {
        let mut problem = Self::new(Code::Unauthorized, detail);
        problem.0.challenge = Some(challenge.to_owned());
        problem
    }

    /// The credential does not have this scope.
    pub fn missing_scope(scope: &str) -> Self {
        let mut problem = Self::new(Code::Forbidden, format!("This needs the scope {scope}."));
        problem.0.challenge = Some(format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""));
        problem
    }

    /// The credential is of another role than those that may.
    pub(crate) fn wrong_role(role: Role, roles: &[Role]) -> Self {
        let may: Vec<&str> = roles.iter().map(|it| it.as_str()).collect();
        Self::new(Code::Forbidden, format!("This is for {}, not for {}.", may.join(", "), role.as_str()))
    }

    pub(crate) fn insufficient_balance(available: i64, required: i64) -> Self {
        let detail = format!("{required} points are asked and {available} are available.");
        let mut problem = Self::new(Code::InsufficientBalance, detail);
        // The contract's balances are never below zero.
        problem.0.current_balance = Some(available.max(0));
        problem.0.required_points = Some(required);
        problem
    }

    /// The failure of one item of a batch that is posted all or not at all.
    pub(crate) fn of_item(mut self, at: usize) -> Self {
        self.0.detail = format!("Item {at}: {}", self.0.detail);
        self.0.invalid = vec![Invalid::in_body(
            format!("items.{at}"),
            &format!("/items/{at}"),
            self.0.code.as_str(),
            self.0.detail.clone(),
        )];
        self
    }

    /// A twin of the request is being worked on.
    pub(crate) fn in_progress() -> Self {
        Self::in_doubt("A request with this key is being worked on: ask again with the same key.")
    }

    /// Another request must have its answer first.
    pub(crate) fn in_doubt(words: &str) -> Self {
        let mut problem = Self::new(Code::IdempotencyInProgress, words);
        problem.0.retry_after_s = Some(1);
        problem
    }

    /// More was asked than is allowed; after so many seconds something is free again.
    pub(crate) fn rate_limited(frees_in_s: u64) -> Self {
        Self::too_many("API rate limit exceeded", frees_in_s)
    }

    /// The caller has too many of something; after so many seconds it may ask again.
    pub(crate) fn too_many(detail: &str, frees_in_s: u64) -> Self {
        let mut problem = Self::new(Code::RateLimited, detail);
        problem.0.retry_after_s = Some(u32::try_from(frees_in_s).unwrap_or(u32::MAX));
        problem
    }

    /// It cannot be answered now, and may be soon.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(Code::DependencyUnavailable, detail);
        problem.0.retry_after_s = Some(1);
        problem
    }

    /// It is in a file of the operator's, who can bring it back.
    fn archived() -> Self {
        let words = "This is about a transaction that was archived: the program's operator can bring it back. Its receipts and \
                     proofs stay valid, and nothing is posted twice.";
        Self::new(Code::Archived, words)
    }

    /// Our own fault; the cause goes to the log, not to the caller.
    pub fn internal(cause: impl ToString) -> Self {
        let mut problem = Self::new(Code::InternalError, "The request could not be answered.");
        problem.0.cause = Some(cause.to_string());
        problem
    }

    pub(crate) fn replayed(mut self, is_replayed: bool) -> Self {
        self.0.is_replayed = is_replayed;
        self
    }

    /// The same, of a caller who has guessed nothing.
    pub(crate) fn uncounted(mut self) -> Self {
        self.0.is_uncounted = true;
        self
    }

    /// Whether it is none of the failures that are counted by where they come from.
    pub(crate) fn is_uncounted(&self) -> bool {
        self.0.is_uncounted
    }

    /// Whether the caller is not known, or may not.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.0.code, Code::Unauthorized | Code::Forbidden)
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    fn because(mut self, cause: impl ToString) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// The document, for this request.
    pub(crate) fn render(&self, base_url: &str, request_id: &str, is_plain: bool) -> Response {
        let it = &*self.0;
        let status = it.code.status();
        let document = Document {
            r#type: format!("{base_url}/problems/{}", it.code.slug()),
            title: it.code.title(),
            status: status.as_u16(),
            detail: &it.detail,
            instance: format!("urn:request:{request_id}"),
            error: it.code.as_str(),
            message: &it.detail,
            request_id,
            validation_errors: &it.invalid,
            current_balance: it.current_balance,
            required_points: it.required_points,
            retry_after: it.retry_after_s,
        };
        let bytes = serde_json::to_vec(&document).expect("a document of texts and numbers is JSON");
        let mut response = (status, Body::from(bytes)).into_response();
        let headers = response.headers_mut();
        let media_type = if is_plain { "application/json" } else { "application/problem+json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Some(seconds) = it.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = it.challenge.as_deref().and_then(|it| HeaderValue::from_str(it).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if it.is_replayed {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

/// What went wrong: RFC 9457, with the members of the M-PESA contract.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Document<'a> {
    /// An address that explains it.
    r#type: String,
    /// What went wrong, in a few words; the same for each code.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What went wrong this time, and what can be done.
    detail: &'a str,
    /// `urn:request:` and the request's id.
    instance: String,
    /// The stable code.
    error: &'static str,
    /// The same as `detail`.
    message: &'a str,
    /// The request's id, which the log has too.
    request_id: &'a str,
    /// The fields that are not as they should be.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    validation_errors: &'a [Invalid],
    /// What is available, where that is too little.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_balance: Option<i64>,
    /// What was asked, where that is too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    required_points: Option<i64>,
    /// After how many seconds to ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

impl Invalid {
    pub(crate) fn parameter(
        field: impl Into<Cow<'static, str>>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), message: message.into(), pointer: None, code }
    }

    pub(crate) fn in_body(
        field: impl Into<Cow<'static, str>>,
        pointer: &str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let pointer = Some(pointer.to_owned().into());
        Self { field: field.into(), message: message.into(), pointer, code }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Busy => {
                Self::unavailable("Too many requests are waiting: ask again with the same key.")
            }
            SubmitError::Unknown => Self::unavailable(
                "The database did not answer for this, so it may be posted or not: ask again with the same key.",
            ),
            SubmitError::Stopping => {
                Self::unavailable("This server is stopping and posted nothing: ask again with the same key.")
            }
            SubmitError::Halted => Self::unavailable(
                "Commits have halted and nothing was posted: the database may lack what was published. Ask again with the same key.",
            ),
            SubmitError::Archived { .. } => Self::archived(),
            SubmitError::Failed => Self::internal(error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(_) => {
                Self::unavailable("The database did not answer: ask again with the same key.").because(error)
            }
            StoreError::Archived { .. } => Self::archived(),
            _ => Self::internal(error),
        }
    }
}

impl From<Retry> for Problem {
    fn from(error: Retry) -> Self {
        match error {
            Retry::Submit(error) => error.into(),
            Retry::Store(error) => error.into(),
        }
    }
}

/// Whether a failure on this path is written as `application/json`, as the M-PESA contract says, rather than as
/// `application/problem+json`.
pub(crate) fn is_plain(path: &str, headers: &HeaderMap) -> bool {
    let asks_for_problem = || {
        headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|it| it.to_str().ok())
            .any(|it| it.to_ascii_lowercase().contains("application/problem+json"))
    };
    path.starts_with("/loyalty/v1/") && !asks_for_problem()
}

/// What a code means, for whoever follows a problem's `type`.
pub(crate) fn describe(name: &str) -> Option<&'static str> {
    Code::ALL.iter().copied().find(|it| it.slug() == name).map(Code::title)
}
