//! The same request twice is one posting with the same answer, whatever happens meanwhile.

use std::collections::HashSet;

use futures::future::join_all;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn one_key_from_fifty_callers_at_once_is_one_posting() {
    let world = Arc::new(World::new().await.with_points(500).await);
    let tasks = (0..50).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.send(redeem(20)).await })
    });
    let told: Vec<Told> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert!(told.iter().all(|it| it.status == 200), "{}", told[0].text());
    let answers: HashSet<String> = told.iter().map(Told::text).collect();
    assert_eq!(answers.len(), 1, "everyone is told the same: {answers:?}");
    let first = told.iter().filter(|it| it.header("idempotent-replayed").is_empty()).count();
    assert_eq!(first, 1, "one of them is told first");
    let report = world.check_books().await;
    assert_eq!(report.leaves, 2);
}

#[tokio::test]
async fn a_key_with_another_request_is_refused() {
    let world = World::new().await.with_points(500).await;
    let first = world.send(redeem(20)).await;
    assert_eq!(first.status, 200);
    let other_body = |body: Value| Ask { body: body.to_string().into(), ..redeem(20) };
    for ask in [
        redeem(21),
        other_body(json!({"points": 20, "merchant_reference": "ORDER-8"})),
        other_body(json!({"points": 20, "merchant_reference": "ORDER-7", "description": "x"})),
        Ask { path: format!("/loyalty/v1/partner/users/{STRANGER}/redeem"), ..redeem(20) },
    ] {
        let told = world.send(ask).await;
        told.check_problem(422, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(told.header("idempotent-replayed"), "");
    }
    // The same wish in other bytes, and by another door of the same owner, is the same request.
    let spelled = r#" { "merchant_reference":"ORDER-7", "extra":[1], "points":20 } "#;
    for ask in [
        Ask { body: spelled.into(), ..redeem(20) },
        redeem(20).with("x-api-key", "").with("authorization", "Bearer duka-token"),
    ] {
        let told = world.send(ask).await;
        assert_eq!(told.text(), first.text());
        assert_eq!(told.header("idempotent-replayed"), "true");
    }
    // The same key of another owner is another key.
    let told = world.send(redeem(20).with("x-api-key", "kiosk-key")).await;
    assert_eq!((told.status.as_u16(), told.header("idempotent-replayed")), (200, ""));
    assert_eq!(world.check_books().await.leaves, 3);
}

#[tokio::test]
async fn a_refusal_is_remembered_and_an_invalid_request_is_not() {
    let world = World::new().await.with_points(10).await;
    assert_eq!(world.send(redeem(0)).await.status, 400);
    world.send(redeem(11)).await.check_problem(409, "INSUFFICIENT_BALANCE");
    let world = world.with_points(10).await;
    let told = world.send(redeem(11)).await;
    told.check_problem(409, "INSUFFICIENT_BALANCE");
    assert_eq!(told.header("idempotent-replayed"), "true");
    assert_eq!(told.json()["current_balance"], 10, "as it was then");
    let told = world.send(redeem(11).with("x-idempotency-key", STRANGER)).await;
    assert_eq!(told.status, 200, "a new key asks anew");
    world.check_books().await;
}

#[tokio::test]
async fn a_partner_may_choose_that_its_reference_names_one_transaction_of_a_kind() {
    let world = World::new().await.with_points(500).await;
    let spend = |points: i64, reference: &str, key: &str| {
        let body = json!({"points": points, "merchant_reference": reference}).to_string();
        Ask { body: body.into(), ..redeem(points) }.with("x-idempotency-key", key)
    };
    let new = || Uuid::new_v4().to_string();
    // Unless it does, a payment may be split.
    for _ in 0..2 {
        assert_eq!(world.send(spend(10, "ORDER-7", &new())).await.status, 200);
    }
    let editor = world.key(Role::Editor, "amina", &["admin:*"]).await;
    let partner = || Ask::get("/api/v1/partners/duka").with("x-api-key", &editor);
    let seen = world.send(partner()).await;
    assert_eq!(seen.json()["references_once"], false);
    let body = json!({"references_once": true, "reason": "asked"}).to_string();
    let change = Ask { method: Method::PATCH, ..Ask::post("/api/v1/partners/duka", body) };
    let told = world.send(change.with("x-api-key", &editor).with("if-match", seen.header("etag"))).await;
    assert_eq!(
        (told.status.as_u16(), &told.json()["references_once"]),
        (200, &json!(true)),
        "{}",
        told.text()
    );
    let world = world.another_process();

    let (one, other) = (new(), new());
    let first = world.send(spend(10, "ORDER-8", &one)).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let again = world.send(spend(10, "ORDER-8", &one)).await;
    assert_eq!((again.text(), again.header("idempotent-replayed")), (first.text(), "true"));
    let reused = world.send(spend(20, "ORDER-8", &other)).await.check_problem(409, "REFERENCE_REUSED");
    let named = first.json()["transaction_id"].as_str().unwrap().to_owned();
    assert!(reused["detail"].as_str().unwrap().contains(&named), "{reused}");
    // For something else, or by another partner, it is used for the first time.
    let hold = json!({"user_id": MEMBER, "points": 5, "merchant_reference": "ORDER-8"}).to_string();
    let hold = Ask::post("/api/v1/loyalty/holds", hold).with("x-api-key", "duka-key");
    let held = world.send(hold.clone().with("idempotency-key", "h1")).await;
    assert_eq!(held.status, 201, "{}", held.text());
    world.send(hold.with("idempotency-key", "h2")).await.check_problem(409, "REFERENCE_REUSED");
    let by_another = spend(10, "ORDER-8", &other).with("x-api-key", "kiosk-key");
    assert_eq!(world.send(by_another).await.status, 200);

    // What came to nothing has not used it: neither what was refused, nor a key that was something else's.
    world.send(spend(5000, "ORDER-9", &new())).await.check_problem(409, "INSUFFICIENT_BALANCE");
    world.send(spend(10, "ORDER-9", &one)).await.check_problem(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(world.send(spend(10, "ORDER-9", &new())).await.status, 200);

    // Of many at once one uses it.
    let all = join_all((0..8).map(|_| world.send(spend(10, "ORDER-10", &new())))).await;
    assert_eq!(all.iter().filter(|it| it.status == 200).count(), 1);
    assert!(all.iter().all(|it| [200, 409].contains(&it.status.as_u16())), "{}", all[0].text());
    let item = json!({"redemption": {"user_id": MEMBER, "points": 10, "merchant_reference": "ORDER-11"}});
    let batch = |mode: &str| {
        let body = json!({"mode": mode, "items": [item, item]}).to_string();
        Ask::post("/api/v1/loyalty/batches", body).with("x-api-key", "duka-key")
    };
    let whole = world.send(batch("all_or_none").with("idempotency-key", "whole")).await;
    let problem = whole.check_problem(409, "REFERENCE_REUSED");
    assert_eq!(problem["validation_errors"][0]["pointer"], "/items/1", "{problem}");
    // All or none of it are claimed, so none is kept from the next request.
    let each = batch("independent").with("idempotency-key", "each");
    let told = world.send(each.clone()).await.json();
    let posted = |told: &Value| {
        told["results"].as_array().unwrap().iter().filter(|it| it["status"] == "SUCCESS").count()
    };
    assert_eq!(posted(&told), 1, "{told}");
    let again = world.send(each).await.json();
    assert_eq!(posted(&again), 1, "{again}");
    assert!(again.to_string().contains("REFERENCE_REUSED"), "{again}");
    world.check_books().await;
}
