//! The journeys end to end, over the built executable with real PostgreSQL, anvil, Kafka and Chromium. Few and long:
//! each tells one story, and after each the books are recomputed.

mod anchors;
mod archive;
mod books;
mod bridge;
mod contracts;
mod crash;
mod erasure;
mod event;
mod explorer;
mod faults;
mod guide;
mod log;
mod map;
mod mend;
mod newcomer;
mod outsiders;
mod receipt;
mod redemption;
mod rewritten;
mod roles;
mod rotation;
mod secrets;
mod standby;
mod unread;
mod webhook;

use serde_json::{Value, json};

/// An event that earns a tenth of its amount.
fn purchase(id: &str, user: &str, amount: i64) -> String {
    let event: Value = json!({
        "event_id": id,
        "user_id": user,
        "type": "purchase",
        "amount": amount,
        "timestamp": "2026-01-15T10:00:00Z",
    });
    event.to_string()
}
