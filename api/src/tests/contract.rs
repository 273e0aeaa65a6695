//! The M-PESA contract and the app's, answer by answer, with every trap.

use super::*;

/// A redemption with one thing changed is a 400 that names these fields.
async fn check_invalid(world: &World, ask: Ask, fields: &[&str]) {
    let told = world.send(ask.clone()).await;
    assert_eq!(told.invalid_fields(), fields, "{}", told.text());
    assert_eq!(told.header("content-type"), "application/json", "the contract's media type");
}

#[tokio::test]
async fn a_redemption_is_answered_as_the_contract_says() {
    let world = World::new().await.with_points(500).await;
    let told = world.send(redeem(151)).await;
    assert_eq!(told.status, 200);
    assert_eq!(told.header("content-type"), "application/json");
    let id = told.json()["transaction_id"].as_str().unwrap().to_owned();
    assert!(Uuid::try_parse(&id).is_ok());
    // Byte for byte: a float on the way would have made 15.1 of it, or worse.
    let golden = format!(
        r#"{{"transaction_id":"{id}","status":"SUCCESS","points_redeemed":151,"new_balance":349,"value":{{"amount":15.10,"currency":"KES"}},"leaf_index":1,"receipt_url":"https://loyalty.test/v1/receipts/{id}"}}"#
    );
    assert_eq!(told.text(), golden);
    assert_eq!(world.check_books().await.leaves, 2);
}

#[tokio::test]
async fn a_value_is_exact_at_the_ends_of_its_range() {
    for (point_value, points, amount) in [
        ("999999999999.99999999", 100_000, "99999999999999999.99900000"),
        ("0.00000001", 1, "0.00000001"),
        ("1.10", 3, "3.30"),
        ("1", 7, "7"),
    ] {
        let world = World::worth(point_value).await.with_points(100_000).await;
        let told = world.send(redeem(points)).await;
        assert!(told.text().contains(&format!("\"amount\":{amount},")), "{}", told.text());
        world.check_books().await;
    }
}

#[tokio::test]
async fn what_a_redemption_says_is_opened_by_its_receipt() {
    let world = World::new().await.with_points(500).await;
    let body = json!({"points": 5, "merchant_reference": "ORDER-7", "description": "Kikombe cha chai ☕"});
    let told = world.send(Ask { body: body.to_string().into(), ..redeem(5) }).await;
    let id: Uuid = told.json()["transaction_id"].as_str().unwrap().parse().unwrap();
    let log = LogIdentity { log_id: [1; 32], origin: "log.test".into() };
    let viewer = store::Viewer::Partner("duka".into());
    let mut conn = world.pool.acquire().await.unwrap();
    let (_, leaf) =
        store::opened_posting(&mut conn, &Keyring::new(&[7; 32]), &log, world.program_id, id, &viewer)
            .await
            .unwrap()
            .unwrap();
    let details = leaf.details.opened().unwrap();
    let words = [&details.merchant_reference, &details.actor, &details.description, &details.rate]
        .map(|it| it.as_ref().unwrap().as_str());
    assert_eq!(words, ["ORDER-7", "partner:duka", "Kikombe cha chai ☕", "0.10 KES"]);
}

