//! What can go wrong, by its stable code: one table of code, status and title.

use axum::http::StatusCode;
use ingest::RejectCode;

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
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::TransactionNotFound,
        Self::UserNotFound,
        Self::MethodNotAllowed,
        Self::InsufficientBalance,
        Self::LimitExceeded,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::Event(RejectCode::TooLong),
        Self::Event(RejectCode::Unreadable),
        Self::Event(RejectCode::NoRate),
        Self::Event(RejectCode::NothingEarned),
        Self::Event(RejectCode::LimitExceeded),
        Self::Event(RejectCode::UserNotFound),
        Self::Event(RejectCode::UserClosed),
        Self::Event(RejectCode::InFuture),
        Self::Event(RejectCode::IdReused),
        Self::InternalError,
        Self::DependencyUnavailable,
    ];

    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (400, "INVALID_REQUEST", "The request is not valid"),
            Self::Unauthorized => (401, "UNAUTHORIZED", "A valid credential is needed"),
            Self::Forbidden => (403, "FORBIDDEN", "The credential does not allow this"),
            Self::NotFound => (404, "NOT_FOUND", "There is nothing here"),
            Self::TransactionNotFound => (404, "TRANSACTION_NOT_FOUND", "There is no such transaction"),
            Self::UserNotFound => (404, "USER_NOT_FOUND", "The user was not found"),
            Self::MethodNotAllowed => (405, "METHOD_NOT_ALLOWED", "The method is not allowed here"),
            Self::InsufficientBalance => (409, "INSUFFICIENT_BALANCE", "The balance is not sufficient"),
            Self::LimitExceeded => (409, "LIMIT_EXCEEDED", "A limit would be exceeded"),
            Self::PayloadTooLarge => (413, "PAYLOAD_TOO_LARGE", "The body is too large"),
            Self::UnsupportedMediaType => {
                (415, "UNSUPPORTED_MEDIA_TYPE", "The body's media type is not supported")
            }
            Self::IdempotencyKeyReused => {
                (422, "IDEMPOTENCY_KEY_REUSED", "The idempotency key was used for another request")
            }
            Self::Event(code) => (422, code.as_str(), event_title(code)),
            Self::InternalError => (500, "INTERNAL_ERROR", "Something went wrong on our side"),
            Self::DependencyUnavailable => (503, "DEPENDENCY_UNAVAILABLE", "The service cannot answer now"),
        }
    }

    /// The status that it is answered with.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).expect("the table holds statuses")
    }

    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// What it means, in a few words.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Its name in the address that explains it.
    pub(crate) fn slug(self) -> String {
        self.as_str().to_ascii_lowercase().replace('_', "-")
    }
}

fn event_title(code: RejectCode) -> &'static str {
    match code {
        RejectCode::TooLong => "The event is too long",
        RejectCode::Unreadable => "The event cannot be read",
        RejectCode::NoRate => "No rule gives points for this event",
        RejectCode::NothingEarned => "The event earns nothing",
        RejectCode::LimitExceeded => "A limit would be exceeded",
        RejectCode::UserNotFound => "The user was not found",
        RejectCode::UserClosed => "The user's account is closed",
        RejectCode::InFuture => "The event is in the future",
        RejectCode::IdReused => "The event's id was used for another event",
    }
}
