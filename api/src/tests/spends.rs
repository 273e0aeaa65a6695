//! Spending through the paths of apps and partners: what is answered, to whom, and what is refused with which words.

use ledger::Refusal;

use super::*;
use crate::refusal;

const OTHER: &str = "0198a000-0000-7000-8000-0000000000aa";

/// A partner's request under a new key.
fn partner(path: &str, body: Value) -> Ask {
    Ask::post(format!("/api/v1/loyalty/{path}"), body.to_string())
        .with("x-api-key", "duka-key")
        .with("idempotency-key", &Uuid::new_v4().to_string())
}

/// The same by an app that speaks for the member.
fn app(path: &str, body: Value) -> Ask {
    partner(path, body)
        .with("x-api-key", "")
        .with("authorization", "Bearer app-token")
        .with("x-user-id", MEMBER)
}

fn id(told: &Told) -> String {
    assert_eq!(told.status, 201, "{}", told.text());
    told.json()["transaction_id"].as_str().unwrap().to_owned()
}

async fn check(world: &World, ask: Ask, status: u16, code: &str) -> Value {
    let told = world.send(ask).await;
    let body = told.check_problem(status, code);
    assert!(body["detail"].as_str().unwrap().ends_with('.'), "{body}");
    body
}

#[tokio::test]
async fn a_redemption_tells_all_that_came_of_it() {
    let world = World::new().await.with_points(500).await;
    let body = json!({"user_id": MEMBER, "points": 151, "merchant_reference": "ORDER-7"});
    let ask = partner("redemptions", body).with("idempotency-key", "order 7");
    let told = world.send(ask.clone()).await;
    let id = id(&told);
    assert_eq!(told.header("location"), format!("/api/v1/loyalty/transactions/{id}"));
    let mut body = told.json();
    let earned = body["lots"][0]["earned_on"].take();
    assert_eq!(earned.as_str().unwrap().len(), 10);
    let golden = json!({
        "transaction_id": id, "kind": "redeem", "status": "SUCCESS", "points": 151,
        "balance": {"available": 349, "held": 0, "pending": 0, "version": 2},
        "lots": [{"earned_on": null, "available": -151, "held": 0, "pending": 0}],
        "value": {"amount": "15.10", "currency": "KES"},
        "leaf_index": 1, "receipt_url": format!("https://loyalty.test/v1/receipts/{id}"),
    });
    assert_eq!(body, golden);

    let again = world.send(ask.with("idempotency-key", "\"order 7\"")).await;
    assert_eq!((again.status, again.text()), (told.status, told.text()));
    assert_eq!(again.header("idempotent-replayed"), "true");

    let told = world.send(app("redemptions", json!({"points": 1000, "up_to": true}))).await;
    assert_eq!(told.json()["points"], 349, "{}", told.text());
    assert_eq!(world.check_books().await.leaves, 3);
}

#[tokio::test]
async fn a_hold_is_captured_voided_increased_and_extended_by_whose_it_is() {
    let world = World::new().await.with_points(500).await;
    let told = world.send(partner("holds", json!({"user_id": MEMBER, "points": 100, "seconds": 60}))).await;
    let hold = id(&told);
    let body = told.json();
    assert_eq!(body["balance"], json!({"available": 400, "held": 100, "pending": 0, "version": 2}));
    let first_end = body["expires_at"].as_str().unwrap().to_owned();
    let of = |what: &str, body: Value| partner(&format!("holds/{hold}/{what}"), body);

    // Another's hold does not exist, whoever asks.
    for what in ["capture", "void"] {
        let ask = of(what, json!({})).with("x-api-key", "kiosk-key");
        check(&world, ask, 404, "TRANSACTION_NOT_FOUND").await;
        check(&world, app(&format!("holds/{hold}/{what}"), json!({})), 404, "TRANSACTION_NOT_FOUND").await;
        check(&world, partner(&format!("holds/{OTHER}/{what}"), json!({})), 404, "TRANSACTION_NOT_FOUND")
            .await;
        check(&world, partner(&format!("holds/x/{what}"), json!({})), 404, "TRANSACTION_NOT_FOUND").await;
    }
    let told = world.send(of("increase", json!({"points": 50}))).await;
    assert_eq!(told.json()["balance"]["held"], 150);
    assert_eq!(world.send(of("extend", json!({"seconds": 3600}))).await.status, 201);
    check(&world, of("extend", json!({"seconds": 3})), 422, "HOLD_TIME_OUT_OF_RANGE").await;
    let told = world.send(of("capture", json!({"points": 40, "keep_rest": true}))).await;
    assert_eq!(told.json()["value"], json!({"amount": "4.00", "currency": "KES"}), "{}", told.text());
    assert_eq!(told.json()["balance"]["held"], 110);
    check(&world, of("capture", json!({"points": 111})), 409, "MORE_THAN_LEFT").await;
    let told = world.send(of("void", json!({}))).await;
    assert_eq!(told.json()["balance"], json!({"available": 460, "held": 0, "pending": 0, "version": 6}));
    check(&world, of("capture", json!({})), 409, "HOLD_ALREADY_SETTLED").await;
    assert!(first_end.ends_with('Z'));

    // A hold that the app has placed is the member's own, and lapses by itself.
    let short = id(&world.send(app("holds", json!({"points": 10, "seconds": 1}))).await);
    check(&world, partner(&format!("holds/{short}/void"), json!({})), 404, "TRANSACTION_NOT_FOUND").await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let ask = app(&format!("holds/{short}/increase"), json!({"points": 10_000}));
        let told = world.send(ask).await;
        // Until then there is not enough for it, however often it is asked for.
        if told.json()["error"] != "INSUFFICIENT_BALANCE" {
            told.check_problem(409, "HOLD_EXPIRED");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the hold has not lapsed: {}", told.text());
    }
    world.check_books().await;
}

