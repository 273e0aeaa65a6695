//! The screening, by a rule of the tests: who asks for 13 points is denied, who asks for more than 300 is looked at.

use ledger::{Command, HELD_FOR_REVIEW, Screening};

use super::*;
use crate::screen::Spend;

fn rule(spend: &Spend<'_>) -> Screening {
    let points = match spend.command {
        Command::Redeem { points, .. } | Command::Hold { points, .. } | Command::Increase { points, .. } => {
            points
        }
        Command::Transfer { points, .. } => points,
        other => panic!("{other:?} is no spend of callers"),
    };
    assert!(!spend.caller.credential.owner.is_empty());
    match points.get() {
        13 => Screening::Deny,
        301.. => Screening::Review,
        _ => Screening::Allow,
    }
}

fn app(path: &str, body: Value) -> Ask {
    Ask::post(format!("/api/v1/loyalty/{path}"), body.to_string())
        .with("authorization", "Bearer app-token")
        .with("x-user-id", MEMBER)
        .with("idempotency-key", &Uuid::new_v4().to_string())
}

fn partner(path: &str, body: Value) -> Ask {
    app(path, body).with("authorization", "").with("x-user-id", "").with("x-api-key", "duka-key")
}

/// A world that screens, and the keys of an approver and of an editor.
async fn screening() -> (World, String, String) {
    let world = World::new().await.with_points(2000).await.screening(rule);
    let approver = world.key(Role::Approver, "amina", &["loyalty:adjust"]).await;
    let editor = world.key(Role::Editor, "badru", &["loyalty:adjust"]).await;
    (world, approver, editor)
}

async fn say(world: &World, key: &str, id: &str, verdict: &str) -> Told {
    let ask =
        Ask::post(format!("/api/v1/reviews/{id}/{verdict}"), json!({"reason": "called them"}).to_string());
    world.send(ask.with("x-api-key", key).with("idempotency-key", &Uuid::new_v4().to_string())).await
}

async fn story(world: &World, id: &str) -> Value {
    let ask = Ask::get(format!("/api/v1/loyalty/transactions/{id}")).with("x-api-key", "duka-key");
    world.send(ask).await.json()
}

#[tokio::test]
async fn every_spend_passes_the_screening() {
    let (world, ..) = screening().await;
    let other = json!({"user_id": STRANGER, "amount": 1});
    assert_eq!(world.send(earn(&other)).await.status, 200);
    let held = world.send(app("holds", json!({"points": 1}))).await.json();
    let held = held["transaction_id"].as_str().unwrap();
    for points in [13, 400] {
        let item = json!({"redemption": {"points": points}});
        let (code, status) = if points == 13 { ("FRAUD_DENIED", 403) } else { ("FRAUD_REVIEW", 409) };
        for (path, body) in [
            ("transfers".to_owned(), json!({"to_user_id": STRANGER, "points": points})),
            ("holds".to_owned(), json!({"points": points})),
            (format!("holds/{held}/increase"), json!({"points": points})),
        ] {
            world.send(app(&path, body)).await.check_problem(status, code);
        }
        let told = world.send(app("batches", json!({"mode": "independent", "items": [item]}))).await.json();
        let told = &told["results"][0];
        match points {
            13 => assert_eq!((&told["status"], &told["refusal"]["error"]), (&json!("REFUSED"), &json!(code))),
            _ => assert_eq!(
                (&told["status"], &told["transaction"]["status"]),
                (&json!("PENDING"), &json!("PENDING"))
            ),
        }
    }
    for (path, body) in [
        ("redemptions", json!({"points": 13})),
        ("redemptions", json!({"points": 13, "up_to": true})),
        (
            "batches",
            json!({"mode": "all_or_none", "items": [{"redemption": {"points": 1}}, {"redemption": {"points": 13}}]}),
        ),
    ] {
        world.send(app(path, body)).await.check_problem(403, "FRAUD_DENIED");
    }
    let contract = world.send(redeem(13)).await;
    contract.check_problem(403, "FRAUD_DENIED");
    let all = json!({"mode": "all_or_none", "items": [{"redemption": {"points": 1}}, {"redemption": {"points": 400}}]});
    let told = world.send(app("batches", all)).await.json();
    let states: Vec<&Value> = told["results"].as_array().unwrap().iter().map(|it| &it["status"]).collect();
    assert_eq!(states, ["PENDING", "PENDING"], "all are posted or none, and all wait or none");
    world.check_books().await;
}

