//! The table of paths: what is served, to whom, and what is said of it.

use axum::http::Method;
use ingest::RejectCode;
use uuid::Uuid;

use crate::Api;
use crate::access::{
    APPROVING, CHANGING, CORRECTING, EVERYBODY, LOOKING, MEMBERS, PARTNERS, SETTLED, TAKING_PART,
};
use crate::acts::{self, ActPage, Because};
use crate::ask::{self, Became, Eligibility};
use crate::balance::{self, AppBalance, PartnerBalance};
use crate::batch::{self, BatchTold, NewBatch};
use crate::code::Code;
use crate::correct::{self, NewAdjustment, NewReversal};
use crate::endpoint::Endpoint;
use crate::enrol::{self, EnrolledTold, NewMember};
use crate::events::{self, EventsBody, EventsTold, RejectedPage, Told};
use crate::feed::{self, FeedPage};
use crate::gate::Scope;
use crate::history::{self, TransactionPage};
use crate::keys;
use crate::lots::{self, LotPage};
use crate::members::{self, MemberTold, NewMerge, NewStatus, NewTier};
use crate::parked::{self, ParkedPage};
use crate::partners::{self, NewPartner, PartnerChange, PartnerPage, PartnerTold, ReadinessTold};
use crate::policy::{self, NewPolicy, NewRate, PolicyTold, ProgramList, ProgramTold};
use crate::post::Transaction;
use crate::priority::AnchorPriority;
use crate::redeem::{self, RedemptionRequest, RedemptionResponse};
use crate::reviews::{self, ReviewPage};
use crate::route::Route;
use crate::sandbox::{self, ClockTold, NewClock};
use crate::spend::{self, NewCapture, NewEnd, NewHold, NewIncrease, NewRedemption, NewTransfer, NewVoid};
use crate::story::{self, ToldTransaction};
use crate::stream;
use crate::webhooks::{
    self, Queued, ReplayRequest, SecretChange, WebhookChange, WebhookEndpoint, WebhookList, WebhookMessages,
    WebhookRequest,
};

/// The prefix of the M-PESA contract's paths.
pub(crate) const CONTRACT: &str = "/loyalty/v1";