#[tokio::test]
async fn members_give_to_members_and_to_nobody_else() {
    let world = World::new().await.with_points(500).await;
    world.send(earn(&json!({"user_id": OTHER, "amount": 1}))).await;
    let told = world.send(app("transfers", json!({"to_user_id": OTHER, "points": 30}))).await;
    assert_eq!(told.json()["balance"]["available"], 470, "{}", told.text());
    check(&world, app("transfers", json!({"to_user_id": MEMBER, "points": 30})), 422, "SAME_MEMBER").await;
    check(&world, app("transfers", json!({"to_user_id": STRANGER, "points": 30})), 404, "USER_NOT_FOUND")
        .await;
    let of_another = app("transfers", json!({"user_id": OTHER, "to_user_id": MEMBER, "points": 1}));
    check(&world, of_another, 403, "FORBIDDEN").await;
    check(&world, partner("transfers", json!({"to_user_id": OTHER, "points": 1})), 403, "FORBIDDEN").await;
    let body = check(
        &world,
        app("transfers", json!({"to_user_id": OTHER, "points": 471})),
        409,
        "INSUFFICIENT_BALANCE",
    )
    .await;
    assert_eq!((&body["current_balance"], &body["required_points"]), (&json!(470), &json!(471)));
    assert_eq!(world.check_books().await.leaves, 3);
}

#[tokio::test]
async fn what_is_to_be_anchored_soon_needs_a_scope_of_its_own() {
    let world = World::new().await.with_points(500).await;
    let bank = world.key(Role::Partner, "duka-bank", &["loyalty:redeem", "anchor:soon"]).await;
    let soon = |path: &str, body: Value, key: &str| {
        partner(path, body).with("idempotency-key", key).with("anchor-priority", "soon")
    };
    let redemption = json!({"user_id": MEMBER, "points": 10});
    let ask = soon("redemptions", redemption.clone(), "bank 1");
    check(&world, ask.clone(), 403, "FORBIDDEN").await;
    let ask = ask.with("x-api-key", &bank);
    let odd = world.send(ask.clone().with("anchor-priority", "at once")).await;
    assert_eq!(odd.invalid_fields(), ["Anchor-Priority"]);

    let marked = world.send(ask.clone()).await;
    id(&marked);
    let unmarked = ask.with("anchor-priority", "");
    world.send(unmarked.clone()).await.check_problem(422, "IDEMPOTENCY_KEY_REUSED");
    let slow = world.send(unmarked.with("idempotency-key", "bank 2")).await;
    let items = json!({"mode": "all_or_none", "items": [{"redemption": redemption}]});
    let batch = world.send(soon("batches", items, "bank 3").with("x-api-key", &bank)).await;
    // The partner contract knows no such header, and ignores it.
    let contract = world.send(redeem(10).with("anchor-priority", "soon")).await;
    let leaf = |told: &Value| told["leaf_index"].as_u64().unwrap();
    let conn = &mut *world.pool.acquire().await.unwrap();
    for (leaf, is_soon) in [
        (leaf(&marked.json()), true),
        (leaf(&slow.json()), false),
        (leaf(&batch.json()["results"][0]["transaction"]), true),
        (leaf(&contract.json()), false),
    ] {
        assert_eq!(store::is_hurried(conn, leaf).await.unwrap(), is_soon, "leaf {leaf}");
    }
    world.check_books().await;
}