#[tokio::test]
async fn a_redemption_that_is_not_valid_says_which_field() {
    let world = World::new().await.with_points(500).await;
    let with_body = |body: Value| Ask { body: body.to_string().into(), ..redeem(1) };
    let reference = |text: &str| with_body(json!({"points": 1, "merchant_reference": text}));
    let description =
        |text: &str| with_body(json!({"points": 1, "merchant_reference": "a", "description": text}));
    for points in [json!(0), json!(-1), json!(100_001), json!(i64::MAX), json!(1.5), json!("5"), json!(null)]
    {
        check_invalid(&world, with_body(json!({"points": points, "merchant_reference": "a"})), &["points"])
            .await;
    }
    check_invalid(&world, with_body(json!({"merchant_reference": "a"})), &["points"]).await;
    check_invalid(&world, with_body(json!({"points": 1})), &["merchant_reference"]).await;
    check_invalid(&world, with_body(json!({})), &["points", "merchant_reference"]).await;
    check_invalid(
        &world,
        with_body(json!({"points": 0, "merchant_reference": 5})),
        &["points", "merchant_reference"],
    )
    .await;
    check_invalid(&world, reference(&"a".repeat(101)), &["merchant_reference"]).await;
    check_invalid(&world, reference("a\0b"), &["merchant_reference"]).await;
    check_invalid(&world, description(&"a".repeat(501)), &["description"]).await;
    check_invalid(&world, with_body(json!([])), &["body"]).await;
    for body in ["", "{", "{}x", "\u{feff}{}", r#"{"points":1,"points":2,"merchant_reference":"a"}"#] {
        check_invalid(&world, Ask { body: body.into(), ..redeem(1) }, &["body"]).await;
    }
    check_invalid(&world, Ask { body: vec![0xff], ..redeem(1) }, &["body"]).await;

    // Characters count, not bytes.
    let told = world.send(reference(&"é".repeat(100))).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let other_key = Uuid::new_v4().to_string();
    let long = description(&"🍵".repeat(500)).with("x-idempotency-key", &other_key);
    let told = world.send(long).await;
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(world.check_books().await.leaves, 3);
}

#[tokio::test]
async fn the_key_of_a_redemption_is_one_uuid() {
    const OTHER: &str = "0198a000-0000-7000-8000-000000000002";
    let world = World::new().await.with_points(500).await;
    let bare = redeem(1).with("x-idempotency-key", "");
    let told = world.send(bare.clone()).await;
    assert_eq!(told.invalid_fields(), ["X-Idempotency-Key"]);
    assert_eq!(told.json()["validation_errors"][0]["code"], "IDEMPOTENCY_KEY_MISSING");
    for key in ["order-7", "0198a00000007000800000000000001", "{0198a000-0000-7000-8000-000000000001}", "\""]
    {
        check_invalid(&world, redeem(1).with("x-idempotency-key", key), &["X-Idempotency-Key"]).await;
    }
    check_invalid(&world, bare.clone().with("idempotency-key", "order-7"), &["Idempotency-Key"]).await;
    check_invalid(&world, redeem(1).with("idempotency-key", OTHER), &["X-Idempotency-Key"]).await;

    let first = world.send(redeem(1)).await;
    // The same key however it is written, and in whichever header.
    for ask in [
        bare.clone().with("idempotency-key", KEY),
        bare.clone().with("idempotency-key", &format!("\"{KEY}\"")),
        redeem(1).with("idempotency-key", &KEY.to_uppercase()),
    ] {
        let told = world.send(ask).await;
        assert_eq!((told.status, told.text()), (first.status, first.text()));
        assert_eq!(told.header("idempotent-replayed"), "true");
    }
    assert_eq!(world.check_books().await.leaves, 2);
}