/// All paths of the API.
pub(crate) fn table() -> Vec<Route<Api>> {
    let mut table = contract();
    table.extend(loyalty());
    table.extend(happenings());
    table.extend(waiting());
    table.extend(operators());
    table.extend(administration());
    table.extend(keys::table());
    table.extend(telling());
    table.extend(webhooks());
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
                Code::FraudDenied,
                Code::IdempotencyInProgress,
                Code::IdempotencyKeyReused,
                Code::ReferenceReused,
                Code::Archived,
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
            .query::<u64>("min_version", "The version that the caller has seen: an older answer is none.")
            .query::<String>("as_of", "An instant, or a size of the log: what the member had then.")
            .answers::<AppBalance>(200, "What the member has.")
            .answers_empty(304, "The caller has this answer already.")
            .refuses(&[Code::UserNotFound, Code::VersionConflict, Code::Archived])
            .guarded(Scope::Read, MEMBERS, balance::app_balance),
        get("/api/v1/loyalty/lots", "listLots", "The points by when they end")
            .header::<String>("X-User-ID", USER)
            .query::<u32>("limit", LIMIT)
            .query::<String>("starting_after", CURSOR)
            .answers::<LotPage>(200, "A page, what ends first standing first.")
            .refuses(&[Code::UserNotFound])
            .guarded(Scope::Read, MEMBERS, lots::lots),
        get(
            "/api/v1/loyalty/transactions",
            "listTransactions",
            "The transactions of an account, newest first",
        )
        .header::<String>("X-User-ID", USER)
        .query::<String>("user_id", "The member, where an operator asks.")
        .query::<u32>("limit", LIMIT)
        .query::<u64>("starting_after", CURSOR)
        .query::<u64>("ending_before", "A version of the account: the page that ends before it.")
        .query::<String>("type", "Only of this kind; a page looks at 1,000 transactions at most.")
        .query::<Uuid>("lot_id", "Only what moved points of this lot; it looks as far.")
        .query::<String>("created[gte]", "None that was recorded before this instant.")
        .query::<u64>("from_seq", "None before this version of the account.")
        .query::<u64>("to_seq", "None after this version of the account.")
        .answers::<TransactionPage>(200, "A page: the member's account, or a partner's own.")
        .refuses(&[Code::Archived])
        .refuses(&[Code::UserNotFound])
        .guarded(Scope::Read, EVERYBODY, history::transactions),
        get(
            "/api/v1/loyalty/transactions/{transaction_id}",
            "getTransaction",
            "A transaction with what became of it",
        )
        .path::<Uuid>("transaction_id", "The transaction.")
        .header::<String>("X-User-ID", USER)
        .answers::<ToldTransaction>(200, "The transaction.")
        .refuses(&[Code::TransactionNotFound, Code::Archived])
        .guarded(Scope::Read, EVERYBODY, story::transaction),
        get("/api/v1/loyalty/eligibility", "getEligibility", "Whether a redemption would be allowed now")
            .header::<String>("X-User-ID", USER)
            .header::<String>("X-Partner-ID", PARTNER)
            .header::<AnchorPriority>(
                "Anchor-Priority",
                "As the redemption would say it: the same scope is needed.",
            )
            .required_query::<u64>("points", "How many points.")
            .query::<String>("user_id", "The member, where a partner asks.")
            .query::<String>("partner_id", "The partner with whom they would be spent.")
            .query::<bool>("up_to", "Whether less would do.")
            .answers::<Eligibility>(200, "Whether it would be, and why not.")
            .guarded(Scope::Read, TAKING_PART, ask::eligibility),
        get("/api/v1/responses/{idempotency_key}", "getResponse", "What became of a request")
            .path::<String>("idempotency_key", RESPONSE_KEY)
            .answers::<Became>(200, "What became of it.")
            .refuses(&[Code::NotFound])
            .guarded(Scope::Read, EVERYBODY, ask::response),
        post("/api/v1/loyalty/batches", "postBatch", "Up to 1,000 things in one request")
            .header::<String>("X-User-ID", USER)
            .header::<String>("X-Partner-ID", PARTNER)
            .required_header::<String>("Idempotency-Key", KEY)
            .header::<AnchorPriority>("Anchor-Priority", PRIORITY)
            .body::<NewBatch>()
            .answers::<BatchTold>(200, "What came of each item.")
            .refuses(SPENDING)
            .refuses(KEYED)
            .refuses(&[Code::SameMember, Code::ItemCount, Code::FraudReview, Code::ReferenceReused])
            .guarded(Scope::Redeem, TAKING_PART, batch::batch),
        posted("/api/v1/loyalty/redemptions", "redeem", "Spends points")
            .body::<NewRedemption>()
            .refuses(SPENDING)
            .refuses(&[Code::ReferenceReused])
            .guarded(Scope::Redeem, TAKING_PART, spend::redeem),
        posted("/api/v1/loyalty/transfers", "transfer", "Gives points to another member")
            .body::<NewTransfer>()
            .refuses(SPENDING)
            .refuses(&[Code::SameMember, Code::FraudReview])
            .guarded(Scope::Redeem, MEMBERS, spend::transfer),
        posted("/api/v1/loyalty/holds", "hold", "Sets points aside for a while")
            .body::<NewHold>()
            .refuses(SPENDING)
            .refuses(&[Code::HoldTimeOutOfRange, Code::FraudReview, Code::ReferenceReused])
            .guarded(Scope::Redeem, TAKING_PART, spend::hold),
        of_a_hold(
            "/api/v1/loyalty/holds/{hold_id}/capture",
            "captureHold",
            "Spends what a hold has set aside",
        )
        .body::<NewCapture>()
        .refuses(&[Code::MoreThanLeft, Code::FraudReview, Code::ReferenceReused])
        .guarded(Scope::Redeem, TAKING_PART, spend::capture),
        of_a_hold("/api/v1/loyalty/holds/{hold_id}/void", "voidHold", "Gives a hold up")
            .body::<NewVoid>()
            .guarded(Scope::Redeem, TAKING_PART, spend::void),
        of_a_hold(
            "/api/v1/loyalty/holds/{hold_id}/increase",
            "increaseHold",
            "Sets more points aside in a hold",
        )
        .body::<NewIncrease>()
        .refuses(&[
            Code::InsufficientBalance,
            Code::LimitExceeded,
            Code::MemberSuspended,
            Code::AmountOutOfRange,
            Code::FraudDenied,
            Code::FraudReview,
        ])
        .guarded(Scope::Redeem, TAKING_PART, spend::increase),
        of_a_hold("/api/v1/loyalty/holds/{hold_id}/extend", "extendHold", "Lets a hold stand longer")
            .body::<NewEnd>()
            .refuses(&[Code::HoldTimeOutOfRange, Code::FraudReview])
            .guarded(Scope::Redeem, TAKING_PART, spend::extend),
        posted(
            "/api/v1/loyalty/transactions/{transaction_id}/reversals",
            "reverse",
            "Undoes a transaction, or a part of it",
        )
        .path::<Uuid>("transaction_id", "The transaction.")
        .body::<NewReversal>()
        .refuses(&[
            Code::TransactionNotFound,
            Code::WrongKind,
            Code::MoreThanLeft,
            Code::StillPending,
            Code::StillClaimable,
            Code::AlreadyClaimed,
            Code::LimitExceeded,
            Code::ApprovalRequired,
            Code::MemberClosed,
            Code::ReferenceReused,
        ])
        .guarded(Scope::Adjust, CORRECTING, correct::reverse),
        posted("/api/v1/loyalty/adjustments", "adjust", "Corrects what a member has")
            .header::<String>("Approver-Authorization", APPROVER)
            .body::<NewAdjustment>()
            .refuses(&[
                Code::UserNotFound,
                Code::MemberClosed,
                Code::InsufficientBalance,
                Code::LimitExceeded,
                Code::ApprovalRequired,
                Code::ReasonRequired,
                Code::PeriodClosed,
                Code::InFuture,
                Code::VersionConflict,
                Code::AmountOutOfRange,
            ])
            .guarded(Scope::Adjust, CHANGING, correct::adjust),
    ]
}

