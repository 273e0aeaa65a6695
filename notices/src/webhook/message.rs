//! What an endpoint is sent: type, time, and what it says.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::examples;
use crate::notice::{Data, NOTICE_BYTES_MAX, rfc3339};

/// The type of a challenge.
pub const VERIFICATION: &str = "webhook.verification";
/// The type of a message that tells of nothing.
pub const TEST: &str = "webhook.test";

/// A message to an endpoint, as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Webhook{D}")]
pub(crate) struct Letter<'a, D> {
    /// What it tells, as in `points.redeemed`.
    r#type: &'a str,
    /// When that was recorded; of a test and a challenge, when it was made.
    #[schemars(extend("format" = "date-time"))]
    timestamp: String,
    /// What it says.
    data: D,
}

/// What an endpoint says again to show that it wants to be told.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "EndpointChallenge")]
pub struct Challenge {
    /// The challenge.
    pub(crate) challenge: Uuid,
}

/// What a message says that tells of nothing.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "EndpointTest")]
pub(crate) struct Test {
    /// The endpoint that it was sent to.
    pub(crate) endpoint_id: Uuid,
}

impl<'a, D: Serialize> Letter<'a, D> {
    pub(crate) fn new(r#type: &'a str, at_us: i64, data: D) -> Self {
        Self { r#type, timestamp: rfc3339(at_us), data }
    }

    /// The body of the request.
    pub(crate) fn body(&self) -> String {
        let body = serde_json::to_string(self).expect("texts and numbers are JSON");
        debug_assert!(body.len() < NOTICE_BYTES_MAX + 1000, "a message stays below 20 kB");
        body
    }

    fn example(&self) -> Value {
        serde_json::to_value(self).expect("texts and numbers are JSON")
    }
}

/// A kind of message, as documents describe it.
pub struct Kind {
    /// Its type.
    pub r#type: &'static str,
    /// When it is sent.
    pub words: &'static str,
    /// What its body may be.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// One of it.
    pub example: Value,
}

/// Every kind of message that an endpoint can be sent.
pub fn kinds() -> Vec<Kind> {
    let mut kinds: Vec<Kind> = crate::notice::kinds().iter().map(of_notice).collect();
    let made_us = examples::RECORDED_AT_US;
    let challenge = Challenge { challenge: examples::POSTING };
    kinds.push(Kind {
        r#type: VERIFICATION,
        words: "Whether the endpoint wants to be told is asked: it answers with the challenge.",
        schema: |generator| generator.subschema_for::<Letter<'static, Challenge>>(),
        example: Letter::new(VERIFICATION, made_us, challenge).example(),
    });
    let test = Test { endpoint_id: examples::POSTING };
    kinds.push(Kind {
        r#type: TEST,
        words: "The endpoint's owner asked for a message that tells of nothing.",
        schema: |generator| generator.subschema_for::<Letter<'static, Test>>(),
        example: Letter::new(TEST, made_us, test).example(),
    });
    kinds
}

fn of_notice(kind: &crate::notice::Kind) -> Kind {
    let notice = examples::told_to_a_partner(kind.posting);
    Kind {
        r#type: kind.r#type,
        words: kind.words,
        schema: |generator| generator.subschema_for::<Letter<'static, Data>>(),
        example: Letter::new(notice.r#type, examples::RECORDED_AT_US, &notice.data).example(),
    }
}