#[tokio::test]
async fn a_partner_undoes_its_own_and_an_operator_what_is_wrong() {
    let world = World::new().await.with_points(500).await;
    let duka = world.key(Role::Partner, "duka-refunds", &["loyalty:adjust"]).await;
    let editor = world.key(Role::Editor, "amina", &["loyalty:adjust"]).await;
    let redemption = id(&world.send(partner("redemptions", json!({"user_id": MEMBER, "points": 100}))).await);
    let app_redemption = id(&world.send(app("redemptions", json!({"points": 10}))).await);
    let reversal = |id: &str, body: Value| partner(&format!("transactions/{id}/reversals"), body);
    let by_partner = |id: &str, body: Value| reversal(id, body).with("x-api-key", &duka);

    let told = world.send(by_partner(&redemption, json!({"points": 40, "reason": "returned"}))).await;
    assert_eq!(told.json()["balance"]["available"], 430, "{}", told.text());
    let too_much = by_partner(&redemption, json!({"points": 61, "reason": "returned"}));
    check(&world, too_much, 409, "MORE_THAN_LEFT").await;
    let of_another = by_partner(&app_redemption, json!({"reason": "not ours"}));
    check(&world, of_another, 404, "TRANSACTION_NOT_FOUND").await;
    let told = world
        .send(reversal(&app_redemption, json!({"reason": "by mistake"})).with("x-api-key", &editor))
        .await;
    assert_eq!(told.json()["balance"]["available"], 440, "{}", told.text());

    let adjust = |body: Value| partner("adjustments", body).with("x-api-key", &editor);
    let told = world.send(adjust(json!({"user_id": MEMBER, "change": -40, "reason": "counted twice"}))).await;
    assert_eq!(told.json()["balance"]["available"], 400, "{}", told.text());
    let stale = json!({"user_id": MEMBER, "change": 1, "reason": "again", "expected_version": 1});
    check(&world, adjust(stale), 409, "VERSION_CONFLICT").await;
    let future =
        json!({"user_id": MEMBER, "change": 1, "reason": "early", "effective_at": "2999-01-01T00:00:00Z"});
    check(&world, adjust(future), 422, "IN_FUTURE").await;
    let more = json!({"user_id": MEMBER, "change": -401, "reason": "too much"});
    check(&world, adjust(more), 409, "INSUFFICIENT_BALANCE").await;
    world.check_books().await;
}