const RESPONSE_KEY: &str = "The key that it was sent with; of an item of an independent batch, the batch's key, `#` and the item's place \
                            from 0, as in `key#0`.";
pub(crate) const LIMIT: &str = "How many, from 1 to 100; 50 where it is left out.";
pub(crate) const CURSOR: &str = "The `next_cursor` of the page before.";
const APPROVER: &str =
    "`Bearer` and a token of an approver, who is somebody else, where the program's policy asks for one.";
const KEY: &str =
    "A key of the caller's choice, 1 to 255 characters: the same key with the same request is done once.";

const PRIORITY: &str =
    "Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides.";

/// What can be wrong with a key.
const KEYED: &[Code] =
    &[Code::IdempotencyKeyMissing, Code::IdempotencyInProgress, Code::IdempotencyKeyReused, Code::Archived];

/// What operators do.
fn operators() -> Vec<Route<Api>> {
    let of_a_review = |path, name, summary| {
        post(path, name, summary)
            .path::<Uuid>("transaction_id", "The redemption.")
            .required_header::<String>("Idempotency-Key", KEY)
            .header::<AnchorPriority>("Anchor-Priority", PRIORITY)
            .body::<Because>()
            .answers::<Transaction>(201, "It is posted.")
            .refuses(KEYED)
            .refuses(&[
                Code::TransactionNotFound,
                Code::HoldExpired,
                Code::HoldAlreadySettled,
                Code::MemberClosed,
            ])
    };
    vec![
        get("/api/v1/reviews", "listReviews", "Redemptions that wait for somebody to look at them")
            .query::<u32>("limit", LIMIT)
            .query::<u64>("starting_after", CURSOR)
            .answers::<ReviewPage>(200, "A page, the oldest first.")
            .guarded(Scope::Adjust, LOOKING, reviews::list),
        of_a_review(
            "/api/v1/reviews/{transaction_id}/approve",
            "approveReview",
            "Spends the points of a redemption under review",
        )
        .guarded(Scope::Adjust, APPROVING, reviews::approve),
        of_a_review(
            "/api/v1/reviews/{transaction_id}/deny",
            "denyReview",
            "Gives the points of a redemption under review back",
        )
        .guarded(Scope::Adjust, APPROVING, reviews::deny),
        post("/api/v1/members", "enrolMember", "Enrols a member, under an id, an external id, or both")
            .header::<String>("X-Partner-ID", PARTNER)
            .body::<NewMember>()
            .answers::<EnrolledTold>(201, "They take part, or have this name, from now on.")
            .answers::<EnrolledTold>(200, "They did already.")
            .refuses(&[Code::Conflict])
            .guarded(Scope::Earn, CORRECTING, enrol::enrol),
        get("/api/v1/members/{user_id}", "getMember", "A member, as an operator sees them")
            .path::<String>("user_id", MEMBER)
            .answers_tagged::<MemberTold>(200, "The member; the ETag is what a change must match.")
            .refuses(&[Code::UserNotFound])
            .guarded(Scope::Admin, LOOKING, members::member),
        of_a_member(
            "/api/v1/members/{user_id}/status",
            "setMemberStatus",
            "Suspends a member, makes them active again, or closes them",
        )
        .body::<NewStatus>()
        .guarded(Scope::Admin, CHANGING, members::set_status),
        Endpoint::new(
            Method::PUT,
            "/api/v1/members/{user_id}/tier",
            "setMemberTier",
            "Settles a member's tier, or that they have none",
        )
        .path::<String>("user_id", MEMBER)
        .required_header::<String>("If-Match", MEMBER_SEEN)
        .body::<NewTier>()
        .answers_tagged::<MemberTold>(200, "The member as they are now.")
        .refuses(&[Code::UserNotFound, Code::PreconditionFailed, Code::PreconditionRequired])
        .guarded(Scope::Admin, CHANGING, members::set_tier),
        of_a_member("/api/v1/members/{user_id}/merge", "mergeMember", "Merges a member into another")
            .body::<NewMerge>()
            .refuses(&[Code::SameMember, Code::LimitExceeded])
            .guarded(Scope::Admin, CHANGING, members::merge),
    ]
}

