//! The AsyncAPI 3.0 document: what the stream tells and listens to, and what is taken from Kafka, from the types that are sent and
//! read. Webhooks stand in the OpenAPI document.

use ingest::{EVENTS_TOPIC, REQUEST_ID};
use notices::{CAUGHT_UP, Caught, Notice};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::events::Event;
use crate::openapi::typed;
use crate::stream::{Greeting, OPENED, Opened};

const STREAM: &str = "/api/v1/loyalty/stream";

/// The description of what is told and taken, under this address.
pub fn asyncapi(public_url: &str) -> Value {
    let settings = || SchemaSettings::draft07().with(|it| it.definitions_path = "/components/schemas".into());
    let mut written = settings().for_serialize().into_generator();
    let mut read = settings().for_deserialize().into_generator();
    let told = told(&mut written);
    let (auth, event) = (auth(&mut read), event(&mut read));
    let names: Vec<&String> = told.keys().collect();
    let tells: Vec<Value> =
        names.iter().map(|it| reference(&["channels", "stream", "messages", it])).collect();
    let mut of_stream: Map<String, Value> =
        names.iter().map(|it| ((*it).clone(), reference(&["components", "messages", it]))).collect();
    of_stream.insert("auth".to_owned(), reference(&["components", "messages", "auth"]));
    let mut schemas = read.take_definitions(true);
    schemas.extend(written.take_definitions(true));
    let mut messages = told;
    messages.extend([("auth".to_owned(), auth), ("event".to_owned(), event)]);
    json!({
        "asyncapi": "3.0.0",
        "id": "urn:daftari",
        "info": {
            "title": "Daftari",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a loyalty-points ledger tells without being asked, and what it takes from Kafka. It writes no topic.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"stream": server(public_url), "kafka": kafka()},
        "channels": {
            "stream": {
                "address": STREAM,
                "description": "A WebSocket; the same address gives the same notices as server-sent events.",
                "servers": [reference(&["servers", "stream"])],
                "messages": of_stream,
                "bindings": {"ws": {"method": "GET", "query": query(), "bindingVersion": "0.1.0"}},
            },
            "events": {
                "address": EVENTS_TOPIC,
                "description": "What happened elsewhere and may earn, keyed by user. `--kafka-topic` may name another topic.",
                "servers": [reference(&["servers", "kafka"])],
                "messages": {"event": reference(&["components", "messages", "event"])},
                "bindings": {"kafka": {"topic": EVENTS_TOPIC, "bindingVersion": "0.5.0"}},
            },
        },
        "operations": {
            "tell": {
                "action": "send",
                "summary": "Each posting that the caller may see is told once, in order.",
                "channel": reference(&["channels", "stream"]),
                "messages": tells,
            },
            "listen": {
                "action": "receive",
                "summary": "Whoever shows no credential in a header does so in the first message.",
                "channel": reference(&["channels", "stream"]),
                "messages": [reference(&["channels", "stream", "messages", "auth"])],
            },
            "take": {
                "action": "receive",
                "summary": "Each event is posted once, or kept with the reason why not.",
                "channel": reference(&["channels", "events"]),
                "messages": [reference(&["channels", "events", "messages", "event"])],
            },
        },
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A bearer token."},
                "key": {"type": "httpApiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
            },
        },
    })
}

fn reference(steps: &[&str]) -> Value {
    json!({"$ref": format!("#/{}", steps.join("/"))})
}

/// Every message that a stream tells, by its type.
fn told(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let opened =
        message::<Opened>(generator, OPENED, "Where the stream begins: the first message.", &Opened::at(41));
    let caught = "A reader who fell behind is told several notices in one.";
    let caught = message::<Caught>(generator, CAUGHT_UP, caught, &Caught::example());
    let mut told = Map::from_iter([(OPENED.to_owned(), opened), (CAUGHT_UP.to_owned(), caught)]);
    for kind in notices::kinds() {
        let described = message::<Notice>(generator, kind.r#type, kind.words, &kind.example());
        told.insert(kind.r#type.to_owned(), described);
    }
    told
}

fn message<T: JsonSchema>(
    generator: &mut SchemaGenerator,
    r#type: &str,
    words: &str,
    example: &impl serde::Serialize,
) -> Value {
    let schema = generator.subschema_for::<T>().to_value();
    let example = serde_json::to_value(example).expect("what is told is JSON");
    json!({
        "name": r#type,
        "summary": words,
        "payload": typed(schema, r#type),
        "examples": [{"payload": example}],
    })
}

fn auth(generator: &mut SchemaGenerator) -> Value {
    json!({
        "name": "auth",
        "summary": "Who listens, where no header says it: the first message, within five seconds.",
        "payload": generator.subschema_for::<Greeting>(),
        "examples": [{"payload": {"type": "auth", "token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9"}}],
    })
}

fn event(generator: &mut SchemaGenerator) -> Value {
    let example = json!({
        "event_id": "e-1", "source": "pos", "user_id": "456", "type": "purchase", "amount": 150.00,
        "timestamp": "2026-01-15T10:00:00Z",
    });
    let headers = json!({
        "type": "object",
        "properties": {
            REQUEST_ID: {"type": "string", "format": "uuid", "description": "Names the event in the log's lines."},
        },
    });
    json!({
        "name": "event",
        "summary": "Something outside that may earn.",
        "headers": headers,
        "payload": generator.subschema_for::<Event>(),
        "examples": [{"payload": example}],
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The member: events of one key keep their order."},
                "bindingVersion": "0.5.0",
            },
        },
    })
}

fn server(public_url: &str) -> Value {
    let (scheme, rest) = public_url.split_once("://").unwrap_or(("http", public_url));
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let protocol = if scheme == "https" { "wss" } else { "ws" };
    let mut server = json!({
        "host": host,
        "protocol": protocol,
        "security": [
            reference(&["components", "securitySchemes", "token"]),
            reference(&["components", "securitySchemes", "key"]),
        ],
    });
    if let Some(path) = path {
        server["pathname"] = json!(format!("/{path}"));
    }
    server
}

fn kafka() -> Value {
    json!({
        "host": "{brokers}",
        "protocol": "kafka",
        "description": "The operator's own: `--kafka-brokers`.",
        "variables": {"brokers": {"default": "127.0.0.1:9092", "description": "One broker or several."}},
    })
}

fn query() -> Value {
    json!({
        "type": "object",
        "properties": {
            "resume_from": {"type": "integer", "description": "The `seq` of the last notice that was seen."},
            "unit": {"type": "integer", "description": "The unit of a member's account; 1, the points, where it is not said."},
        },
    })
}
