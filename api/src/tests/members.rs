//! What operators do with members, and what the contract makes of it.

use super::*;

const OTHER: &str = "0198a000-0000-7000-8000-0000000000aa";

struct Operator {
    world: World,
    key: String,
}

impl Operator {
    async fn new() -> Self {
        let world = World::new().await.with_points(500).await;
        let key = world.key(Role::Editor, "amina", &["admin:*", "loyalty:adjust"]).await;
        Self { world, key }
    }

    async fn look(&self, member: &str) -> Told {
        self.world.send(Ask::get(format!("/api/v1/members/{member}")).with("x-api-key", &self.key)).await
    }

    async fn change(&self, path: &str, body: Value, tag: &str) -> Told {
        let ask = Ask::post(format!("/api/v1/{path}"), body.to_string())
            .with("x-api-key", &self.key)
            .with("if-match", tag)
            .with("idempotency-key", &Uuid::new_v4().to_string());
        self.world.send(ask).await
    }

    async fn set(&self, status: &str) -> Told {
        let tag = self.look(MEMBER).await.header("etag").to_owned();
        self.change(&format!("members/{MEMBER}/status"), json!({"status": status, "reason": "asked"}), &tag)
            .await
    }
}

#[tokio::test]
async fn a_member_is_changed_by_whoever_has_seen_them_last() {
    let operator = Operator::new().await;
    let seen = operator.look(MEMBER).await;
    assert_eq!(
        (&seen.json()["status"], &seen.json()["balance"]["available"]),
        (&json!("active"), &json!(500))
    );
    let tag = seen.header("etag").to_owned();
    let path = format!("members/{MEMBER}/status");
    let suspend = json!({"status": "suspended", "reason": "asked"});
    operator.change(&path, suspend.clone(), "").await.check_problem(428, "PRECONDITION_REQUIRED");
    let told = operator.change(&path, suspend.clone(), &tag).await;
    assert_eq!(told.status, 201, "{}", told.text());
    assert_eq!(told.json()["balance"], seen.json()["balance"], "it moves nothing: {}", told.text());
    operator.change(&path, suspend, &tag).await.check_problem(412, "PRECONDITION_FAILED");
    assert_eq!(operator.look(MEMBER).await.json()["status"], "suspended");
    let path = format!("members/{STRANGER}/status");
    operator
        .change(&path, json!({"status": "closed", "reason": "x"}), "*")
        .await
        .check_problem(404, "USER_NOT_FOUND");
    let told = operator.change(&path, json!({"status": "gone", "reason": ""}), "*").await;
    assert_eq!(told.invalid_fields(), ["reason", "status"]);
    operator.world.check_books().await;
}

#[tokio::test]
async fn what_a_status_change_told_is_told_again_whatever_came_after() {
    let operator = Operator::new().await;
    let world = &operator.world;
    let change = async |status: &str| {
        let body = json!({"status": status, "reason": "asked"}).to_string();
        let ask =
            Ask::post(format!("/api/v1/members/{MEMBER}/status"), body).with("x-api-key", &operator.key);
        let told = world.send(ask.with("if-match", "*").with("idempotency-key", status)).await;
        assert_eq!(told.status, 201, "{}", told.text());
        told.json()
    };
    let reader = world.key(Role::Editor, "amina", &["loyalty:read"]).await;
    let again = async |status: &str| {
        let ask = Ask::get(format!("/api/v1/responses/{status}")).with("x-api-key", &reader);
        world.send(ask).await.json()["transactions"][0].clone()
    };
    let suspended = change("suspended").await;
    assert_eq!(
        suspended["balance"],
        json!({"available": 500, "held": 0, "pending": 0, "version": 1}),
        "{suspended}"
    );
    assert_eq!(again("suspended").await, suspended);
    assert_eq!(world.send(earn(&json!({"amount": 7}))).await.status, 200);
    assert_eq!(again("suspended").await, suspended);
    // What a closed member has ends with it.
    let closed = change("closed").await;
    assert_eq!(closed["balance"]["available"], 0, "{closed}");
    assert_eq!(again("closed").await, closed);
    assert_eq!(again("suspended").await, suspended);
    world.check_books().await;
}

#[tokio::test]
async fn a_suspended_member_is_locked_here_and_not_found_by_the_contract() {
    let operator = Operator::new().await;
    assert_eq!(operator.set("suspended").await.status, 201);
    let world = &operator.world;
    let contract = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance"))
        .with("x-partner-id", "duka")
        .with("x-api-key", "duka-key");
    world.send(contract.clone()).await.check_problem(404, "USER_NOT_FOUND");
    world.send(redeem(1)).await.check_problem(404, "USER_NOT_FOUND");
    let ours = Ask::post("/api/v1/loyalty/redemptions", json!({"user_id": MEMBER, "points": 1}).to_string())
        .with("x-api-key", "duka-key")
        .with("idempotency-key", "k");
    world.send(ours.clone()).await.check_problem(423, "MEMBER_SUSPENDED");
    let own = Ask::get("/api/v1/loyalty/balance").with("authorization", "Bearer member-token");
    assert_eq!(world.send(own.clone()).await.json()["status"], "suspended");
    assert_eq!(operator.set("active").await.status, 201);
    assert_eq!(world.send(contract).await.status, 200);

    assert_eq!(operator.set("closed").await.status, 201);
    world.send(ours.with("idempotency-key", "k2")).await.check_problem(410, "MEMBER_CLOSED");
    world.send(redeem(1).with("x-idempotency-key", STRANGER)).await.check_problem(404, "USER_NOT_FOUND");
    let told = world.send(own).await.json();
    assert_eq!((&told["status"], &told["current_balance"]), (&json!("closed"), &json!(0)), "{told}");
    world.check_books().await;
}

