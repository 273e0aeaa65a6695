//! The only place where an error becomes a status, a stable code and a body: RFC 9457 members and those of the M-PESA
//! contract in one document, so that clients of either read what they know.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ingest::{RejectCode, Retry};
use serde::Serialize;
use store::{StoreError, SubmitError};

/// What went wrong: stable, one for each thing that a caller can do something else about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request cannot be read, or a field is out of its range.
    InvalidRequest,
    /// Nobody is known by this credential.
    Unauthorized,
    /// The caller is known and may not.
    Forbidden,
    /// There is nothing under this path.
    NotFound,
    /// There is no such transaction, or none that the caller may see.
    TransactionNotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body is too large.
    PayloadTooLarge,
    /// The body is not JSON by its content type.
    UnsupportedMediaType,
    /// There is no such member, or they are not active.
    UserNotFound,
    /// More is asked than is available.
    InsufficientBalance,
    /// A balance would exceed its limit.
    LimitExceeded,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// An event that was kept as rejected.
    Event(RejectCode),
    /// PostgreSQL is away, or more waits than we take.
    DependencyUnavailable,
    /// Our own fault.
    InternalError,
}

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::TransactionNotFound | Self::UserNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InsufficientBalance | Self::LimitExceeded => StatusCode::CONFLICT,
            Self::IdempotencyKeyReused | Self::Event(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::DependencyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::TransactionNotFound => "TRANSACTION_NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::UserNotFound => "USER_NOT_FOUND",
            Self::InsufficientBalance => "INSUFFICIENT_BALANCE",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::Event(code) => code.as_str(),
            Self::DependencyUnavailable => "DEPENDENCY_UNAVAILABLE",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::Unauthorized => "A valid credential is needed",
            Self::Forbidden => "The credential does not allow this",
            Self::NotFound => "There is nothing here",
            Self::TransactionNotFound => "There is no such transaction",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body's media type is not supported",
            Self::UserNotFound => "The user was not found",
            Self::InsufficientBalance => "The balance is not sufficient",
            Self::LimitExceeded => "A limit would be exceeded",
            Self::IdempotencyKeyReused => "The idempotency key was used for another request",
            Self::Event(RejectCode::TooLong) => "The event is too long",
            Self::Event(RejectCode::Unreadable) => "The event cannot be read",
            Self::Event(RejectCode::NoRate) => "No rule gives points for this event",
            Self::Event(RejectCode::NothingEarned) => "The event earns nothing",
            Self::Event(RejectCode::LimitExceeded) => "A limit would be exceeded",
            Self::Event(RejectCode::UserNotFound) => "The user was not found",
            Self::Event(RejectCode::UserClosed) => "The user's account is closed",
            Self::Event(RejectCode::InFuture) => "The event is in the future",
            Self::Event(RejectCode::IdReused) => "The event's id was used for another event",
            Self::DependencyUnavailable => "The service cannot answer now",
            Self::InternalError => "Something went wrong on our side",
        }
    }
}

/// One field that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invalid {
    /// The field, header, or parameter.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// Where in the body, as a JSON pointer; absent for what is not in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<&'static str>,
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
    cause: Option<String>,
}

impl Problem {
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

    pub(crate) fn insufficient_balance(available: i64, required: i64) -> Self {
        let detail = format!("{required} points are asked and {available} are available.");
        let mut problem = Self::new(Code::InsufficientBalance, detail);
        // The contract's balances are never below zero.
        problem.0.current_balance = Some(available.max(0));
        problem.0.required_points = Some(required);
        problem
    }

    /// It cannot be answered now, and may be soon.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(Code::DependencyUnavailable, detail);
        problem.0.retry_after_s = Some(1);
        problem
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
            r#type: format!("{base_url}/problems/{}", slug(it.code)),
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

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: String,
    error: &'static str,
    message: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    validation_errors: &'a [Invalid],
    #[serde(skip_serializing_if = "Option::is_none")]
    current_balance: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_points: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

impl Invalid {
    pub(crate) fn parameter(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into(), pointer: None, code }
    }

    pub(crate) fn in_body(
        field: &'static str,
        pointer: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { field, message: message.into(), pointer: Some(pointer), code }
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
                "The database went away before it answered, so this may be posted or not: ask again with the same key.",
            ),
            SubmitError::Stopping => {
                Self::unavailable("This server is stopping and posted nothing: ask again with the same key.")
            }
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

fn slug(code: Code) -> String {
    code.as_str().to_ascii_lowercase().replace('_', "-")
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
    const EVENTS: [RejectCode; 9] = [
        RejectCode::TooLong,
        RejectCode::Unreadable,
        RejectCode::NoRate,
        RejectCode::NothingEarned,
        RejectCode::LimitExceeded,
        RejectCode::UserNotFound,
        RejectCode::UserClosed,
        RejectCode::InFuture,
        RejectCode::IdReused,
    ];
    let own = [
        Code::InvalidRequest,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::TransactionNotFound,
        Code::MethodNotAllowed,
        Code::PayloadTooLarge,
        Code::UnsupportedMediaType,
        Code::UserNotFound,
        Code::InsufficientBalance,
        Code::LimitExceeded,
        Code::IdempotencyKeyReused,
        Code::DependencyUnavailable,
        Code::InternalError,
    ];
    own.into_iter().chain(EVENTS.map(Code::Event)).find(|it| slug(*it) == name).map(Code::title)
}