#[tokio::test]
async fn who_asks_decides_what_may_be_asked() {
    let world = World::new().await.with_points(500).await;
    let balance =
        Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance")).with("x-partner-id", "duka");
    let app = Ask::get("/api/v1/loyalty/balance").with("x-user-id", MEMBER);
    let strangers = [
        redeem(1).with("x-api-key", ""),
        redeem(1).with("x-api-key", "no-such-key"),
        redeem(1).with("x-api-key", "duka-token"),
        redeem(1).with("x-api-key", "").with("authorization", "Bearer duka-key"),
        redeem(1).with("x-api-key", "").with("authorization", "Basic ZHVrYS10b2tlbg=="),
        redeem(1).with("authorization", "Bearer no-such-token"),
        balance.clone(),
        app.clone(),
        earn(&json!({})).with("authorization", ""),
        Ask::get("/api/v1/rejected-events"),
    ];
    for ask in strangers {
        let told = world.send(ask).await;
        told.check_problem(401, "UNAUTHORIZED");
        assert!(told.header("www-authenticate").starts_with("Bearer"));
    }

    let may_not = [
        redeem(1).with("x-api-key", "reader-key"),
        redeem(1).with("x-partner-id", "kiosk"),
        redeem(1).with("x-api-key", "").with("authorization", "Bearer app-token"),
        earn(&json!({})).with("authorization", "Bearer member-token"),
        balance.clone().with("x-api-key", "kiosk-key"),
        balance.clone().with("authorization", "Bearer app-token"),
        app.clone().with("x-api-key", "duka-key"),
        app.clone().with("x-user-id", STRANGER).with("authorization", "Bearer member-token"),
        app.clone().with("x-user-id", "").with("x-api-key", "duka-key"),
    ];
    for ask in may_not {
        world.send(ask).await.check_problem(403, "FORBIDDEN");
    }
    let told = world.send(redeem(1).with("x-api-key", "reader-key")).await;
    assert_eq!(
        told.header("www-authenticate"),
        r#"Bearer error="insufficient_scope", scope="loyalty:redeem""#
    );

    let may = [
        redeem(1)
            .with("x-api-key", "")
            .with("authorization", "bearer duka-token")
            .with("x-partner-id", "duka"),
        balance.clone().with("x-api-key", "reader-key"),
        app.clone().with("authorization", "Bearer app-token"),
        app.clone().with("authorization", "Bearer member-token"),
        app.with("x-user-id", "").with("authorization", "Bearer member-token"),
    ];
    for ask in may {
        let told = world.send(ask).await;
        assert_eq!(told.status, 200, "{}", told.text());
    }
    assert_eq!(world.check_books().await.leaves, 2, "nobody else has posted anything");
}

#[tokio::test]
async fn balances_are_answered_as_the_contracts_say() {
    let world = World::new().await.with_points(15_750).await;
    let partner = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance"))
        .with("x-partner-id", "duka")
        .with("x-api-key", "duka-key");
    let at = |query: &str| Ask { path: format!("{}{query}", partner.path), ..partner.clone() };

    let mut body = world.send(partner.clone()).await.json();
    let updated = body["last_updated"].take();
    assert!(updated.as_str().unwrap().ends_with('Z'));
    assert_eq!(body, json!({"user_id": MEMBER, "balance": 15_750, "last_updated": null}));
    assert_eq!(world.send(at("?include_pending=false")).await.json().get("pending_points"), None);
    assert_eq!(world.send(at("?include_pending=true")).await.json()["pending_points"], 0);

    let mut body = world
        .send(
            Ask::get("/api/v1/loyalty/balance")
                .with("x-user-id", MEMBER)
                .with("authorization", "Bearer app-token"),
        )
        .await
        .json();
    assert_eq!(body["last_updated"].take(), updated);
    // The contract's fields, and what we tell besides.
    let golden = json!({
        "user_id": MEMBER, "current_balance": 15_750, "pending_points": 0, "last_updated": null,
        "held_points": 0, "status": "active", "version": 1,
    });
    assert_eq!(body, golden, "tier and expires_on are left out where there is none");

    for query in ["x", "", "TRUE", "1", "true&include_pending=true", "%ff"] {
        check_invalid(&world, at(&format!("?include_pending={query}")), &["include_pending"]).await;
    }
    check_invalid(&world, partner.clone().with("x-partner-id", ""), &["X-Partner-ID"]).await;
    for user in ["42", "%ff", "550e8400e29b41d4a716446655440000"] {
        let path = format!("/loyalty/v1/partner/users/{user}/balance");
        check_invalid(&world, Ask { path, ..partner.clone() }, &["userId"]).await;
        let path = format!("/loyalty/v1/partner/users/{user}/redeem");
        check_invalid(&world, Ask { path, ..redeem(1) }, &["userId"]).await;
    }
    let app = Ask::get("/api/v1/loyalty/balance").with("authorization", "Bearer app-token");
    assert_eq!(world.send(app.clone()).await.invalid_fields(), ["X-User-ID"]);

    let path = format!("/loyalty/v1/partner/users/{STRANGER}/balance");
    world.send(Ask { path, ..partner.clone() }).await.check_problem(404, "USER_NOT_FOUND");
    world.send(app.with("x-user-id", STRANGER)).await.check_problem(404, "USER_NOT_FOUND");
    let path = format!("/loyalty/v1/partner/users/{STRANGER}/redeem");
    world.send(Ask { path, ..redeem(1) }).await.check_problem(404, "USER_NOT_FOUND");
}

