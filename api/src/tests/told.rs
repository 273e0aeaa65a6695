//! What is sent is what the documents say: messages to endpoints stand in the OpenAPI document, those of streams in the AsyncAPI document.

use std::collections::BTreeSet;

use super::streams::{Socket, next, open, served};
use super::webhooks::Receiver;
use super::*;

const OTHER: &str = "550e8400-e29b-41d4-a716-4466554400fe";

/// A document, whose schemas are held to the letter: a field that is not described is a fault.
struct Document(Value);

impl Document {
    fn new(mut whole: Value) -> Self {
        for schema in whole["components"]["schemas"].as_object_mut().unwrap().values_mut() {
            if schema.get("properties").is_some() {
                schema["additionalProperties"] = json!(false);
            }
        }
        Self(whole)
    }

    fn openapi() -> Self {
        Self::new(crate::openapi(&crate::endpoints(), PUBLIC_URL))
    }

    fn asyncapi() -> Self {
        Self::new(crate::asyncapi(PUBLIC_URL))
    }

    /// The schema with what its references lead to in their places.
    fn in_one_piece(&self, schema: &Value) -> Value {
        match schema {
            // In draft 7 nothing stands beside a reference, so one with a description stands in a list of its own.
            Value::Object(fields) => {
                match (fields.get("$ref"), fields.get("allOf").and_then(Value::as_array)) {
                    (Some(reference), _) => {
                        self.in_one_piece(self.0.pointer(&reference.as_str().unwrap()[1..]).unwrap())
                    }
                    (None, Some(only)) if only.len() == 1 => self.in_one_piece(&only[0]),
                    _ => fields.iter().map(|(name, it)| (name.clone(), self.in_one_piece(it))).collect(),
                }
            }
            Value::Array(items) => items.iter().map(|it| self.in_one_piece(it)).collect(),
            other => other.clone(),
        }
    }

