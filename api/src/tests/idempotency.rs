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
