//! An event: something outside that may earn.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::request::MemberRef;

/// The source of an event that names none.
pub const DEFAULT_SOURCE: &str = "events";

/// Something outside that may earn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who tells it. Ids are unique within a source.
    pub source: String,
    /// The source's id for it, or one derived from the four fields below.
    pub id: String,
    /// Whom it concerns.
    pub member: MemberRef,
    /// What kind of thing happened.
    pub kind: String,
    /// How much, in the program's currency.
    pub amount: Decimal,
    /// When it happened, in microseconds since 1970.
    pub timestamp_us: i64,
}

/// Why bytes are not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not a JSON object with the four fields.
    #[error("an event is a JSON object with user_id, type, amount and timestamp: {0}")]
    Json(String),
    /// A field is out of its range.
    #[error("{field}: {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

// What is expected is said in the reason why bytes are not an event, and is not the name of a type of ours.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct Raw<'a> {
    #[serde(borrow)]
    user_id: &'a RawValue,
    r#type: String,
    // A JSON number must not pass through a float on its way to a decimal.
    #[serde(borrow)]
    amount: &'a RawValue,
    timestamp: String,
    // Both names at once are a field that stands there twice, which is refused.
    #[serde(default, alias = "id")]
    event_id: Option<String>,
    #[serde(default)]
    source: Option<String>,
}

impl Event {
    /// Reads an event's bytes. Fields that it does not know are tolerated.
    pub fn parse(payload: &[u8]) -> Result<Self, EventError> {
        let raw: Raw<'_> =
            serde_json::from_slice(payload).map_err(|error| EventError::Json(error.to_string()))?;
        let user = word("user_id", scalar("user_id", raw.user_id)?, 200)?;
        let kind = word("type", raw.r#type, 100)?;
        let amount = Decimal::from_str_exact(&scalar("amount", raw.amount)?).map_err(|_| {
            EventError::Field { field: "amount", problem: "it is not a decimal of at most 28 digits" }
        })?;
        if amount.is_sign_negative() {
            return Err(EventError::Field { field: "amount", problem: "it is below zero" });
        }
        let timestamp_us = micros(&raw.timestamp)?;
        let mut event = Self {
            source: word("source", raw.source.unwrap_or_else(|| DEFAULT_SOURCE.to_owned()), 100)?,
            id: String::new(),
            member: MemberRef::parse(&user),
            kind,
            amount: amount.normalize(),
            timestamp_us,
        };
        event.id = match raw.event_id {
            Some(id) => word("event_id", id, 200)?,
            None => event.digest().iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        Ok(event)
    }

    /// Whom bytes name, though they may be no event: JSON that has a user is enough.
    pub fn named(payload: &[u8]) -> Option<MemberRef> {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            user_id: &'a RawValue,
        }
        let user_id = match serde_json::from_slice::<Named<'_>>(payload) {
            Ok(it) => it.user_id,
            // A field that is there twice has a value all the same.
            Err(_) => {
                serde_json::from_slice::<BTreeMap<String, &RawValue>>(payload).ok()?.remove("user_id")?
            }
        };
        let user = word("user_id", scalar("user_id", user_id).ok()?, 200).ok()?;
        Some(MemberRef::parse(&user))
    }

    /// A hash of the four fields that say what happened; it does not depend on how they were spelled. A member's id and an
    /// external name of its 16 bytes are the same to it: whoever has such names sends ids with their events.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update([1]);
        let mut field = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        match &self.member {
            MemberRef::Id(id) => field(id.as_bytes()),
            MemberRef::External(name) => field(name.as_bytes()),
        }
        field(self.kind.as_bytes());
        field(self.amount.to_string().as_bytes());
        field(&self.timestamp_us.to_be_bytes());
        hasher.finalize().into()
    }
}

/// A JSON string's text, or a JSON number as it stands there.
fn scalar(field: &'static str, value: &RawValue) -> Result<String, EventError> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map_err(|error| EventError::Json(error.to_string())),
        Some(b'-' | b'0'..=b'9') => Ok(json.to_owned()),
        _ => Err(EventError::Field { field, problem: "it is neither a text nor a number" }),
    }
}

fn word(field: &'static str, text: String, length_max: usize) -> Result<String, EventError> {
    if text.is_empty() || length_max < text.len() {
        return Err(EventError::Field { field, problem: "it is empty or too long" });
    }
    if text.chars().any(char::is_control) {
        return Err(EventError::Field { field, problem: "it holds a control character" });
    }
    Ok(text)
}

fn micros(timestamp: &str) -> Result<i64, EventError> {
    let instant = OffsetDateTime::parse(timestamp, &Rfc3339).map_err(|_| EventError::Field {
        field: "timestamp",
        problem: "it is not an RFC 3339 time with a zone",
    })?;
    let micros = instant.unix_timestamp_nanos() / 1000;
    match i64::try_from(micros) {
        Ok(micros) if 0 <= micros => Ok(micros),
        _ => Err(EventError::Field { field: "timestamp", problem: "it is before 1970" }),
    }
}
