//! `POST /loyalty/v1/partner/users/{userId}/redeem`: the M-PESA contract to the letter, and the hot path. It asks the
//! database nothing by itself but the rate of a replay: the committer decides, and its answer holds the rest.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use ledger::{Command, Item, MemberRef, Points, Refusal};
use proof::{Details, PostingKind, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use store::Accepted;
use uuid::Uuid;

use crate::Api;
use crate::balance::{user_id, user_not_found};
use crate::body::{json, not_json};
use crate::dress::Posted;
use crate::error::{Code, Invalid, Problem};
use crate::gate;
use crate::idempotency;
use crate::post::is_pending;
use crate::refusal;
use crate::route::Asked;
use crate::screen::screen;
use crate::worth::{Value, Worth};

const POINTS_MAX: i64 = 100_000;
const MERCHANT_REFERENCE_CHARS_MAX: usize = 100;
const DESCRIPTION_CHARS_MAX: usize = 500;

/// What is to be spent.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct RedemptionRequest<'a> {
    /// How many points.
    #[schemars(range(min = 1, max = 100_000))]
    points: i64,
    /// What the merchant calls it.
    #[serde(borrow)]
    #[schemars(length(max = 100))]
    merchant_reference: Cow<'a, str>,
    /// What it is about.
    #[serde(borrow, default)]
    #[schemars(length(max = 500))]
    description: Option<Cow<'a, str>>,
}

/// What was spent.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RedemptionResponse<'a> {
    /// The posting.
    transaction_id: Uuid,
    /// `SUCCESS`, or `PENDING` while it is looked at.
    #[schemars(extend("enum" = ["SUCCESS", "FAILED", "PENDING"]))]
    status: &'static str,
    /// How many points.
    points_redeemed: i64,
    /// What can be spent now.
    new_balance: i64,
    /// What the points were worth.
    value: Value<'a>,
    /// Its place in the log.
    leaf_index: u64,
    /// Where its receipt is.
    receipt_url: String,
}

pub(crate) async fn redeem(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let caller = asked.caller.clone();
    let partner = gate::partner(&caller, asked.headers(), false)?;
    let member = user_id(&asked)?;
    let key = idempotency_key(asked.headers())?;
    let body = asked.json().await?;
    let (points, mut details) = wish(&body)?;
    details.actor = Text::new(format!("partner:{partner}")).ok();

    let member = MemberRef::Id(member);
    let command = Command::Redeem { member, points, partner: Some(partner.to_owned()), up_to: false };
    let request = ledger::Request::one(
        api.program_id,
        Api::source(&asked),
        key.to_string(),
        Item { posting_id: Uuid::now_v7(), command, details },
    );
    api.claim_references(&asked, &request.key, &request.items).await.map_err(|it| it.1)?;
    let screening = screen(api.screen, &caller, [&request.items[0].command]);
    let request = ledger::Request { screening, ..request };
    let answer = api.running.submit(&api.committer, request).await?;
    match answer.outcome.map(|items| items.into_iter().next()) {
        Ok(None) => Err(Problem::internal("a redemption came to nothing")),
        Ok(Some(accepted)) => {
            let is_pending = is_pending(PostingKind::REDEEM, &accepted);
            let Accepted { posting_id, leaf_index, points, after, rate, .. } = accepted;
            let worth = rate.as_ref().and_then(Worth::parse).ok_or_else(|| {
                Problem::internal(format!(
                    "the redemption {posting_id} has no rate that can be read: {rate:?}"
                ))
            })?;
            let mut response = json(&RedemptionResponse {
                transaction_id: posting_id,
                status: if is_pending { "PENDING" } else { "SUCCESS" },
                points_redeemed: points,
                new_balance: after.available,
                value: worth.of(points),
                leaf_index,
                receipt_url: api.receipt_url(posting_id),
            });
            if answer.replayed {
                response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            }
            response.extensions_mut().insert(Posted { transaction_id: posting_id, leaf_index });
            Ok(response)
        }
        Err(refused) => Err(problem(&refused.refusal).replayed(answer.replayed)),
    }
}

/// The contract does not tell members apart who are not there, suspended or closed.
fn problem(refused: &Refusal) -> Problem {
    match refused {
        Refusal::MemberUnknown | Refusal::MemberSuspended | Refusal::MemberClosed => user_not_found(),
        Refusal::PartnerUnknown => {
            Problem::new(Code::Forbidden, "The credential's partner does not take part in this program.")
        }
        other => refusal::problem(other),
    }
}