#[tokio::test]
async fn a_balance_that_is_known_is_not_sent_again() {
    let world = World::new().await.with_points(10).await;
    let ask = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance"))
        .with("x-partner-id", "duka")
        .with("x-api-key", "duka-key");
    let told = world.send(ask.clone()).await;
    let etag = told.header("etag").to_owned();
    let again = ask.clone().with("if-none-match", &format!("\"other\", {etag}"));
    let told = world.send(again.clone()).await;
    assert_eq!((told.status.as_u16(), told.bytes.len()), (304, 0));
    let with_pending = Ask { path: format!("{}?include_pending=true", ask.path), ..again.clone() };
    assert_eq!(world.send(with_pending).await.status, 200, "another representation");
    world.send(redeem(1)).await;
    assert_eq!(world.send(again).await.status, 200, "another balance");
}

#[tokio::test]
async fn too_little_is_a_conflict_that_says_how_little() {
    let world = World::new().await.with_points(100).await;
    let told = world.send(redeem(101)).await;
    let body = told.check_problem(409, "INSUFFICIENT_BALANCE");
    assert_eq!((&body["current_balance"], &body["required_points"]), (&json!(100), &json!(101)));
    assert_eq!(told.header("idempotent-replayed"), "");
    assert_eq!(world.check_books().await.leaves, 1);
}

#[tokio::test]
async fn every_failure_has_one_shape() {
    let world = World::new().await;
    let key = |ask: Ask| ask.with("x-api-key", "duka-key");
    world.send(Ask::get("/nothing/here")).await.check_problem(404, "NOT_FOUND");
    world.send(Ask::get("/loyalty/v1/nothing")).await.check_problem(404, "NOT_FOUND");
    let told = world.send(Ask::get("/api/v1/events")).await;
    told.check_problem(405, "METHOD_NOT_ALLOWED");
    assert_eq!(told.header("allow"), "POST");
    for content_type in ["", "text/plain", "application/x-www-form-urlencoded"] {
        for ask in [redeem(1), key(earn(&json!({}))).with("authorization", "")] {
            let told = world.send(ask.with("content-type", content_type)).await;
            told.check_problem(415, "UNSUPPORTED_MEDIA_TYPE");
        }
    }
    let large = Ask { body: vec![b' '; (1 << 20) + 1], ..redeem(1) };
    world.send(large.clone()).await.check_problem(413, "PAYLOAD_TOO_LARGE");
    world.send(large.with("content-length", "1048577")).await.check_problem(413, "PAYLOAD_TOO_LARGE");

    let told = world.send(Ask::get("/nothing/here")).await;
    assert_eq!(told.header("content-type"), "application/problem+json");
    let told = world.send(redeem(1).with("x-api-key", "")).await;
    assert_eq!(told.header("content-type"), "application/json", "the contract's paths speak its media type");
    let told = world.send(redeem(1).with("x-api-key", "").with("accept", "application/problem+json")).await;
    assert_eq!(told.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let world = World::new().await;
    let id = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    for path in ["/health/live", "/nothing"] {
        let told = world.send(Ask::get(path).with("x-request-id", id)).await;
        assert_eq!(told.header("x-request-id"), id);
        let told = world.send(Ask::get(path).with("x-request-id", "not-a-uuid")).await;
        assert!(Uuid::try_parse(told.header("x-request-id")).is_ok());
    }
}
