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
    /// It contradicts what is there.
    Conflict,
    /// The endpoint has not shown that it wants to be told.
    WebhookNotVerified,
    /// What is changed is not any more what the caller has read.
    PreconditionFailed,
    /// A change does not say which version it is made to.
    PreconditionRequired,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// The request needs an idempotency key.
    IdempotencyKeyMissing,
    /// A correction names who makes it and why.
    ReasonRequired,
    /// A correction this large needs a second person.
    ApprovalRequired,
    /// The screening refuses it.
    FraudDenied,
    /// Somebody must look at it first.
    FraudReview,
    /// There is no such partner.
    PartnerNotFound,
    /// The partner has not shown yet what it must before it goes live.
    PartnerNotReady,
    /// A request with this key is being worked on.
    IdempotencyInProgress,
    /// The partner's reference names another transaction.
    ReferenceReused,
    /// The account has changed, or is not yet as new as was asked.
    VersionConflict,
    /// The hold has lapsed.
    HoldExpired,
    /// The hold was captured or voided.
    HoldAlreadySettled,
    /// The pending earning was confirmed, cancelled or has matured.
    EarningAlreadySettled,
    /// An earning that is pending is cancelled, not reversed.
    StillPending,
    /// A withdrawal can still be claimed on the chain.
    StillClaimable,
    /// A withdrawal was claimed on the chain.
    AlreadyClaimed,
    /// The member has open holds or pending earnings.
    MemberReserved,
    /// More is asked than is left of the posting.
    MoreThanLeft,
    /// This cannot be done to a posting of that kind.
    WrongKind,
    /// No points end so soon.
    NothingToExtend,
    /// A withdrawal is of points that end on too many days.
    TooManyDays,
    /// A withdrawal is of points that do not last as long as it must.
    EndsTooSoon,
    /// A withdrawal could be claimed for too long, or not at all.
    ClaimTimeOutOfRange,
    /// A withdrawal is for whom nobody could spend it.
    HolderUnfit,
    /// It would take effect in a closed period.
    PeriodClosed,
    /// It was moved to the archive.
    Archived,
    /// The member takes part no more.
    MemberClosed,
    /// Both sides are the same member.
    SameMember,
    /// A hold would last too long, or not long enough.
    HoldTimeOutOfRange,
    /// It would take effect in the future.
    InFuture,
    /// An amount is zero or more than there may be.
    AmountOutOfRange,
    /// A request has too many items.
    ItemCount,
    /// The member is suspended.
    MemberSuspended,
    /// An event that was kept as rejected.
    Event(RejectCode),
    /// More was asked than is allowed.
    RateLimited,
    /// PostgreSQL is away, or more waits than we take.
    DependencyUnavailable,
    /// Our own fault.
    InternalError,
}

