//! What points are worth, from which instant on: set by whoever has seen it last, kept by what was posted, and told again.

use ledger::Rate;

use super::*;

const SECOND_US: i64 = 1_000_000;

impl World {
    async fn rate_from(&self, from_us: Option<i64>, point_value: &str, currency: &str) -> Option<i64> {
        let mut conn = self.pool.acquire().await.unwrap();
        let rate = Rate::new(point_value, currency).unwrap();
        store::add_rate(&mut conn, self.program_id, &rate, from_us).await.unwrap()
    }

    async fn now_us(&self) -> i64 {
        store::clock_us(&mut self.pool.acquire().await.unwrap()).await.unwrap()
    }
}

fn again(points: i64) -> Ask {
    redeem(points).with("x-idempotency-key", &Uuid::new_v4().to_string())
}

/// The amount with every digit, as it was sent.
fn worth(told: &Told) -> String {
    let text = told.text();
    let (_, amount) = text.split_once("\"amount\":").unwrap_or_else(|| panic!("{text}"));
    amount.split(',').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_replay_is_worth_what_it_was_worth_then() {
    let world = World::new().await.with_points(500).await;
    let first = world.send(redeem(20)).await;
    assert_eq!(first.json()["value"], json!({"amount": 2.0, "currency": "KES"}));
    world.rate_from(None, "0.25", "TZS").await.unwrap();
    for world in [&world, &world.another_process()] {
        let again = world.send(redeem(20)).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.text(), first.text());
    }
    let next = world.send(again(20)).await.json();
    assert_eq!(next["value"], json!({"amount": 5.0, "currency": "TZS"}), "the next decision goes by it");
    world.check_books().await;
}

/// Whatever instant a redemption takes effect at, its answer, its posting and the rates agree.
#[tokio::test]
async fn a_redemption_is_worth_what_a_point_is_worth_when_it_takes_effect() {
    let world = World::new().await.with_points(100_000).await;
    let begin_us = world.now_us().await;
    // A new one every forty milliseconds, settled well before it counts.
    let rates: Vec<(i64, String)> =
        (1..=25).map(|it| (begin_us + 10 * SECOND_US + it * 40_000, format!("{it}.05"))).collect();
    for (from_us, value) in &rates {
        assert_eq!(world.rate_from(Some(*from_us), value, "KES").await, Some(*from_us));
    }
    let mut seen = std::collections::BTreeSet::new();
    loop {
        // The last one is asked for once the last rate counts.
        let is_last = rates.last().unwrap().0 <= world.now_us().await;
        let told = world.send(again(1)).await;
        let id: Uuid = told.json()["transaction_id"].as_str().unwrap().parse().unwrap();
        let mut conn = world.pool.acquire().await.unwrap();
        let posting = store::story(&mut conn, world.program_id, id).await.unwrap().unwrap().posting;
        let begun = rates.iter().rev().find(|it| it.0 <= posting.effective_at_us);
        let expected = begun.map_or("0.10", |it| &it.1);
        assert_eq!(posting.rate.as_deref(), Some(format!("{expected} KES").as_str()));
        assert_eq!(worth(&told), expected);
        seen.insert(expected.to_owned());
        if is_last {
            break;
        }
    }
    assert!(1 < seen.len(), "it crossed some: {seen:?}");
    world.check_books().await;
}

#[tokio::test]
async fn rates_are_settled_over_http_by_whoever_has_seen_them_last() {
    let world = World::new().await.with_points(100).await;
    let approver = world.key_as("badru", Role::Approver, None, &["admin:*", "audit:read"], &[]).await;
    let editor = world.key_as("amina", Role::Editor, None, &["admin:*"], &[]).await;
    let path = format!("/api/v1/programs/{}", world.program.id);
    let look = async || world.send(Ask::get(path.clone()).with("x-api-key", &approver)).await;
    let set = async |key: &str, body: Value, tag: &str| {
        let ask = Ask::post(format!("{path}/rates"), body.to_string());
        world.send(ask.with("x-api-key", key).with("if-match", tag)).await
    };
    let tag = look().await.header("etag").to_owned();
    let from = "2999-01-01T00:00:00Z";
    let later = json!({"point_value": "0.12", "currency": "KES", "from": from, "reason": "the new year"});
    assert_eq!(set(&editor, later.clone(), &tag).await.status, 403, "an approver settles it");
    set(&approver, later.clone(), "").await.check_problem(428, "PRECONDITION_REQUIRED");
    for (field, value) in [
        ("point_value", "0.1e3"),
        ("point_value", "-1"),
        ("currency", "kes"),
        ("from", "2020-01-01T00:00:00Z"),
        ("from", "soon"),
    ] {
        let mut wrong = later.clone();
        wrong[field] = json!(value);
        assert_eq!(set(&approver, wrong, &tag).await.status, 400, "{field} {value}");
    }
    let told = set(&approver, later.clone(), &tag).await;
    assert_eq!(told.status, 200, "{}", told.text());
    set(&approver, later, &tag).await.check_problem(412, "PRECONDITION_FAILED");
    let shown = look().await.json();
    assert_eq!((&shown["point_value"], &shown["rates"][1]["from"]), (&json!("0.10"), &json!(from)));
    assert_eq!(worth(&world.send(again(10)).await), "1.00");

    let now = json!({"point_value": "0.20", "currency": "KES", "reason": "a mistake mended"});
    assert_eq!(set(&approver, now, "*").await.status, 200);
    assert_eq!(worth(&world.send(again(10)).await), "2.00");
    let acts = world.send(Ask::get("/api/v1/audit").with("x-api-key", &approver)).await.json();
    let told: Vec<&Value> = acts["data"].as_array().unwrap().iter().map(|it| &it["action"]).collect();
    assert_eq!(told, ["rate.added", "rate.added"]);
    assert_eq!(acts["data"][1]["after"][1]["point_value"], "0.12");
    world.check_books().await;
}
