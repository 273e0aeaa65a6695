//! Events over HTTP: verdicts in order, bytes kept as they came, nothing posted twice.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::*;

async fn rejected(world: &World) -> Vec<(String, Vec<u8>)> {
    let ask = Ask::get("/api/v1/rejected-events?limit=100").with("authorization", "Bearer app-token");
    let body = world.send(ask).await.json();
    let listed = body["data"].as_array().unwrap().iter().map(|it| {
        assert_eq!(it["origin"], "http");
        let bytes = STANDARD.decode(it["payload_base64"].as_str().unwrap()).unwrap();
        match str::from_utf8(&bytes) {
            Ok(text) if text.len() <= 4096 => assert_eq!(it["payload_text"], text),
            _ => assert_eq!(it.get("payload_text"), None),
        }
        (it["error"].as_str().unwrap().to_owned(), bytes)
    });
    listed.collect()
}

#[tokio::test]
async fn an_event_earns_once() {
    let world = World::new().await;
    let ask = earn(&json!({"type": "airtime", "amount": "25.90", "event_id": "e-1"}));
    let told = world.send(ask.clone()).await;
    let body = told.json();
    let id = body["transaction_id"].as_str().unwrap();
    let golden = json!({
        "status": "POSTED", "transaction_id": id, "leaf_index": 0, "points": 12, "balance": 12, "replayed": false,
        "receipt_url": format!("https://loyalty.test/v1/receipts/{id}"),
    });
    assert_eq!((told.status.as_u16(), &body), (200, &golden));

    let mut again = world.send(ask).await.json();
    assert_eq!(again["replayed"].take(), true);
    assert_eq!(again["transaction_id"], id);
    // The same event in other bytes.
    let mut respelled = earn(&json!({"type": "airtime", "amount": 25.9, "event_id": "e-1", "note": "again"}));
    respelled.body.splice(0..0, *b"\n \t");
    assert_eq!(world.send(respelled).await.json()["transaction_id"], id);
    // Its id with another content.
    let other = earn(&json!({"type": "airtime", "amount": 26, "event_id": "e-1"}));
    world.send(other.clone()).await.check_problem(422, "EVENT_ID_REUSED");
    assert_eq!(rejected(&world).await, [("EVENT_ID_REUSED".to_owned(), other.body)]);
    assert_eq!(world.check_books().await.leaves, 1);
}

#[tokio::test]
async fn an_event_that_cannot_earn_is_kept_with_its_bytes() {
    let world = World::new().await;
    let cases = [
        (earn(&json!({"type": "walk"})), "EVENT_TYPE_WITHOUT_RATE"),
        (earn(&json!({"amount": "0.99"})), "NOTHING_EARNED"),
        (earn(&json!({"amount": "9007199254740992"})), "LIMIT_EXCEEDED"),
        (earn(&json!({"timestamp": "2999-01-01T00:00:00Z"})), "EVENT_IN_FUTURE"),
        (earn(&json!({"amount": -1})), "EVENT_UNREADABLE"),
        (earn(&json!({"timestamp": "yesterday"})), "EVENT_UNREADABLE"),
        (Ask { body: b"{}".into(), ..earn(&json!({})) }, "EVENT_UNREADABLE"),
        (Ask { body: b"5".into(), ..earn(&json!({})) }, "EVENT_UNREADABLE"),
    ];
    let mut kept = Vec::new();
    for (ask, code) in cases {
        world.send(ask.clone()).await.check_problem(422, code);
        world.send(ask.clone()).await.check_problem(422, code);
        kept.push((code.to_owned(), ask.body));
    }
    // What is not JSON at all is kept, too.
    for body in [&b"{"[..], b"\xff\xfe", b""] {
        let told = world.send(Ask { body: body.into(), ..earn(&json!({})) }).await;
        assert_eq!(told.invalid_fields(), ["body"]);
        kept.push(("EVENT_UNREADABLE".to_owned(), body.into()));
    }
    assert_eq!(rejected(&world).await, kept, "each once, in the order in which they came");
    assert_eq!(world.check_books().await.leaves, 0);
}