impl Code {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::InvalidRequest,
        Self::IdempotencyKeyMissing,
        Self::ReasonRequired,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ApprovalRequired,
        Self::FraudDenied,
        Self::FraudReview,
        Self::NotFound,
        Self::TransactionNotFound,
        Self::UserNotFound,
        Self::PartnerNotFound,
        Self::MethodNotAllowed,
        Self::InsufficientBalance,
        Self::LimitExceeded,
        Self::IdempotencyInProgress,
        Self::ReferenceReused,
        Self::VersionConflict,
        Self::WebhookNotVerified,
        Self::PartnerNotReady,
        Self::HoldExpired,
        Self::HoldAlreadySettled,
        Self::EarningAlreadySettled,
        Self::StillPending,
        Self::StillClaimable,
        Self::AlreadyClaimed,
        Self::MemberReserved,
        Self::MoreThanLeft,
        Self::WrongKind,
        Self::NothingToExtend,
        Self::TooManyDays,
        Self::EndsTooSoon,
        Self::PeriodClosed,
        Self::MemberClosed,
        Self::Archived,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::SameMember,
        Self::HoldTimeOutOfRange,
        Self::ClaimTimeOutOfRange,
        Self::HolderUnfit,
        Self::InFuture,
        Self::AmountOutOfRange,
        Self::ItemCount,
        Self::PreconditionRequired,
        Self::Event(RejectCode::TooLong),
        Self::Event(RejectCode::Unreadable),
        Self::Event(RejectCode::NoRate),
        Self::Event(RejectCode::NothingEarned),
        Self::Event(RejectCode::LimitExceeded),
        Self::Event(RejectCode::UserNotFound),
        Self::Event(RejectCode::UserClosed),
        Self::Event(RejectCode::InFuture),
        Self::Event(RejectCode::IdReused),
        Self::MemberSuspended,
        Self::RateLimited,
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
            Self::Conflict => (409, "CONFLICT", "It contradicts what is there"),
            Self::WebhookNotVerified => {
                (409, "WEBHOOK_NOT_VERIFIED", "The endpoint has not answered a challenge")
            }
            Self::PreconditionFailed => (412, "PRECONDITION_FAILED", "It was changed meanwhile"),
            Self::PreconditionRequired => {
                (428, "PRECONDITION_REQUIRED", "A change names the version that it is made to")
            }
            Self::PayloadTooLarge => (413, "PAYLOAD_TOO_LARGE", "The body is too large"),
            Self::UnsupportedMediaType => {
                (415, "UNSUPPORTED_MEDIA_TYPE", "The body's media type is not supported")
            }
            Self::IdempotencyKeyReused => {
                (422, "IDEMPOTENCY_KEY_REUSED", "The idempotency key was used for another request")
            }
            Self::IdempotencyKeyMissing => (400, "IDEMPOTENCY_KEY_MISSING", "An idempotency key is needed"),
            Self::ReasonRequired => (400, "REASON_REQUIRED", "A correction needs a reason"),
            Self::ApprovalRequired => (403, "APPROVAL_REQUIRED", "Somebody else must approve this"),
            Self::FraudDenied => (403, "FRAUD_DENIED", "The screening refuses this"),
            Self::FraudReview => (409, "FRAUD_REVIEW", "Somebody must look at this first"),
            Self::PartnerNotReady => (409, "PARTNER_NOT_READY", "The partner is not ready to go live"),
            Self::PartnerNotFound => (404, "PARTNER_NOT_FOUND", "There is no such partner"),
            Self::IdempotencyInProgress => {
                (409, "IDEMPOTENCY_IN_PROGRESS", "A request with this key is being worked on")
            }
            Self::ReferenceReused => (409, "REFERENCE_REUSED", "The reference names another transaction"),
            Self::VersionConflict => (409, "VERSION_CONFLICT", "The account has another version"),
            Self::HoldExpired => (409, "HOLD_EXPIRED", "The hold has lapsed"),
            Self::HoldAlreadySettled => (409, "HOLD_ALREADY_SETTLED", "The hold was captured or voided"),
            Self::EarningAlreadySettled => {
                (409, "EARNING_ALREADY_SETTLED", "The earning is not pending any more")
            }
            Self::StillPending => (409, "STILL_PENDING", "The earning is pending"),
            Self::AlreadyClaimed => (409, "ALREADY_CLAIMED", "The withdrawal was claimed"),
            Self::StillClaimable => (409, "STILL_CLAIMABLE", "The withdrawal can be claimed yet"),
            Self::MemberReserved => {
                (409, "MEMBER_RESERVED", "The member owes points, or has some on hold, pending or withdrawn")
            }
            Self::MoreThanLeft => (409, "MORE_THAN_LEFT", "Less is left of it"),
            Self::WrongKind => (409, "WRONG_KIND", "This cannot be done to such a transaction"),
            Self::NothingToExtend => (409, "NOTHING_TO_EXTEND", "There is nothing to extend"),
            Self::EndsTooSoon => (409, "ENDS_TOO_SOON", "The points end too soon to be withdrawn"),
            Self::TooManyDays => (409, "TOO_MANY_DAYS", "The points end on too many days"),
            Self::PeriodClosed => (409, "PERIOD_CLOSED", "The period is closed"),
            Self::Archived => (410, "ARCHIVED", "It was moved to the archive"),
            Self::MemberClosed => (410, "MEMBER_CLOSED", "The member's account is closed"),
            Self::SameMember => (422, "SAME_MEMBER", "Both sides are the same member"),
            Self::HoldTimeOutOfRange => (422, "HOLD_TIME_OUT_OF_RANGE", "A hold cannot end then"),
            Self::ClaimTimeOutOfRange => {
                (422, "CLAIM_TIME_OUT_OF_RANGE", "A withdrawal cannot be claimed until then")
            }
            Self::HolderUnfit => (422, "HOLDER_UNFIT", "Nobody could spend what that holder has"),
            Self::InFuture => (422, "IN_FUTURE", "It would take effect in the future"),
            Self::AmountOutOfRange => (422, "AMOUNT_OUT_OF_RANGE", "The amount is out of range"),
            Self::ItemCount => (422, "ITEM_COUNT", "The request has too many items"),
            Self::MemberSuspended => (423, "MEMBER_SUSPENDED", "The member is suspended"),
            Self::Event(code) => (422, code.as_str(), event_title(code)),
            Self::RateLimited => (429, "RATE_LIMIT_EXCEEDED", "API rate limit exceeded"),
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