#[tokio::test]
async fn a_redemption_under_review_waits_until_an_approver_spends_it() {
    let (world, approver, editor) = screening().await;
    let asked = redeem(400);
    let told = world.send(asked.clone()).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let body = told.json();
    assert_eq!((&body["status"], &body["new_balance"]), (&json!("PENDING"), &json!(1600)));
    assert_eq!(body["value"], json!({"amount": 40.00, "currency": "KES"}));
    let id = body["transaction_id"].as_str().unwrap();

    // Asked again, it gets the same answer: also from a process whose screening would allow it by now.
    let again = world.another_process().send(asked).await;
    assert_eq!((again.status, again.text()), (told.status, told.text()));

    let waiting = story(&world, id).await;
    assert_eq!((&waiting["kind"], &waiting["state"]), (&json!("redeem"), &json!("PENDING")));
    assert_eq!(waiting["reason"], HELD_FOR_REVIEW);
    let key = Ask::get(format!("/api/v1/responses/{KEY}")).with("x-api-key", "duka-key");
    assert_eq!(world.send(key).await.json()["transactions"][0]["status"], "PENDING");

    // Whoever asked for it cannot spend it past the review.
    for (path, body) in
        [("capture", json!({})), ("increase", json!({"points": 1})), ("extend", json!({"seconds": 9}))]
    {
        let told = world.send(partner(&format!("holds/{id}/{path}"), body)).await;
        told.check_problem(409, "FRAUD_REVIEW");
    }
    let list = world.send(Ask::get("/api/v1/reviews").with("x-api-key", &editor)).await.json();
    let listed = &list["data"][0];
    assert_eq!((&listed["transaction_id"], &listed["points"]), (&json!(id), &json!(400)));
    assert_eq!((&listed["partner_id"], &listed["user_id"]), (&json!("duka"), &json!(MEMBER)));
    assert_eq!(say(&world, &editor, id, "approve").await.status, 403, "who edits does not approve");

    let approved = say(&world, &approver, id, "approve").await;
    assert_eq!(approved.status, 201, "{}", approved.text());
    let approved = approved.json();
    assert_eq!(approved["value"], json!({"amount": "40.00", "currency": "KES"}));
    assert_eq!(approved["balance"]["held"], 0);
    let end = story(&world, id).await;
    assert_eq!((&end["state"], &end["story"][0]["kind"]), (&json!("SUCCESS"), &json!("capture")));
    for verdict in ["approve", "deny"] {
        say(&world, &approver, id, verdict).await.check_problem(409, "HOLD_ALREADY_SETTLED");
    }
    let list = world.send(Ask::get("/api/v1/reviews").with("x-api-key", &editor)).await.json();
    assert_eq!(list["data"], json!([]));

    // The partner is told of both steps, in order.
    let feed = world.send(Ask::get("/api/v1/feed").with("x-api-key", "duka-key")).await.json();
    let told: Vec<(&Value, &Value)> = feed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["type"], &it["data"]["merchant_reference"]))
        .collect();
    assert_eq!(
        told,
        [(&json!("points.held"), &json!("ORDER-7")), (&json!("points.captured"), &json!("ORDER-7"))]
    );
    assert_eq!(feed["data"][0]["data"]["reason"], HELD_FOR_REVIEW);
    assert_eq!(feed["data"][1]["data"]["follows"], id);
    world.check_books().await;
}

#[tokio::test]
async fn what_is_denied_or_given_up_comes_back_and_no_other_hold_is_reviewed() {
    let (world, approver, _) = screening().await;
    let pending = async |points: i64| {
        let told =
            world.send(partner("redemptions", json!({"user_id": MEMBER, "points": points}))).await.json();
        assert_eq!(told["status"], "PENDING", "{told}");
        assert!(told["expires_at"].is_string());
        told["transaction_id"].as_str().unwrap().to_owned()
    };
    let (denied, given_up) = (pending(400).await, pending(500).await);
    assert_eq!(say(&world, &approver, &denied, "deny").await.status, 201);
    assert_eq!(story(&world, &denied).await["state"], "DENIED");
    let told = world.send(partner(&format!("holds/{given_up}/void"), json!({}))).await;
    assert_eq!((told.status.as_u16(), &told.json()["balance"]["available"]), (201, &json!(2000)));

    let hold = world.send(partner("holds", json!({"user_id": MEMBER, "points": 10}))).await.json();
    for id in [hold["transaction_id"].as_str().unwrap(), STRANGER] {
        say(&world, &approver, id, "approve").await.check_problem(404, "TRANSACTION_NOT_FOUND");
    }
    // What is asked beforehand agrees with what comes.
    let ask = async |points| {
        let ask = Ask::get(format!("/api/v1/loyalty/eligibility?points={points}"));
        let told =
            world.send(ask.with("authorization", "Bearer app-token").with("x-user-id", MEMBER)).await.json();
        (told["eligible"].clone(), told["reasons"][0]["error"].clone())
    };
    assert_eq!(ask(5).await, (json!(true), Value::Null));
    assert_eq!(ask(13).await, (json!(false), json!("FRAUD_DENIED")));
    assert_eq!(ask(400).await, (json!(true), json!("FRAUD_REVIEW")));
    world.check_books().await;
}
