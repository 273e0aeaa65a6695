//! What operators settle: each change by whoever has seen what it changes, and each an act in the log.

use super::*;

struct Office {
    world: World,
    editor: String,
    approver: String,
    auditor: String,
}

impl Office {
    async fn on(world: World) -> Self {
        let editor = world.key_as("amina", Role::Editor, None, &["admin:*"], &[]).await;
        let approver = world.key_as("badru", Role::Approver, None, &["admin:*"], &[]).await;
        let auditor = world.key_as("chuki", Role::Auditor, None, &["audit:read"], &[]).await;
        Self { world, editor, approver, auditor }
    }

    async fn ask(&self, key: &str, method: Method, path: &str, body: Value, tag: &str) -> Told {
        let ask = Ask { method, ..Ask::post(format!("/api/v1/{path}"), body.to_string()) };
        self.world.send(ask.with("x-api-key", key).with("if-match", tag)).await
    }

    async fn look(&self, path: &str) -> Told {
        self.world.send(Ask::get(format!("/api/v1/{path}")).with("x-api-key", &self.approver)).await
    }

    /// The newest acts.
    async fn acts(&self) -> Vec<Value> {
        let told = self.world.send(Ask::get("/api/v1/audit").with("x-api-key", &self.auditor)).await;
        assert_eq!(told.status, 200, "{}", told.text());
        told.json()["data"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_partner_is_made_settled_and_goes_live_when_it_has_shown_what_it_must() {
    let office = Office::on(World::new().await.with_points(500).await).await;
    let made = json!({"partner_id": "soko", "requests_per_hour": 1000, "reason": "signed"});
    let told = office.ask(&office.editor, Method::POST, "partners", made.clone(), "").await;
    assert_eq!(told.status, 201, "{}", told.text());
    assert_eq!(told.header("location"), "/api/v1/partners/soko");
    assert_eq!((&told.json()["stage"], &told.json()["auth_mode"]), (&json!("onboarding"), &json!("either")));
    office.ask(&office.editor, Method::POST, "partners", made, "").await.check_problem(409, "CONFLICT");

    // These are live books: no key before it is live.
    let key = json!({"owner": "soko", "role": "partner", "scopes": ["loyalty:read"]});
    let refused = office.ask(&office.editor, Method::POST, "keys", key.clone(), "").await;
    assert!(refused.check_problem(409, "CONFLICT")["detail"].as_str().unwrap().contains("not live"));

    let seen = office.look("partners/soko").await;
    let tag = seen.header("etag").to_owned();
    let change = json!({"auth_mode": "both", "reason": "asked"});
    office
        .ask(&office.editor, Method::PATCH, "partners/soko", change.clone(), "")
        .await
        .check_problem(428, "PRECONDITION_REQUIRED");
    let changed = office.ask(&office.editor, Method::PATCH, "partners/soko", change.clone(), &tag).await;
    assert_eq!(changed.json()["auth_mode"], "both", "{}", changed.text());
    office
        .ask(&office.editor, Method::PATCH, "partners/soko", change, &tag)
        .await
        .check_problem(412, "PRECONDITION_FAILED");

    let tag = changed.header("etag").to_owned();
    let live = |key: String, tag: String| {
        let office = &office;
        async move { office.ask(&key, Method::POST, "partners/soko/live", json!({"reason": "ready"}), &tag).await }
    };
    assert_eq!(
        live(office.editor.clone(), tag.clone()).await.status,
        403,
        "who makes it does not approve it"
    );
    let missing = live(office.approver.clone(), tag.clone()).await.check_problem(409, "PARTNER_NOT_READY");
    assert!(missing["detail"].as_str().unwrap().contains("webhook"), "{missing}");

    // In the program's sandbox it shows all of it.
    let sandbox = office.world.sandbox().await;
    let own = sandbox
        .key_as(
            "soko",
            Role::Partner,
            Some("soko"),
            &["loyalty:read", "loyalty:redeem", "loyalty:adjust"],
            &[],
        )
        .await;
    assert!(own.starts_with("lk_test_"));
    let readiness = async || {
        let told =
            sandbox.send(Ask::get("/api/v1/partners/me/readiness").with("x-api-key", &own)).await.json();
        let steps = told["steps"].as_array().unwrap().iter().filter(|it| it["done"] == true);
        (told["ready"].clone(), steps.map(|it| it["step"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(readiness().await, (json!(false), vec!["key".to_owned()]));
    sandbox.shows_all(&own).await;
    assert_eq!(readiness().await.0, json!(true));
    let told = live(office.approver.clone(), tag).await;
    assert_eq!((told.status.as_u16(), &told.json()["stage"]), (200, &json!("live")), "{}", told.text());
    assert_eq!(office.ask(&office.editor, Method::POST, "keys", key, "").await.status, 201);

    let acts = office.acts().await;
    let told: Vec<&str> = acts.iter().map(|it| it["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["key.created", "partner.live", "partner.changed", "partner.created"]);
    let changed = &acts[2];
    assert_eq!(
        (&changed["before"]["auth_mode"], &changed["after"]["auth_mode"]),
        (&json!("either"), &json!("both"))
    );
    assert_eq!((&changed["actor"], &changed["reason"]), (&json!("editor:amina"), &json!("asked")));
    assert_eq!(acts[3].get("before"), None);
    assert_eq!((&acts[1]["actor"], &acts[1]["subject"]), (&json!("approver:badru"), &json!("soko")));
    office.world.check_books().await;
}

#[tokio::test]
async fn limits_are_settled_by_whoever_has_seen_them_last() {
    let office = Office::on(World::new().await.with_points(500).await).await;
    let seen = office.look("limits").await;
    let tag = seen.header("etag").to_owned();
    let mut policy = seen.json()["policy"].clone();
    policy["redeem"]["per_posting"] = json!(50);
    let wish = |policy: &Value| json!({"policy": policy, "reason": "the season"});
    let set =
        async |key: &str, body: Value, tag: &str| office.ask(key, Method::PUT, "limits", body, tag).await;
    assert_eq!(set(&office.editor, wish(&policy), &tag).await.status, 403);
    set(&office.approver, wish(&policy), "").await.check_problem(428, "PRECONDITION_REQUIRED");
    let mut wrong = policy.clone();
    wrong["holds"]["seconds"] = json!(0);
    let told = set(&office.approver, wish(&wrong), &tag).await;
    assert_eq!(told.invalid_fields(), ["policy"]);

    assert_eq!(office.world.send(redeem(51)).await.status, 200);
    let told = set(&office.approver, wish(&policy), &tag).await;
    assert_eq!(told.status, 200, "{}", told.text());
    set(&office.approver, wish(&policy), &tag).await.check_problem(412, "PRECONDITION_FAILED");
    let again = redeem(51).with("x-idempotency-key", &Uuid::new_v4().to_string());
    office.world.send(again).await.check_problem(409, "LIMIT_EXCEEDED");

    let acts = office.acts().await;
    assert_eq!(acts.len(), 1, "what was refused is no act");
    let (before, after) = (&acts[0]["before"]["policy"], &acts[0]["after"]["policy"]);
    assert_eq!(
        (&before["redeem"]["per_posting"], &after["redeem"]["per_posting"]),
        (&Value::Null, &json!(50))
    );
    let told = office.look("programs").await.json();
    assert_eq!((&told["data"][0]["name"], &told["data"][0]["policy"]), (&json!("test"), after));

    // An operator's feed tells of the act, too.
    let viewer = office.world.key(Role::Viewer, "dalila", &["loyalty:read"]).await;
    let feed = office.world.send(Ask::get("/api/v1/feed").with("x-api-key", &viewer)).await.json();
    let acted: Vec<&Value> =
        feed["data"].as_array().unwrap().iter().filter(|it| it["type"] == "program.acted").collect();
    assert_eq!(acted[0]["data"]["leaf_index"], acts[0]["leaf_index"]);
    office.world.check_books().await;
}

#[tokio::test]
async fn of_two_operators_who_change_a_partner_at_once_one_is_told() {
    let office = Office::on(World::new().await).await;
    let tag = office.look("partners/duka").await.header("etag").to_owned();
    let change = async |hourly: i64| {
        let body = json!({"requests_per_hour": hourly, "reason": "more"});
        office.ask(&office.editor, Method::PATCH, "partners/duka", body, &tag).await.status.as_u16()
    };
    let mut told = [0; 2];
    (told[0], told[1]) = tokio::join!(change(1000), change(2000));
    told.sort();
    assert_eq!(told, [200, 412]);
    assert_eq!(office.acts().await.len(), 1);
    let list = office.look("partners?limit=1").await.json();
    assert_eq!((&list["data"][0]["partner_id"], &list["next_cursor"]), (&json!("duka"), &json!("duka")));
    let list = office.look("partners?starting_after=duka").await.json();
    assert_eq!((&list["data"][0]["partner_id"], &list["has_more"]), (&json!("kiosk"), &json!(false)));
    office.world.check_books().await;
}

impl World {
    /// The sandbox of this world's program, served beside it.
    pub(super) async fn sandbox(&self) -> World {
        let keyring = Keyring::new(&[7; 32]);
        let mut conn = self.pool.acquire().await.unwrap();
        let program = store::ensure_sandbox(&mut conn, &keyring, &spec("test-sandbox")).await.unwrap();
        store::ensure_partner(&mut conn, &keyring, program.program_id, "soko").await.unwrap();
        assert!(store::name_sandbox(&mut conn, program.program_id, self.program_id).await.unwrap());
        assert!(!store::name_sandbox(&mut conn, self.program_id, program.program_id).await.unwrap());
        drop(conn);
        let (pool, committer, hush) = (self.pool.clone(), self.committer.clone(), self.hush.clone());
        let router = Self::serving(&pool, &committer, &program, PING_GAP, &hush);
        World { pool, router, program_id: program.program_id, hush, committer, program }
    }

    /// A webhook that answers its challenge, a redemption, and its reversal.
    async fn shows_all(&self, key: &str) {
        let (_, url) = webhooks::Receiver::start().await;
        let made = self
            .send(Ask::post("/api/v1/webhooks", json!({"url": url}).to_string()).with("x-api-key", key))
            .await;
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let verify = Ask::post(format!("/api/v1/webhooks/{id}/verification"), "");
        assert_eq!(self.send(verify.with("x-api-key", key)).await.status, 200);
        let app = self.key_of("till", None, &["loyalty:earn"]).await;
        let earned =
            self.send(earn(&json!({"amount": 100})).with("authorization", "").with("x-api-key", &app)).await;
        assert_eq!(earned.status, 200, "{}", earned.text());
        let body = json!({"user_id": MEMBER, "points": 7}).to_string();
        let redeemed = Ask::post("/api/v1/loyalty/redemptions", body).with("x-api-key", key);
        let redeemed = self.send(redeemed.with("idempotency-key", "r")).await.json();
        let id = redeemed["transaction_id"].as_str().unwrap();
        let undo = Ask::post(
            format!("/api/v1/loyalty/transactions/{id}/reversals"),
            json!({"reason": "a trial"}).to_string(),
        );
        let undone = self.send(undo.with("x-api-key", key).with("idempotency-key", "u")).await;
        assert_eq!(undone.status, 201, "{}", undone.text());
    }
}

#[tokio::test]
async fn of_two_who_make_a_partner_at_once_one_is_told() {
    let office = Office::on(World::new().await).await;
    let make = async |hourly: i64| {
        let body = json!({"partner_id": "soko", "requests_per_hour": hourly, "reason": "signed"});
        office.ask(&office.editor, Method::POST, "partners", body, "").await.status.as_u16()
    };
    let mut told = [0; 8];
    for (place, status) in told.iter_mut().zip(futures::future::join_all((1..=8).map(make)).await) {
        *place = status;
    }
    told.sort();
    assert_eq!(told, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(office.acts().await.len(), 1);
    office.world.check_books().await;
}