#[tokio::test]
async fn a_tier_is_settled_by_whoever_has_seen_the_member_and_told_with_every_balance() {
    let operator = Operator::new().await;
    let world = &operator.world;
    let settle = async |body: Value, tag: &str| {
        let path = format!("/api/v1/members/{MEMBER}/tier");
        let ask = Ask { method: Method::PUT, ..Ask::post(path, body.to_string()) };
        world.send(ask.with("x-api-key", &operator.key).with("if-match", tag)).await
    };
    let own = Ask::get("/api/v1/loyalty/balance").with("authorization", "Bearer member-token");
    let contract = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance"))
        .with("x-partner-id", "duka")
        .with("x-api-key", "duka-key");
    let told = async || {
        let (own, contract) =
            (world.send(own.clone()).await.json(), world.send(contract.clone()).await.json());
        [own["tier"].clone(), contract["tier"].clone()]
    };
    assert_eq!(told().await, [Value::Null, Value::Null]);
    let known = world.send(contract.clone()).await.header("etag").to_owned();

    let tag = operator.look(MEMBER).await.header("etag").to_owned();
    let gold = json!({"tier": "GOLD", "reason": "a good year"});
    settle(gold.clone(), "").await.check_problem(428, "PRECONDITION_REQUIRED");
    let settled = settle(gold.clone(), &tag).await;
    assert_eq!(
        (settled.status.as_u16(), &settled.json()["tier"]),
        (200, &json!("GOLD")),
        "{}",
        settled.text()
    );
    settle(gold, &tag).await.check_problem(412, "PRECONDITION_FAILED");
    assert_eq!(told().await, [json!("GOLD"), json!("GOLD")]);
    assert_eq!(world.send(contract.clone().with("if-none-match", &known)).await.status, 200);
    let wrong = json!({"tier": "GOLDEN", "reason": "x"});
    assert_eq!(settle(wrong, "*").await.invalid_fields(), ["tier"]);

    let none = settle(json!({"reason": "it is over"}), settled.header("etag")).await;
    assert_eq!((none.status.as_u16(), none.json().get("tier")), (200, None), "{}", none.text());
    assert_eq!(told().await, [Value::Null, Value::Null]);

    let auditor = world.key(Role::Auditor, "chuki", &["audit:read"]).await;
    let acts = world.send(Ask::get("/api/v1/audit").with("x-api-key", &auditor)).await.json();
    let changes: Vec<_> =
        (0..2).map(|at| &acts["data"][at]).map(|it| (&it["before"], &it["after"])).collect();
    let [gold, none] = [json!({"tier": "GOLD"}), json!({"tier": null})];
    assert_eq!(changes, [(&gold, &none), (&none, &gold)]);
    assert!(!acts.to_string().contains(MEMBER), "an act is not erased with the member: {acts}");
    world.check_books().await;
}

#[tokio::test]
async fn a_merged_member_goes_on_as_another() {
    let operator = Operator::new().await;
    let world = &operator.world;
    world.send(earn(&json!({"user_id": OTHER, "amount": 7}))).await;
    let merge = json!({"into": OTHER, "reason": "the same person"});
    let told = operator.change(&format!("members/{MEMBER}/merge"), merge, "*").await;
    assert_eq!(
        (told.status.as_u16(), &told.json()["balance"]["available"]),
        (201, &json!(507)),
        "{}",
        told.text()
    );
    assert_eq!(operator.look(MEMBER).await.json()["status"], "closed");
    let merge = json!({"into": OTHER, "reason": "again"});
    operator.change(&format!("members/{OTHER}/merge"), merge, "*").await.check_problem(422, "SAME_MEMBER");
    world.check_books().await;
}

/// A refund of what was spent meanwhile leaves a debt: the contract's balance stays at zero, and says what is owed beside it.
#[tokio::test]
async fn a_debt_is_told_beside_a_balance_that_is_never_below_zero() {
    let operator = Operator::new().await;
    let world = &operator.world;
    let policy = json!({"debt_max": 1000});
    let mut conn = world.pool.acquire().await.unwrap();
    store::add_policy(&mut conn, world.program_id, policy.to_string().as_bytes()).await.unwrap();
    drop(conn);
    let earned = world.send(earn(&json!({"amount": 100}))).await.json()["transaction_id"].clone();
    assert_eq!(world.send(redeem(580)).await.status, 200);
    let earned = earned.as_str().unwrap();
    let told = operator
        .change(&format!("loyalty/transactions/{earned}/reversals"), json!({"reason": "returned"}), "")
        .await;
    assert_eq!(told.json()["balance"]["available"], -80, "{}", told.text());
    let contract = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance"))
        .with("x-partner-id", "duka")
        .with("x-api-key", "duka-key");
    let told = world.send(contract).await.json();
    assert_eq!((&told["balance"], &told["debt_points"]), (&json!(0), &json!(80)));
    let own = Ask::get("/api/v1/loyalty/balance").with("authorization", "Bearer member-token");
    let told = world.send(own).await.json();
    assert_eq!((&told["current_balance"], &told["debt_points"]), (&json!(-80), &json!(80)));
    let told = world.send(redeem(1).with("x-idempotency-key", STRANGER)).await;
    assert_eq!(told.check_problem(409, "INSUFFICIENT_BALANCE")["current_balance"], 0);
    world.check_books().await;
}