const MEMBER: &str = "The member, by UUID or external id.";
const MEMBER_SEEN: &str = "The ETag of the member that the operator has seen.";

/// What operators settle. Each change is an act of its own in the log.
fn administration() -> Vec<Route<Api>> {
    const PARTNER_ID: &str = "The partner's name.";
    const PROGRAM: &str = "The program, by the id under which leaves name it.";
    const SEEN: &str = "The ETag of what the operator has seen.";
    let of_a_partner = |method, path, name, summary| {
        Endpoint::new(method, path, name, summary)
            .path::<String>("partner_id", PARTNER_ID)
            .answers_tagged::<PartnerTold>(200, "The partner; its ETag is what a change must match.")
            .refuses(&[Code::PartnerNotFound])
    };
    let changed = &[Code::PreconditionFailed, Code::PreconditionRequired];
    vec![
        get("/api/v1/programs", "listPrograms", "The program of the credential")
            .answers::<ProgramList>(200, "The program.")
            .guarded(Scope::Admin, LOOKING, policy::programs),
        get(
            "/api/v1/programs/{program_id}",
            "getProgram",
            "A program, with what a point is worth from when on",
        )
        .path::<Uuid>("program_id", PROGRAM)
        .answers_tagged::<ProgramTold>(200, "The program; its ETag is what a change must match.")
        .refuses(&[Code::NotFound])
        .guarded(Scope::Admin, LOOKING, policy::program),
        post(
            "/api/v1/programs/{program_id}/rates",
            "addRate",
            "Settles what a point is worth from an instant on",
        )
        .path::<Uuid>("program_id", PROGRAM)
        .required_header::<String>("If-Match", SEEN)
        .body::<NewRate>()
        .answers_tagged::<ProgramTold>(200, "The program as it is now.")
        .refuses(changed)
        .refuses(&[Code::NotFound])
        .guarded(Scope::Admin, APPROVING, policy::add_rate),
        get("/api/v1/limits", "getLimits", "What is settled for the program: limits, expiry, holds, debt")
            .answers_tagged::<PolicyTold>(200, "The policy; its ETag is what a change must match.")
            .guarded(Scope::Admin, LOOKING, policy::limits),
        Endpoint::new(Method::PUT, "/api/v1/limits", "setLimits", "Settles limits, expiry, holds, debt anew")
            .required_header::<String>("If-Match", SEEN)
            .body::<NewPolicy>()
            .answers_tagged::<PolicyTold>(200, "The policy as it is now.")
            .refuses(changed)
            .guarded(Scope::Admin, APPROVING, policy::set_limits),
        get("/api/v1/partners", "listPartners", "The program's partners")
            .query::<u32>("limit", LIMIT)
            .query::<String>("starting_after", CURSOR)
            .answers::<PartnerPage>(200, "A page, by name.")
            .guarded(Scope::Admin, LOOKING, partners::list),
        post("/api/v1/partners", "createPartner", "Makes a partner, to be onboarded")
            .body::<NewPartner>()
            .answers_tagged::<PartnerTold>(201, "The partner.")
            .refuses(&[Code::Conflict])
            .guarded(Scope::Admin, CHANGING, partners::create),
        get(
            "/api/v1/partners/me/readiness",
            "getReadiness",
            "What the calling partner lacks before it can go live",
        )
        .header::<String>("X-Partner-ID", PARTNER)
        .answers::<ReadinessTold>(200, "What is done, and what is not.")
        .guarded(Scope::Read, PARTNERS, partners::readiness),
        get("/api/v1/sandbox/clock", "getSandboxClock", "What the sandbox's clock shows")
            .answers::<ClockTold>(200, "The clock.")
            .refuses(&[Code::Conflict])
            .guarded(Scope::Read, EVERYBODY, sandbox::clock),
        post("/api/v1/sandbox/clock", "moveSandboxClock", "Moves the sandbox's clock forward")
            .body::<NewClock>()
            .answers::<ClockTold>(200, "The clock as it is now.")
            .refuses(&[Code::Conflict])
            .guarded(Scope::Adjust, CORRECTING, sandbox::move_clock),
        of_a_partner(Method::GET, "/api/v1/partners/{partner_id}", "getPartner", "A partner").guarded(
            Scope::Admin,
            LOOKING,
            partners::get,
        ),
        of_a_partner(Method::PATCH, "/api/v1/partners/{partner_id}", "changePartner", "Changes a partner")
            .required_header::<String>("If-Match", SEEN)
            .body::<PartnerChange>()
            .refuses(changed)
            .guarded(Scope::Admin, CHANGING, partners::change),
        of_a_partner(
            Method::POST,
            "/api/v1/partners/{partner_id}/live",
            "takePartnerLive",
            "Lets a partner that is ready take part in the live books",
        )
        .required_header::<String>("If-Match", SEEN)
        .body::<Because>()
        .refuses(changed)
        .refuses(&[Code::PartnerNotReady])
        .guarded(Scope::Admin, APPROVING, partners::go_live),
        get("/api/v1/audit", "listActs", "What operators have done, newest first")
            .query::<u32>("limit", LIMIT)
            .query::<u64>("starting_after", CURSOR)
            .answers::<ActPage>(200, "A page.")
            .guarded(Scope::Audit, LOOKING, acts::list),
    ]
}