#[tokio::test]
async fn who_approves_an_adjustment_shows_a_token_of_their_own() {
    let world = World::new().await.with_points(500).await;
    let policy = json!({"approval_above": 100}).to_string();
    let mut conn = world.pool.acquire().await.unwrap();
    store::add_policy(&mut conn, world.program_id, policy.as_bytes()).await.unwrap();
    drop(conn);
    let editor = world.key(Role::Editor, "amina", &["loyalty:adjust"]).await;
    let token = async |role: Role, owner: &str, scope: &str| {
        let key = world.key(role, owner, &[scope]).await;
        let told = world.token(owner, &key, "grant_type=client_credentials").await;
        assert_eq!(told.status, 200, "{}", told.text());
        format!("Bearer {}", told.json()["access_token"].as_str().unwrap())
    };
    let badru = token(Role::Approver, "badru", "loyalty:adjust").await;
    let body = json!({"user_id": MEMBER, "change": -101, "reason": "counted twice"});
    let adjust = || partner("adjustments", body.clone()).with("x-api-key", &editor);

    check(&world, adjust(), 403, "APPROVAL_REQUIRED").await;
    // A name proves nothing, whoever's it is.
    let named = json!({"user_id": MEMBER, "change": -101, "reason": "counted twice", "approver": "badru"});
    let named = partner("adjustments", named).with("x-api-key", &editor);
    world.send(named).await.check_problem(400, "INVALID_REQUEST");
    for shown in [
        token(Role::Editor, "chema", "loyalty:adjust").await,
        token(Role::Approver, "dalila", "loyalty:read").await,
        "Bearer made-up".to_owned(),
    ] {
        check(&world, adjust().with("approver-authorization", &shown), 403, "FORBIDDEN").await;
    }
    let bare = adjust().with("approver-authorization", "badru");
    assert_eq!(world.send(bare).await.invalid_fields(), ["Approver-Authorization"]);
    let asked = adjust().with("approver-authorization", &badru);
    let told = world.send(asked.clone()).await;
    assert_eq!(told.json()["balance"]["available"], 399, "{}", told.text());
    // Nor does one person undo it.
    let undo = partner(&format!("transactions/{}/reversals", id(&told)), json!({"reason": "after all"}));
    let refused = check(&world, undo.with("x-api-key", &editor), 403, "APPROVAL_REQUIRED").await;
    assert!(refused["detail"].as_str().unwrap().contains("adjusted back"), "{refused}");
    let viewer = world.key(Role::Viewer, "esi", &["loyalty:read"]).await;
    let story = Ask::get(format!("/api/v1/loyalty/transactions/{}", id(&told)));
    let story = world.send(story.with("x-api-key", &viewer)).await.json();
    assert_eq!(story["description"], "approved by approver:badru", "{story}");
    let farida = token(Role::Approver, "farida", "loyalty:adjust").await;
    let other = asked.clone().with("approver-authorization", &farida);
    let reused = check(&world, other, 422, "IDEMPOTENCY_KEY_REUSED").await;
    assert!(reused["detail"].as_str().unwrap().contains("other approver or effective_at:"), "{reused}");
    assert_eq!(world.send(asked).await.header("idempotent-replayed"), "true");
    // Who approves what they ask for themselves is one person.
    let alone = adjust().with("x-api-key", "").with("authorization", &badru);
    check(&world, alone.with("approver-authorization", &badru), 403, "APPROVAL_REQUIRED").await;
    world.check_books().await;
}