/// The contract's key is a UUID, however it is written.
fn idempotency_key(headers: &HeaderMap) -> Result<Uuid, Problem> {
    let field =
        if headers.contains_key("x-idempotency-key") { "X-Idempotency-Key" } else { "Idempotency-Key" };
    let key = idempotency::key(headers).map_err(|problem| match problem.code() {
        // The contract knows one code for whatever is not as it should be.
        Code::IdempotencyKeyMissing => Problem::invalid(vec![Invalid::parameter(
            "X-Idempotency-Key",
            "IDEMPOTENCY_KEY_MISSING",
            "this header is required",
        )]),
        _ => problem,
    })?;
    idempotency::uuid(&key)
        .ok_or_else(|| Problem::invalid(vec![Invalid::parameter(field, "INVALID", "it is not a UUID")]))
}

/// What the body asks for. A body that is right is read once and in place; one that is not is read again, to say why.
fn wish(body: &Bytes) -> Result<(Points, Details), Problem> {
    let request: RedemptionRequest<'_> = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return Err(diagnosis(body, &error)),
    };
    let mut invalid = Vec::new();
    let points = check_points(request.points, &mut invalid);
    let merchant_reference = check_text(
        ("merchant_reference", "/merchant_reference"),
        &request.merchant_reference,
        MERCHANT_REFERENCE_CHARS_MAX,
        &mut invalid,
    );
    let description = request
        .description
        .and_then(|it| check_text(("description", "/description"), &it, DESCRIPTION_CHARS_MAX, &mut invalid));
    match points {
        Some(points) if invalid.is_empty() => {
            Ok((points, Details { merchant_reference, description, ..Details::default() }))
        }
        _ => Err(Problem::invalid(invalid)),
    }
}

fn check_points(points: i64, invalid: &mut Vec<Invalid>) -> Option<Points> {
    let points = Points::new(points).ok().filter(|it| it.get() <= POINTS_MAX);
    if points.is_none() {
        let message = format!("it is a whole number from 1 to {POINTS_MAX}");
        invalid.push(Invalid::in_body("points", "/points", "OUT_OF_RANGE", message));
    }
    points
}

/// A text for the leaf; an empty one says nothing and is left out.
fn check_text(
    (field, pointer): (&'static str, &'static str),
    text: &str,
    chars_max: usize,
    invalid: &mut Vec<Invalid>,
) -> Option<Text> {
    let problem = if chars_max < text.chars().count() {
        format!("it has more than {chars_max} characters")
    } else if text.contains('\0') {
        "it holds the character U+0000".to_owned()
    } else {
        // 500 characters are at most 2,000 bytes, which is what a leaf's text holds.
        return Text::new(text).ok();
    };
    invalid.push(Invalid::in_body(field, pointer, "INVALID_TEXT", problem));
    None
}

fn diagnosis(body: &Bytes, error: &serde_json::Error) -> Problem {
    let object = match serde_json::from_slice::<Json>(body) {
        Ok(Json::Object(object)) => object,
        Ok(_) => {
            return Problem::invalid(vec![Invalid::in_body(
                "body",
                "",
                "WRONG_TYPE",
                "it is not a JSON object",
            )]);
        }
        Err(error) => return not_json(&error),
    };
    let mut invalid = Vec::new();
    match object.get("points") {
        None => invalid.push(Invalid::in_body("points", "/points", "REQUIRED", "it is required")),
        Some(points) => match points.as_i64() {
            Some(points) => {
                check_points(points, &mut invalid);
            }
            None => {
                let message = format!("it is a whole number from 1 to {POINTS_MAX}");
                invalid.push(Invalid::in_body("points", "/points", "WRONG_TYPE", message));
            }
        },
    }
    match object.get("merchant_reference") {
        Some(Json::String(_)) => {}
        None => {
            let (field, pointer) = ("merchant_reference", "/merchant_reference");
            invalid.push(Invalid::in_body(field, pointer, "REQUIRED", "it is required"));
        }
        Some(_) => {
            let (field, pointer) = ("merchant_reference", "/merchant_reference");
            invalid.push(Invalid::in_body(field, pointer, "WRONG_TYPE", "it is not a text"));
        }
    }
    if !matches!(object.get("description"), None | Some(Json::Null | Json::String(_))) {
        invalid.push(Invalid::in_body("description", "/description", "WRONG_TYPE", "it is not a text"));
    }
    if invalid.is_empty() {
        // A field that stands there twice, for one.
        return not_json(error);
    }
    Problem::invalid(invalid)
}