    /// What is wrong with a value by this schema, as it would be told of a body.
    fn fault(&self, schema: &Value, value: &Value) -> Option<String> {
        let schema = self.in_one_piece(schema);
        let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema]);
        let bytes = value.to_string();
        let looked = |it: &Value| crate::shape::read::<Value>(it, bytes.as_bytes());
        parts.iter().find_map(|it| looked(it).err()).map(|it| it.told().to_owned())
    }

    /// Checks a message to an endpoint; gives its type.
    #[track_caller]
    fn check_webhook(&self, message: &Value) -> String {
        let name = message["type"].as_str().unwrap();
        let body = &self.0["webhooks"][name]["post"]["requestBody"]["content"]["application/json"];
        assert!(body.is_object(), "{name} is not described");
        assert_eq!(self.fault(&body["schema"], message), None, "{message}");
        name.to_owned()
    }

    /// Checks a message of a stream; gives its type.
    #[track_caller]
    fn check_told(&self, message: &Value) -> String {
        let name = message["type"].as_str().unwrap();
        let described = &self.0["components"]["messages"][name];
        assert!(described.is_object(), "{name} is not described");
        assert_eq!(self.fault(&described["payload"], message), None, "{message}");
        name.to_owned()
    }
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_message_is_described_with_one_of_it() {
    let document = Document::openapi();
    let described = keys(&document.0["webhooks"]);
    assert_eq!(described, notices::webhook::kinds().iter().map(|it| it.r#type).collect());
    let all = proof_kinds();
    assert_eq!(all.len(), 20, "every kind of posting, and what is of none");
    let told: BTreeSet<&str> = notices::kinds().iter().map(|it| it.r#type).collect();
    assert_eq!(told.len(), all.len(), "each has a type of its own");
    assert!(notices::types().all(|it| told.contains(it)));
    assert_eq!(described.difference(&told).collect::<Vec<_>>(), [&"webhook.test", &"webhook.verification"]);
    for name in described {
        let operation = &document.0["webhooks"][name]["post"];
        let content = &operation["requestBody"]["content"]["application/json"];
        assert_eq!(document.check_webhook(&content["example"]), name);
        assert!(!operation["summary"].as_str().unwrap().is_empty());
        let mut wrong = content["example"].clone();
        wrong["data"] = json!({});
        assert!(document.fault(&content["schema"], &wrong).is_some(), "{name}: anything will do");
        wrong["type"] = json!("points.rained");
        assert!(document.fault(&content["schema"], &wrong).is_some(), "{name}: any type will do");
    }

    let document = Document::asyncapi();
    let channel = &document.0["channels"]["stream"];
    let mut expected = told;
    expected.extend(["stream.opened", "points.caught_up"]);
    let names = |operation: &str| {
        let messages = document.0["operations"][operation]["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|it| it["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    let tells: BTreeSet<String> = names("tell");
    assert_eq!(tells.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    assert_eq!(names("listen").into_iter().collect::<Vec<String>>(), ["auth"]);
    expected.insert("auth");
    assert_eq!(keys(&channel["messages"]), expected);
    // An event's amount is a number with a fraction, which no body of ours has: the TypeScript looks at that one.
    let messages = document.0["components"]["messages"].as_object().unwrap();
    for (name, message) in messages.iter().filter(|it| it.0 != "event") {
        for example in message["examples"].as_array().unwrap() {
            assert_eq!(document.fault(&message["payload"], &example["payload"]), None, "{name}");
            let mut wrong = example["payload"].clone();
            wrong["type"] = json!(1);
            assert!(document.fault(&message["payload"], &wrong).is_some(), "{name}: anything will do");
        }
    }
    // Every reference leads somewhere.
    let text = document.0.to_string();
    assert!(text.contains("\"$ref\":\"#/components/messages/event\""));
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.0.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
    let address = document.0["channels"]["stream"]["address"].as_str().unwrap();
    assert!(crate::endpoints().iter().any(|it| it.path == address));
    assert_eq!(document.0["servers"]["stream"]["protocol"], "wss");
    assert_eq!(document.0["servers"]["stream"]["host"], "loyalty.test");
}

/// The kinds of posting that leaves have names for.
fn proof_kinds() -> Vec<&'static str> {
    (0..=u8::MAX).filter_map(|it| proof::PostingKind(it).name()).collect()
}

/// Reads a stream until all of these types were told; each message is what the document says.
async fn read_until(document: &Document, socket: &mut Socket, wanted: &[&str]) {
    let mut told = BTreeSet::new();
    while !wanted.iter().all(|it| told.contains(*it)) {
        told.insert(document.check_told(&next(socket).await.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_what_the_documents_say() {
    let world = World::new().await.with_points(1000).await;
    let at = served(&world).await;
    let fetched = |path: &str| world.send(Ask::get(path));
    let openapi = fetched("/openapi.json").await.json();
    assert_eq!(keys(&openapi["webhooks"]), keys(&Document::openapi().0["webhooks"]));
    let openapi = Document::new(openapi);
    let asyncapi = fetched("/asyncapi.json").await.json();
    let asyncapi = Document::new(asyncapi);

    let scopes = ["loyalty:read", "loyalty:redeem", "loyalty:adjust", "admin:*"];
    let operator = world.key(Role::Editor, "ops", &scopes).await;
    let mut sockets = Vec::new();
    for headers in [
        ("authorization", "Bearer member-token"),
        ("x-api-key", "duka-key"),
        ("x-api-key", operator.as_str()),
    ] {
        sockets.push(open(at, "", &[headers]).await.unwrap());
    }
    let ask = |key: &str, path: &str, body: Value| {
        Ask::post(format!("/api/v1/{path}"), body.to_string())
            .with("x-api-key", key)
            .with("idempotency-key", &Uuid::new_v4().to_string())
            .with("if-match", "*")
    };
    let done = async |ask: Ask| {
        let told = world.send(ask).await;
        assert!(told.status.is_success(), "{}", told.text());
        told.json()
    };
    let (receiver, url) = Receiver::start().await;
    let made = done(ask(&operator, "webhooks", json!({"url": url}))).await;
    let of_endpoint = |what: &str| format!("webhooks/{}/{what}", made["id"].as_str().unwrap());
    for what in ["verification", "test", "secret"] {
        done(ask(&operator, &of_endpoint(what), json!({}))).await;
    }
    assert_eq!(world.send(earn(&json!({"user_id": OTHER, "amount": 50}))).await.status, 200);
    let spent =
        json!({"user_id": MEMBER, "points": 30, "merchant_reference": "ORDER-7", "description": "Kahawa"});
    let redeemed = done(ask("duka-key", "loyalty/redemptions", spent)).await;
    let held = done(ask("duka-key", "loyalty/holds", json!({"user_id": MEMBER, "points": 100}))).await;
    let of_hold = |what: &str| format!("loyalty/holds/{}/{what}", held["transaction_id"].as_str().unwrap());
    done(ask("duka-key", &of_hold("increase"), json!({"points": 10}))).await;
    done(ask("duka-key", &of_hold("extend"), json!({"seconds": 3000}))).await;
    done(ask("duka-key", &of_hold("capture"), json!({"points": 40, "keep_rest": true}))).await;
    done(ask("duka-key", &of_hold("void"), json!({}))).await;
    let transfer = ask("", "loyalty/transfers", json!({"to_user_id": OTHER, "points": 3}));
    done(transfer.with("authorization", "Bearer app-token").with("x-user-id", MEMBER)).await;
    let reversal = format!("loyalty/transactions/{}/reversals", redeemed["transaction_id"].as_str().unwrap());
    done(ask(&operator, &reversal, json!({"reason": "by mistake"}))).await;
    let adjustment = json!({"user_id": MEMBER, "change": -1, "reason": "counted twice"});
    done(ask(&operator, "loyalty/adjustments", adjustment)).await;
    let merge = json!({"into": MEMBER, "reason": "the same person"});
    done(ask(&operator, &format!("members/{OTHER}/merge"), merge)).await;

    let of_partner = [
        "stream.opened",
        "points.redeemed",
        "points.held",
        "points.hold_increased",
        "points.extended",
        "points.captured",
        "points.released",
    ];
    let of_member =
        [&of_partner[..], &["points.transferred", "points.reversed", "points.adjusted", "points.merged"]];
    let of_member = of_member.concat();
    let of_operator = [&of_member[..], &["points.earned", "program.acted"]].concat();
    for (socket, wanted) in sockets.iter_mut().zip([&of_member[..], &of_partner, &of_operator]) {
        read_until(&asyncapi, socket, wanted).await;
    }
    let mut sent = BTreeSet::new();
    let wanted = [&of_operator[1..], &["webhook.verification", "webhook.test"]].concat();
    for number in 0.. {
        if wanted.iter().all(|it| sent.contains(*it)) {
            break;
        }
        let (_, body) = receiver.message(number).await;
        sent.insert(openapi.check_webhook(&serde_json::from_slice(&body).unwrap()));
    }
    world.check_books().await;
}