#[tokio::test]
async fn many_events_are_answered_in_order() {
    let world = World::new().await;
    let good = purchase(&json!({"event_id": "a", "amount": 1}));
    let bad = purchase(&json!({"event_id": "b", "type": "walk"}));
    let third = purchase(&json!({"event_id": "c", "amount": 3, "user_id": "customer 9"}));
    // The spaces and the order of the fields inside an item are its own, and stay.
    let spelled = r#"{ "note" :  1.50, "user_id":"x" }"#;
    let list = format!("[{good}, {bad},\n {third}, {spelled}, {good}, 7]");
    for body in [list.clone(), format!(r#"{{"source_system":"till", "events": {list} }}"#)] {
        let told = world.send(Ask { body: body.into(), ..earn(&json!({})) }).await;
        assert_eq!(told.status, 200, "{}", told.text());
        let body = told.json();
        let results = body["results"].as_array().unwrap();
        let verdicts: Vec<&str> =
            results.iter().map(|it| it["error"].as_str().or(it["status"].as_str()).unwrap()).collect();
        let expected =
            ["POSTED", "EVENT_TYPE_WITHOUT_RATE", "POSTED", "EVENT_UNREADABLE", "POSTED", "EVENT_UNREADABLE"];
        assert_eq!(verdicts, expected);
        assert_eq!(results[0]["transaction_id"], results[4]["transaction_id"]);
    }
    let mut kept: Vec<Vec<u8>> = rejected(&world).await.into_iter().map(|(_, bytes)| bytes).collect();
    kept.sort();
    let mut expected = vec![spelled.as_bytes().to_vec(), bad.to_string().into(), b"7".to_vec()];
    expected.sort();
    assert_eq!(kept, expected);
    assert_eq!(world.check_books().await.leaves, 2);

    let none = world.send(Ask { body: b"[]".into(), ..earn(&json!({})) }).await;
    assert_eq!((none.status.as_u16(), none.json()), (200, json!({"results": []})));
    let full =
        |count: usize| Ask { body: json!(vec![good.clone(); count]).to_string().into(), ..earn(&json!({})) };
    assert_eq!(world.send(full(1000)).await.json()["results"].as_array().unwrap().len(), 1000);
    assert_eq!(world.send(full(1001)).await.invalid_fields(), ["events"]);
    assert_eq!(world.check_books().await.leaves, 2);
}

#[tokio::test]
async fn rejected_events_are_listed_page_by_page() {
    let world = World::new().await;
    let events: Vec<Value> = (0..5).map(|_| purchase(&json!({"type": "walk"}))).collect();
    for event in &events {
        world.send(Ask { body: event.to_string().into(), ..earn(&json!({})) }).await;
    }
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let path = format!("/api/v1/rejected-events?limit=2&starting_after={cursor}");
        let body = world.send(Ask::get(path).with("authorization", "Bearer app-token")).await.json();
        seen.extend(body["data"].as_array().unwrap().iter().map(|it| it["payload_text"].clone()));
        match body["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break assert_eq!(body["has_more"], false),
        }
    }
    assert_eq!(seen, events.iter().map(|it| json!(it.to_string())).collect::<Vec<_>>());
    for query in ["limit=0", "limit=101", "limit=x", "starting_after=-1", "cursor=1", "limit=1&limit=2"] {
        let ask =
            Ask::get(format!("/api/v1/rejected-events?{query}")).with("authorization", "Bearer app-token");
        assert_eq!(world.send(ask).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn an_event_that_is_too_long_is_kept_cut_and_named_by_its_hash() {
    let world = World::new().await;
    // In its own bytes: white space inside counts.
    let of_length = |length: usize| {
        let event = purchase(&json!({"event_id": "long"})).to_string();
        format!("{{{}{}", " ".repeat(length - event.len()), &event[1..])
    };
    let ask = |body: String| Ask { body: body.into(), ..earn(&json!({})) };
    let long = of_length(65_537);
    let problem = world.send(ask(long.clone())).await.check_problem(422, "EVENT_TOO_LONG");
    let message = problem["detail"].as_str().unwrap();
    let hash: String = Sha256::digest(&long).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(message.contains("65537") && message.contains(&hash), "{message}");
    assert_eq!(rejected(&world).await, [("EVENT_TOO_LONG".to_owned(), long[..65_536].into())]);
    let results = world.send(ask(format!("[{long}]"))).await.json();
    assert_eq!(results["results"][0]["error"], "EVENT_TOO_LONG");
    assert_eq!(world.send(ask(of_length(65_536))).await.status, 200);
    assert_eq!(world.check_books().await.leaves, 1);
}

#[tokio::test]
async fn a_page_of_rejected_events_is_bounded_in_bytes() {
    let world = World::new().await;
    // A text that is quoted as the reason why it is not an event.
    let bodies: Vec<String> = (0..40).map(|n| format!("\"{n:02}{}\"", "\u{ad}".repeat(30_000))).collect();
    for body in &bodies {
        let told = world.send(Ask { body: body.as_str().into(), ..earn(&json!({})) }).await;
        assert!(told.check_problem(422, "EVENT_UNREADABLE")["detail"].as_str().unwrap().len() < 10_000);
    }
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let path = format!("/api/v1/rejected-events?limit=100&starting_after={cursor}");
        let told = world.send(Ask::get(path).with("authorization", "Bearer app-token")).await;
        assert!(told.bytes.len() < 3 << 19, "{} bytes", told.bytes.len());
        let body = told.json();
        for it in body["data"].as_array().unwrap() {
            assert_eq!(it.get("payload_text"), None);
            let bytes = STANDARD.decode(it["payload_base64"].as_str().unwrap()).unwrap();
            seen.push(String::from_utf8(bytes).unwrap());
        }
        match body["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break assert_eq!(body["has_more"], false),
        }
    }
    assert_eq!(seen, bodies);
}

#[tokio::test]
async fn a_partner_is_shown_what_of_its_own_was_rejected_and_nothing_of_others() {
    let world = World::new().await;
    let walk = purchase(&json!({"type": "walk"})).to_string();
    let of = |caller: (&'static str, &'static str)| {
        Ask::post("/api/v1/events", walk.clone()).with("authorization", "").with(caller.0, caller.1)
    };
    let shown = async |caller: (&'static str, &'static str)| {
        let told = world.send(Ask::get("/api/v1/rejected-events").with(caller.0, caller.1)).await;
        told.json()["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let [duka, kiosk] = [("x-api-key", "duka-key"), ("x-api-key", "kiosk-key")];
    let app = ("authorization", "Bearer app-token");
    world.send(of(duka)).await.check_problem(422, "EVENT_TYPE_WITHOUT_RATE");
    assert_eq!((shown(duka).await.len(), shown(kiosk).await.len()), (1, 0));
    // The same bytes of another are theirs, and once more of the same nothing new.
    for caller in [kiosk, app, duka, kiosk, app] {
        world.send(of(caller)).await.check_problem(422, "EVENT_TYPE_WITHOUT_RATE");
    }
    let (own, others, all) = (shown(duka).await, shown(kiosk).await, shown(app).await);
    assert_eq!((own.len(), others.len(), all.len()), (1, 1, 3));
    assert!(own != others && all.contains(&own[0]) && all.contains(&others[0]), "{own:?} {others:?} {all:?}");
    // No cursor leads to another's.
    let path = format!("/api/v1/rejected-events?starting_after={}", others[0] - 1);
    let told = world.send(Ask::get(path).with("x-api-key", "duka-key")).await.json();
    assert!(!told.to_string().contains(&format!("\"id\":{}", others[0])), "{told}");
    let named =
        Ask::get("/api/v1/rejected-events").with("x-api-key", "duka-key").with("x-partner-id", "kiosk");
    world.send(named).await.check_problem(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_member_is_shown_no_rejected_events() {
    let world = World::new().await;
    world.send(earn(&json!({"type": "walk"}))).await.check_problem(422, "EVENT_TYPE_WITHOUT_RATE");
    let keyring = Keyring::new(&[7; 32]);
    let credential = Credential {
        program_id: world.program_id,
        owner: MEMBER.into(),
        scopes: vec!["loyalty:earn".into()],
        partner_id: None,
        delegated: false,
    };
    let conn = &mut *world.pool.acquire().await.unwrap();
    store::ensure_credential(conn, &keyring, CredentialKind::BearerToken, "earns", &credential)
        .await
        .unwrap();
    let ask = Ask::get("/api/v1/rejected-events").with("authorization", "Bearer earns");
    world.send(ask).await.check_problem(403, "FORBIDDEN");
}