#[tokio::test]
async fn a_body_is_what_its_description_says_or_each_fault_is_told() {
    let world = World::new().await.with_points(500).await;
    let faults = async |body: &str| {
        let told = world.send(Ask { body: body.into(), ..partner("redemptions", json!({})) }).await;
        let body = told.check_problem(400, "INVALID_REQUEST");
        let errors = body["validation_errors"].as_array().unwrap().clone();
        errors.iter().map(|it| (it["pointer"].clone(), it["code"].clone())).collect::<Vec<_>>()
    };
    let one = |pointer: &str, code: &str| vec![(json!(pointer), json!(code))];
    for (body, pointer, code) in [
        ("", "", "MALFORMED"),
        ("{", "", "MALFORMED"),
        ("[]", "", "WRONG_TYPE"),
        ("7", "", "WRONG_TYPE"),
        (r#"{"points":1,"points":2}"#, "", "DUPLICATE"),
        ("{}", "/points", "REQUIRED"),
        (r#"{"points":"1"}"#, "/points", "WRONG_TYPE"),
        (r#"{"points":1.5}"#, "/points", "WRONG_TYPE"),
        (r#"{"points":0}"#, "/points", "OUT_OF_RANGE"),
        (r#"{"points":9007199254740992}"#, "/points", "OUT_OF_RANGE"),
        (r#"{"points":18446744073709551615}"#, "/points", "OUT_OF_RANGE"),
        (r#"{"points":1,"pionts":1}"#, "/pionts", "UNKNOWN"),
        (r#"{"points":1,"a/b~c":1}"#, "/a~1b~0c", "UNKNOWN"),
        (r#"{"points":1,"up_to":1}"#, "/up_to", "WRONG_TYPE"),
        (r#"{"points":1,"user_id":""}"#, "/user_id", "INVALID_TEXT"),
        (r#"{"points":1,"description":"a\u0000b"}"#, "/description", "INVALID_TEXT"),
        (r#"{"points":1}"#, "/user_id", "REQUIRED"),
    ] {
        assert_eq!(faults(body).await, one(pointer, code), "{body}");
    }
    let deep = format!(r#"{{"points":1,"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    assert_eq!(faults(&deep).await, one("", "MALFORMED"));
    let both = faults(r#"{"points":0,"up_to":"yes"}"#).await;
    assert_eq!(both.len(), 2, "all faults are told at once: {both:?}");
    let long = json!({"user_id": MEMBER, "points": 1, "merchant_reference": "a".repeat(101)});
    assert_eq!(faults(&long.to_string()).await, one("/merchant_reference", "INVALID_TEXT"));
    assert_eq!(world.check_books().await.leaves, 1);
}

#[tokio::test]
async fn a_key_is_wanted_and_is_one() {
    let world = World::new().await.with_points(500).await;
    let ask = || partner("redemptions", json!({"user_id": MEMBER, "points": 1}));
    check(&world, ask().with("idempotency-key", ""), 400, "IDEMPOTENCY_KEY_MISSING").await;
    for key in ["\"\"", &"k".repeat(256), "caf\u{e9}"] {
        let told = world.send(ask().with("idempotency-key", key)).await;
        assert_eq!(told.invalid_fields(), ["Idempotency-Key"], "{key}");
    }
    let told = world.send(ask().with("x-idempotency-key", "another")).await;
    assert_eq!(told.invalid_fields(), ["X-Idempotency-Key"]);
    let told = world.send(ask().with("idempotency-key", "\"k\"").with("x-idempotency-key", "k")).await;
    assert_eq!(told.status, 201);
    let other = partner("redemptions", json!({"user_id": MEMBER, "points": 2})).with("idempotency-key", "k");
    check(&world, other, 422, "IDEMPOTENCY_KEY_REUSED").await;
    assert_eq!(world.check_books().await.leaves, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_waits_and_is_told_that_its_request_runs() {
    let world = Arc::new(World::new().await.with_points(500).await);
    let mut blocker = world.pool.acquire().await.unwrap();
    store::tamper(&mut blocker, "begin; select from balance for update").await.unwrap();
    let ask = || partner("redemptions", json!({"user_id": MEMBER, "points": 1})).with("idempotency-key", "k");
    let first = tokio::spawn({
        let (world, ask) = (Arc::clone(&world), ask());
        async move { world.send(ask).await }
    });
    // Whichever of the two came first: one works, the other is sent away meanwhile.
    let second = tokio::spawn({
        let (world, ask) = (Arc::clone(&world), ask());
        async move { world.send(ask).await }
    });
    let (told, other) = match futures::future::select(first, second).await {
        futures::future::Either::Left((told, other)) | futures::future::Either::Right((told, other)) => {
            (told.unwrap(), other)
        }
    };
    told.check_problem(409, "IDEMPOTENCY_IN_PROGRESS");
    assert_eq!(told.header("retry-after"), "1");
    store::tamper(&mut blocker, "rollback").await.unwrap();
    assert_eq!(other.await.unwrap().status, 201);
    let told = world.send(ask()).await;
    assert_eq!((told.status.as_u16(), told.header("idempotent-replayed")), (201, "true"));
    assert_eq!(world.check_books().await.leaves, 2);
}

#[test]
fn every_refusal_of_the_books_has_a_code_and_words() {
    for refused in Refusal::all() {
        let code = refusal::code(&refused);
        assert!((400..500).contains(&code.status().as_u16()), "{refused}");
        let words = refusal::words(&refused);
        assert!(words.ends_with('.') && !words.starts_with(char::is_lowercase), "{words}");
        assert!(words.contains(refused.remedy()), "{words}");
    }
}

/// The words of JSON Schema that bodies are held against; another one would be described and not checked.
#[test]
fn no_body_is_described_by_a_word_that_is_not_checked() {
    const CHECKED: [&str; 15] = [
        "type",
        "const",
        "enum",
        "oneOf",
        "anyOf",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
    ];
    const SAID: [&str; 6] = ["$schema", "title", "description", "default", "format", "discriminator"];
    fn walk(schema: &Value, place: &str) {
        let Some(words) = schema.as_object() else { return };
        for (word, inner) in words {
            assert!(CHECKED.contains(&word.as_str()) || SAID.contains(&word.as_str()), "{place}: {word}");
            match word.as_str() {
                "properties" => inner
                    .as_object()
                    .unwrap()
                    .iter()
                    .for_each(|(name, it)| walk(it, &format!("{place}/{name}"))),
                "items" => walk(inner, place),
                "oneOf" | "anyOf" => inner.as_array().unwrap().iter().for_each(|it| walk(it, place)),
                "format" => {
                    let formats = [
                        "uuid",
                        "date",
                        "date-time",
                        "decimal",
                        "double",
                        "int64",
                        "uint64",
                        "uint32",
                        "uint16",
                    ];
                    assert!(formats.contains(&inner.as_str().unwrap()), "{place}: {inner}");
                }
                _ => {}
            }
        }
    }
    for endpoint in crate::endpoints() {
        walk(&endpoint.body_schema(), endpoint.path);
    }
}