fn of_a_member(path: &'static str, name: &'static str, summary: &'static str) -> Endpoint {
    post(path, name, summary)
        .path::<String>("user_id", MEMBER)
        .required_header::<String>("If-Match", MEMBER_SEEN)
        .required_header::<String>("Idempotency-Key", KEY)
        .header::<AnchorPriority>("Anchor-Priority", PRIORITY)
        .answers::<Transaction>(201, "It is posted.")
        .refuses(KEYED)
        .refuses(&[
            Code::UserNotFound,
            Code::MemberClosed,
            Code::MemberReserved,
            Code::VersionConflict,
            Code::PreconditionFailed,
            Code::PreconditionRequired,
        ])
}

/// What can be wrong where points are spent.
const SPENDING: &[Code] = &[
    Code::UserNotFound,
    Code::PartnerNotFound,
    Code::InsufficientBalance,
    Code::LimitExceeded,
    Code::VersionConflict,
    Code::MemberClosed,
    Code::MemberSuspended,
    Code::AmountOutOfRange,
    Code::FraudDenied,
];

/// A path that posts one thing, once for each key.
fn posted(path: &'static str, name: &'static str, summary: &'static str) -> Endpoint {
    post(path, name, summary)
        .header::<String>("X-User-ID", USER)
        .header::<String>("X-Partner-ID", PARTNER)
        .required_header::<String>("Idempotency-Key", KEY)
        .header::<AnchorPriority>("Anchor-Priority", PRIORITY)
        .answers::<Transaction>(201, "It is posted.")
        .refuses(KEYED)
}

