//! What endpoints are sent, as OpenAPI's webhooks: each kind of message with what it says, one of it, and what is made of the answer.

use notices::webhook::{Challenge, Kind, VERIFICATION, kinds};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

/// Each kind of message that an endpoint can be sent, by its type.
pub(super) fn webhooks(generator: &mut SchemaGenerator) -> Map<String, Value> {
    kinds().iter().map(|it| (it.r#type.to_owned(), json!({"post": operation(it, generator)}))).collect()
}

fn operation(kind: &Kind, generator: &mut SchemaGenerator) -> Value {
    let schema = typed((kind.schema)(generator).to_value(), kind.r#type);
    let arrived = match kind.r#type {
        VERIFICATION => json!({
            "description": "It wants to be told, and says the challenge again.",
            "content": {"application/json": {"schema": generator.subschema_for::<Challenge>()}},
        }),
        _ => json!({"description": "It has arrived. So says any other status of 200 to 299."}),
    };
    json!({
        "operationId": name(kind.r#type),
        "summary": kind.words,
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            header("webhook-id", "The message's id, the same however often it is sent.", json!({"type": "string"})),
            header("webhook-timestamp", "When it is sent, in Unix seconds.", json!({"type": "integer"})),
            header(
                "webhook-signature",
                "One signature or several, `v1,` or `v1a,` before each, over id, timestamp and body.",
                json!({"type": "string"}),
            ),
        ],
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": schema, "example": kind.example}},
        },
        "responses": {
            "200": arrived,
            "410": {"description": "It wants to be told nothing any more: it is disabled."},
            "default": {"description": "It has not arrived, and comes again."},
        },
    })
}

/// The schema where the type is this one.
pub(crate) fn typed(schema: Value, r#type: &str) -> Value {
    json!({"allOf": [schema, {"type": "object", "properties": {"type": {"const": r#type}}}]})
}

fn header(name: &str, meaning: &str, schema: Value) -> Value {
    json!({"name": name, "in": "header", "required": true, "description": meaning, "schema": schema})
}

/// `onPointsHoldIncreased` for `points.hold_increased`.
fn name(r#type: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    r#type.split(['.', '_']).map(capital).fold("on".to_owned(), |all, word| all + &word)
}
