//! Keys over HTTP: operators make, list and withdraw them, and nobody makes a better one than an operator may give.

use super::*;

fn wish(fields: Value) -> Ask {
    let mut body = json!({"owner": "duka", "role": "partner", "scopes": ["loyalty:read"]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    Ask::post("/api/v1/keys", body.to_string())
}

#[tokio::test]
async fn operators_make_list_and_withdraw_keys() {
    let world = World::new().await.with_points(10).await;
    let editor = world.key_as("ed", Role::Editor, None, &["admin:*"], &[]).await;
    let viewer = world.key_as("vi", Role::Viewer, None, &["admin:*"], &[]).await;
    world.send(wish(json!({})).with("x-api-key", &viewer)).await.check_problem(403, "FORBIDDEN");
    let made = world.send(wish(json!({"expires_in": 60})).with("x-api-key", &editor)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("cache-control"), "no-store");
    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/api/v1/keys/{}", &key[..16]));
    let ask = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance"));
    let ask = ask.with("x-partner-id", "duka").with("x-api-key", &key);
    assert_eq!(world.send(ask.clone()).await.status, 200);

    let listed = world.send(Ask::get("/api/v1/keys").with("x-api-key", &viewer)).await;
    assert!(!listed.text().contains(&key[16..]), "a key is shown once");
    let first = &listed.json()["data"][0];
    assert_eq!((&first["key_id"], &first["active"]), (&json!(key[..16]), &json!(true)));
    assert!(first["last_used_at"].is_string() && first["expires_at"].is_string(), "{first}");

    // Page by page, the newest first: what was made for this test before.
    let mut paged = Vec::new();
    let mut path = "/api/v1/keys?limit=1".to_owned();
    while !path.is_empty() {
        let page = world.send(Ask::get(path).with("x-api-key", &viewer)).await;
        paged.extend(page.json()["data"].as_array().unwrap().iter().map(|it| it["key_id"].clone()));
        let link = page.header("link").strip_prefix('<').and_then(|it| it.strip_suffix(">; rel=\"next\""));
        path = link.unwrap_or_default().to_owned();
    }
    let (viewers, editors) = (json!(viewer[..16]), json!(editor[..16]));
    assert_eq!(paged, [first["key_id"].clone(), viewers, editors]);

    let path = format!("/api/v1/keys/{}", &key[..16]);
    let withdraw = Ask { method: Method::DELETE, ..Ask::get(path) }.with("x-api-key", &editor);
    world.send(withdraw.clone()).await.check_problem(428, "PRECONDITION_REQUIRED");
    let seen = world.send(Ask::get(withdraw.path.clone()).with("x-api-key", &viewer)).await;
    assert_eq!(seen.json(), *first);
    let withdraw = withdraw.with("if-match", seen.header("etag"));
    assert_eq!(world.send(withdraw.clone()).await.status, 204);
    world.send(withdraw.clone()).await.check_problem(412, "PRECONDITION_FAILED");
    world.until_shut_out(ask).await;
    let other = Ask { path: "/api/v1/keys/lk_live_ABCDEFGH".into(), ..withdraw };
    world.send(other).await.check_problem(404, "NOT_FOUND");

    let auditor = world.key_as("au", Role::Auditor, None, &["audit:read"], &[]).await;
    let acts = world.send(Ask::get("/api/v1/audit").with("x-api-key", &auditor)).await;
    assert!(!acts.text().contains(&key[16..]), "no act tells a key");
    let acts = acts.json()["data"].take();
    let told: Vec<&Value> = acts.as_array().unwrap().iter().map(|it| &it["action"]).collect();
    assert_eq!(told, ["key.revoked", "key.created"]);
    assert_eq!((&acts[0]["before"]["active"], &acts[0]["after"]["active"]), (&json!(true), &json!(false)));
    assert_eq!((&acts[1]["actor"], &acts[1]["subject"]), (&json!("editor:ed"), &json!(key[..16])));
    world.check_books().await;
}

#[tokio::test]
async fn no_key_makes_one_that_may_more_than_partners_and_apps_may() {
    let world = World::new().await;
    let editor = world.key_as("ed", Role::Editor, None, &["admin:*"], &[]).await;
    let check = async |fields: Value, wanted: &[&str]| {
        let told = world.send(wish(fields).with("x-api-key", &editor)).await;
        assert_eq!(told.invalid_fields(), wanted);
    };
    check(json!({"scopes": ["admin:*"]}), &["scopes"]).await;
    check(json!({"role": "app", "owner": "till", "scopes": ["loyalty:adjust"]}), &["scopes"]).await;
    check(json!({"scopes": []}), &["scopes"]).await;
    check(json!({"owner": ""}), &["owner"]).await;
    check(json!({"owner": "member:amina"}), &["owner"]).await;
    // No text of the database holds it.
    check(json!({"owner": "a\0b"}), &["owner"]).await;
    check(json!({"partner_id": "a\0b"}), &["partner_id"]).await;
    check(json!({"role": "app", "partner_id": "duka"}), &["partner_id"]).await;
    check(json!({"expires_in": 0}), &["expires_in"]).await;
    check(json!({"addresses": ["everywhere"]}), &["addresses"]).await;
    for fields in [json!({"role": "approver"}), json!({"delegated": true})] {
        check(fields, &["body"]).await;
    }
    // A partner has shown a reversal before it goes live, and reverses what is its own.
    let made = world.send(wish(json!({"scopes": ["loyalty:adjust"]})).with("x-api-key", &editor)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let adjust = json!({"user_id": MEMBER, "change": 1, "reason": "more"}).to_string();
    let adjust = Ask::post("/api/v1/loyalty/adjustments", adjust).with("idempotency-key", "a");
    let told = world.send(adjust.with("x-api-key", made["key"].as_str().unwrap())).await;
    told.check_problem(403, "FORBIDDEN");
    let refused = world.send(wish(json!({"owner": "ghost"})).with("x-api-key", &editor)).await;
    refused.check_problem(409, "CONFLICT");
    // A partner may undo what is its own, as it must have shown before it is let into the live books.
    let undoes = wish(json!({"scopes": ["loyalty:redeem", "loyalty:adjust"]}));
    let key = world.send(undoes.with("x-api-key", &editor)).await.json()["key"].take();
    let world = world.with_points(500).await;
    let ask = |path: &str, body: Value| {
        let body = Ask::post(format!("/api/v1/loyalty/{path}"), body.to_string());
        let key = key.as_str().unwrap();
        body.with("x-api-key", key).with("idempotency-key", &Uuid::new_v4().to_string())
    };
    let spent = world.send(ask("redemptions", json!({"user_id": MEMBER, "points": 100}))).await.json();
    let undo = format!("transactions/{}/reversals", spent["transaction_id"].as_str().unwrap());
    assert_eq!(world.send(ask(&undo, json!({"reason": "returned"}))).await.status, 201);
    let adjustment = json!({"user_id": MEMBER, "change": 1, "reason": "not its own"});
    world.send(ask("adjustments", adjustment)).await.check_problem(403, "FORBIDDEN");
}