fn of_a_hold(path: &'static str, name: &'static str, summary: &'static str) -> Endpoint {
    posted(path, name, summary).path::<Uuid>("hold_id", "The hold.").refuses(&[
        Code::TransactionNotFound,
        Code::WrongKind,
        Code::HoldExpired,
        Code::HoldAlreadySettled,
        Code::MemberClosed,
    ])
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
        .answers::<EventsTold>(202, "The event waits until its member is enrolled.")
        .refuses(&[
            Code::ItemCount,
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

/// What happened, of somebody who is not a member yet.
fn waiting() -> Vec<Route<Api>> {
    let at = |method: Method, path, name, summary| {
        Endpoint::new(method, path, name, summary)
            .path::<i64>("parked_event_id", "The event's number.")
            .refuses(&[Code::NotFound])
    };
    vec![
        get("/api/v1/parked-events", "listParkedEvents", "Events that wait until their member is enrolled")
            .query::<u32>("limit", LIMIT)
            .query::<String>("starting_after", CURSOR)
            .answers::<ParkedPage>(200, "A page, oldest first.")
            .guarded(Scope::Admin, LOOKING, parked::list),
        at(
            Method::POST,
            "/api/v1/parked-events/{parked_event_id}/release",
            "releaseParkedEvent",
            "Enrols the event's member, and lets it earn",
        )
        .body::<Because>()
        .answers::<Told>(200, "What came of it.")
        .refuses(&[Code::Conflict])
        .guarded(Scope::Admin, CHANGING, parked::release),
        at(
            Method::DELETE,
            "/api/v1/parked-events/{parked_event_id}",
            "dropParkedEvent",
            "Lets an event wait no more, and earn nothing",
        )
        .answers_empty(204, "It is gone.")
        .guarded(Scope::Admin, CHANGING, parked::forget),
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
        .answers_empty(
            101,
            "A WebSocket: notices, one a text frame. Where no header shows a credential, the first message does.",
        )
        .refuses(&[Code::UserNotFound])
        .guarded_or_greeted(Scope::Read, EVERYBODY, stream::stream, stream::greet),
        get("/api/v1/feed", "listFeed", "Everything that the caller may see, oldest first")
            .header::<String>("X-User-ID", USER)
            .query::<u64>(
                "cursor",
                "The `next_cursor` of the page before, or the `seq` of the last notice that was seen.",
            )
            .query::<u32>("limit", "How many, from 1 to 100.")
            .query::<u16>("unit", UNIT)
            .answers::<FeedPage>(200, "A page.")
            .refuses(&[Code::UserNotFound, Code::Archived])
            .guarded(Scope::Read, EVERYBODY, feed::feed),
    ]
}

/// Where partners and operators want to be told.
fn webhooks() -> Vec<Route<Api>> {
    const ID: &str = "The endpoint.";
    let at = |method: Method, path, name, summary| {
        Endpoint::new(method, path, name, summary).path::<Uuid>("id", ID).refuses(&[Code::NotFound])
    };
    vec![
        post(
            "/api/v1/webhooks",
            "createWebhook",
            "Makes an endpoint; its secret is shown now and never again",
        )
        .body::<WebhookRequest>()
        .answers_tagged::<WebhookEndpoint>(201, "The endpoint, to be verified.")
        .refuses(&[Code::LimitExceeded])
        .guarded(Scope::Redeem, CORRECTING, webhooks::create),
        get("/api/v1/webhooks", "listWebhooks", "The caller's endpoints")
            .answers::<WebhookList>(200, "All of them.")
            .guarded(Scope::Read, SETTLED, webhooks::list),
        at(Method::GET, "/api/v1/webhooks/{id}", "getWebhook", "An endpoint")
            .answers_tagged::<WebhookEndpoint>(200, "The endpoint; its ETag names its version.")
            .guarded(Scope::Read, SETTLED, webhooks::get),
        at(Method::PATCH, "/api/v1/webhooks/{id}", "changeWebhook", "Changes an endpoint")
            .required_header::<String>("If-Match", "The ETag of what is changed.")
            .body::<WebhookChange>()
            .answers_tagged::<WebhookEndpoint>(200, "The endpoint as it is now.")
            .refuses(&[Code::PreconditionFailed, Code::PreconditionRequired])
            .guarded(Scope::Redeem, CORRECTING, webhooks::change),
        at(
            Method::DELETE,
            "/api/v1/webhooks/{id}",
            "deleteWebhook",
            "Takes an endpoint away, with what waits for it",
        )
        .required_header::<String>("If-Match", "The ETag of what is deleted.")
        .answers_empty(204, "It is gone.")
        .refuses(&[Code::PreconditionFailed, Code::PreconditionRequired])
        .guarded(Scope::Redeem, CORRECTING, webhooks::delete),
        at(
            Method::POST,
            "/api/v1/webhooks/{id}/verification",
            "verifyWebhook",
            "Sends a challenge, which the endpoint says again; then it is told",
        )
        .answers_tagged::<WebhookEndpoint>(200, "It is active.")
        .refuses(&[Code::WebhookNotVerified, Code::PreconditionFailed])
        .guarded(Scope::Redeem, CORRECTING, webhooks::verify),
        at(
            Method::POST,
            "/api/v1/webhooks/{id}/secret",
            "rotateWebhookSecret",
            "A new secret; for a while the one before signs too",
        )
        .body::<SecretChange>()
        .answers_tagged::<WebhookEndpoint>(200, "The endpoint with its new secret.")
        .guarded(Scope::Redeem, CORRECTING, webhooks::rotate),
        at(
            Method::POST,
            "/api/v1/webhooks/{id}/test",
            "testWebhook",
            "Sends a message that tells of nothing",
        )
        .answers::<Queued>(202, "It is on its way.")
        .refuses(&[Code::WebhookNotVerified])
        .guarded(Scope::Redeem, CORRECTING, webhooks::test),
        at(
            Method::GET,
            "/api/v1/webhooks/{id}/messages",
            "listWebhookMessages",
            "Messages of 30 days, newest first, and what became of each",
        )
        .query::<i64>("cursor", "The `next_cursor` of the page before.")
        .query::<u32>("limit", "How many, from 1 to 100.")
        .answers::<WebhookMessages>(200, "A page.")
        .guarded(Scope::Read, SETTLED, webhooks::messages),
        at(
            Method::POST,
            "/api/v1/webhooks/{id}/messages/{message_id}/replay",
            "replayWebhookMessage",
            "Sends a message once more, under its own id",
        )
        .path::<String>("message_id", "Its `webhook-id`.")
        .answers::<Queued>(202, "It is on its way.")
        .guarded(Scope::Redeem, CORRECTING, webhooks::replay_one),
        at(
            Method::POST,
            "/api/v1/webhooks/{id}/replay",
            "replayWebhook",
            "Sends the messages between two instants once more, in their order",
        )
        .body::<ReplayRequest>()
        .answers::<Queued>(202, "They are on their way.")
        .guarded(Scope::Redeem, CORRECTING, webhooks::replay),
    ]
}
