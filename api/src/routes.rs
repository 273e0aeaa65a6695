//! The table of paths: what is served, to whom, and what is said of it.

use axum::http::Method;
use ingest::RejectCode;
use uuid::Uuid;

use crate::Api;
use crate::access::{EVERYBODY, MEMBERS, PARTNERS, TAKING_PART};
use crate::balance::{self, AppBalance, PartnerBalance};
use crate::code::Code;
use crate::endpoint::Endpoint;
use crate::events::{self, EventsBody, EventsTold, RejectedPage};
use crate::feed::{self, FeedPage};
use crate::gate::Scope;
use crate::redeem::{self, RedemptionRequest, RedemptionResponse};
use crate::route::Route;
use crate::stream;

/// The prefix of the M-PESA contract's paths.
pub(crate) const CONTRACT: &str = "/loyalty/v1";

/// All paths of the API.
pub(crate) fn table() -> Vec<Route<Api>> {
    let mut table = contract();
    table.extend(loyalty());
    table.extend(happenings());
    table.extend(telling());
    table
}

fn get(path: &'static str, name: &'static str, summary: &'static str) -> Endpoint {
    Endpoint::new(Method::GET, path, name, summary)
}

fn post(path: &'static str, name: &'static str, summary: &'static str) -> Endpoint {
    Endpoint::new(Method::POST, path, name, summary)
}

const USER: &str = "The member, whom the credential speaks for.";
const PARTNER: &str = "The credential's own partner.";
const KNOWN: &str = "The ETag of an answer that the caller has already.";

/// The M-PESA contract, to the letter.
fn contract() -> Vec<Route<Api>> {
    vec![
        get("/loyalty/v1/partner/users/{userId}/balance", "getUserBalance", "What a member has")
            .path::<Uuid>("userId", "The member.")
            .query::<bool>("include_pending", "Whether pending points are told.")
            .required_header::<String>("X-Partner-ID", PARTNER)
            .header::<String>("If-None-Match", KNOWN)
            .answers::<PartnerBalance>(200, "What the member has.")
            .answers_empty(304, "The caller has this answer already.")
            .refuses(&[Code::UserNotFound])
            .guarded(Scope::Read, PARTNERS, balance::partner_balance),
        post("/loyalty/v1/partner/users/{userId}/redeem", "redeemPoints", "Spends points")
            .path::<Uuid>("userId", "The member.")
            .required_header::<Uuid>(
                "X-Idempotency-Key",
                "The same key again is the same redemption. It may stand in Idempotency-Key instead.",
            )
            .header::<String>("X-Partner-ID", PARTNER)
            .body::<RedemptionRequest>()
            .answers::<RedemptionResponse>(200, "The points are spent.")
            .refuses(&[
                Code::UserNotFound,
                Code::InsufficientBalance,
                Code::LimitExceeded,
                Code::IdempotencyKeyReused,
            ])
            .guarded(Scope::Redeem, PARTNERS, redeem::redeem),
    ]
}

/// What apps and partners do with points.
fn loyalty() -> Vec<Route<Api>> {
    vec![
        get("/api/v1/loyalty/balance", "getBalance", "What a member has")
            .header::<String>("X-User-ID", USER)
            .header::<String>("If-None-Match", KNOWN)
            .answers::<AppBalance>(200, "What the member has.")
            .answers_empty(304, "The caller has this answer already.")
            .refuses(&[Code::UserNotFound])
            .guarded(Scope::Read, MEMBERS, balance::app_balance),
    ]
}

/// What happened elsewhere and may earn.
fn happenings() -> Vec<Route<Api>> {
    vec![
        post(
            "/api/v1/events",
            "postEvents",
            "One event, an array, or an object of up to 1,000: a verdict for each",
        )
        .body::<EventsBody>()
        .answers::<EventsTold>(200, "A verdict for the event, or for each in their order.")
        .refuses(&[
            Code::Event(RejectCode::TooLong),
            Code::Event(RejectCode::Unreadable),
            Code::Event(RejectCode::NoRate),
            Code::Event(RejectCode::NothingEarned),
            Code::Event(RejectCode::LimitExceeded),
            Code::Event(RejectCode::UserNotFound),
            Code::Event(RejectCode::UserClosed),
            Code::Event(RejectCode::InFuture),
            Code::Event(RejectCode::IdReused),
        ])
        .guarded(Scope::Earn, TAKING_PART, events::post_events),
        get(
            "/api/v1/rejected-events",
            "listRejectedEvents",
            "Events that were not posted, with bytes and reason",
        )
        .query::<u32>("limit", "How many, from 1 to 100; a page ends after 1 MiB, too.")
        .query::<String>("starting_after", "The `next_cursor` of the page before.")
        .answers::<RejectedPage>(200, "A page, oldest first.")
        .guarded(Scope::Earn, TAKING_PART, events::rejected_events),
    ]
}

/// What is told of what happens.
fn telling() -> Vec<Route<Api>> {
    const UNIT: &str = "The unit of a member's account; 1, the points, where it is not said.";
    vec![
        get(
            "/api/v1/loyalty/stream",
            "streamNotices",
            "Notices as they happen, over a WebSocket or as server-sent events",
        )
        .header::<String>("X-User-ID", USER)
        .header::<u64>(
            "Last-Event-ID",
            "The `seq` of the last notice that was seen: goes before `resume_from`.",
        )
        .query::<u64>(
            "resume_from",
            "The `seq` of the last notice that was seen; without it, what happens from now on.",
        )
        .query::<u16>("unit", UNIT)
        .answers_plain(200, "text/event-stream", "Notices, one an event.")
        .answers_empty(101, "A WebSocket: notices, one a text frame.")
        .refuses(&[Code::UserNotFound])
        .guarded(Scope::Read, EVERYBODY, stream::stream),
        get("/api/v1/feed", "listFeed", "Everything that the caller may see, oldest first")
            .header::<String>("X-User-ID", USER)
            .query::<u64>(
                "cursor",
                "The `next_cursor` of the page before, or the `seq` of the last notice that was seen.",
            )
            .query::<u32>("limit", "How many, from 1 to 100.")
            .query::<u16>("unit", UNIT)
            .answers::<FeedPage>(200, "A page.")
            .refuses(&[Code::UserNotFound])
            .guarded(Scope::Read, EVERYBODY, feed::feed),
    ]
}
