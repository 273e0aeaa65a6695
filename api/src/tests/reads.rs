//! What is read: balances and their headers, transactions and their stories, lots, trials, and what became of a request.

use super::*;

const OTHER: &str = "0198a000-0000-7000-8000-0000000000aa";

fn app(path: &str) -> Ask {
    Ask::get(format!("/api/v1/{path}")).with("authorization", "Bearer app-token").with("x-user-id", MEMBER)
}

fn partner(path: &str) -> Ask {
    Ask::get(format!("/api/v1/{path}")).with("x-api-key", "duka-key")
}

fn post(path: &str, body: Value) -> Ask {
    Ask::post(format!("/api/v1/loyalty/{path}"), body.to_string())
        .with("authorization", "Bearer app-token")
        .with("x-user-id", MEMBER)
        .with("idempotency-key", &Uuid::new_v4().to_string())
}

async fn settle(world: &World, policy: Value) {
    let mut conn = world.pool.acquire().await.unwrap();
    store::add_policy(&mut conn, world.program_id, policy.to_string().as_bytes()).await.unwrap();
}

async fn json(world: &World, ask: Ask) -> Value {
    let told = world.send(ask).await;
    assert_eq!(told.status, 200, "{}", told.text());
    told.json()
}

#[tokio::test]
async fn a_balance_says_all_that_is_known_of_it() {
    let world = World::new().await;
    settle(&world, json!({"expiry": {"after": {"days": 10}}, "time_zone": "Africa/Nairobi"})).await;
    let world = world.with_points(500).await;
    world.send(post("holds", json!({"points": 100, "seconds": 600}))).await;
    let told = world.send(app("loyalty/balance")).await;
    let body = told.json();
    assert_eq!((&body["current_balance"], &body["held_points"]), (&json!(400), &json!(100)));
    assert_eq!((&body["version"], &body["status"]), (&json!(2), &json!("active")));
    // A day of Nairobi ends at nine in the evening of UTC.
    assert!(body["expires_on"].as_str().unwrap().ends_with("T20:59:59Z"), "{body}");
    let lapse = body["next_change_at"].as_str().unwrap();
    assert!(lapse < body["expires_on"].as_str().unwrap(), "the hold ends first: {body}");
    assert!(told.header("last-modified").ends_with(" GMT"));
    assert_eq!(told.header("cache-control"), "private, max-age=0, must-revalidate");
    assert!(told.header("vary").contains("Authorization"));

    let lots = json(&world, app("loyalty/lots")).await;
    assert_eq!(lots["data"][0]["available"], 400);
    assert_eq!(lots["data"][0]["held"], 100);
    assert_eq!(lots["data"][0]["expires_on"], body["expires_on"]);
    let path = format!("/loyalty/v1/partner/users/{MEMBER}/balance");
    let contract = Ask::get(path).with("x-partner-id", "duka").with("x-api-key", "duka-key");
    assert_eq!(json(&world, contract).await["expires_on"], body["expires_on"]);

    assert_eq!(json(&world, app("loyalty/balance?min_version=2")).await["version"], 2);
    world.send(app("loyalty/balance?min_version=3")).await.check_problem(409, "VERSION_CONFLICT");
    for query in
        ["min_version=x", "min_version=-1", "min_version=1&min_version=1", "as_of=tomorrow", "as_of=9", "x=1"]
    {
        world.send(app(&format!("loyalty/balance?{query}"))).await.invalid_fields();
    }
    let then = json(&world, app("loyalty/balance?as_of=1")).await;
    assert_eq!(
        (&then["current_balance"], &then["as_of"], &then["version"]),
        (&json!(500), &json!("1"), &json!(1))
    );
    let then = json(&world, app("loyalty/balance?as_of=2020-01-01T00:00:00Z")).await;
    assert_eq!((&then["current_balance"], &then["version"]), (&json!(0), &json!(0)));
    world.check_books().await;
}

/// Two processes over one database, each with a committer and a memory of what it has read: whoever was told a version by the one
/// is shown no older one by the other, whether or not they say which they know.
#[tokio::test]
async fn what_was_told_by_one_process_is_read_from_every_other() {
    let first = World::new().await.with_points(500).await;
    let log = store::log_identity(&mut first.pool.acquire().await.unwrap()).await.unwrap();
    let (committer, _) = Committer::start(first.pool.clone(), &log, Keyring::new(&[7; 32])).await.unwrap();
    let gate = Gate::new(first.pool.clone(), Arc::new(Keyring::new(&[7; 32])), first.program_id, PUBLIC_URL);
    let second = World { committer, ..first.another_process() }.with_gate(gate);
    let trip = async |writer: &World, reader: &World| {
        let told = writer.send(post("redemptions", json!({"points": 1, "merchant_reference": "r"}))).await;
        assert_eq!(told.status, 201, "{}", told.text());
        let version = told.json()["balance"]["version"].as_i64().unwrap();
        for path in [format!("loyalty/balance?min_version={version}"), "loyalty/balance".to_owned()] {
            let read = json(reader, app(&path)).await;
            let (is, points) = (read["version"].as_i64().unwrap(), read["current_balance"].as_i64().unwrap());
            assert!(version <= is, "{path} is of version {is}, and {version} was told");
            assert_eq!(points, 501 - is, "each version has one point less");
        }
    };
    // Both remember the balance from here on.
    for world in [&first, &second] {
        assert_eq!(json(world, app("loyalty/balance")).await["version"], 1);
    }
    for _ in 0..20 {
        tokio::join!(trip(&first, &second), trip(&second, &first), trip(&second, &second));
    }

    let key = first.key(Role::Editor, "amina", &["admin:*"]).await;
    for status in ["suspended", "active"] {
        let body = json!({"status": status, "reason": "asked"}).to_string();
        let ask = Ask::post(format!("/api/v1/members/{MEMBER}/status"), body).with("x-api-key", &key);
        let ask = ask.with("if-match", "*").with("idempotency-key", &Uuid::new_v4().to_string());
        assert_eq!(first.send(ask).await.status, 201);
        assert_eq!(json(&second, app("loyalty/balance")).await["status"], status);
    }
    first.check_books().await;
}

#[tokio::test]
async fn a_tag_changes_when_time_alone_changes_the_balance() {
    let world = World::new().await.with_points(500).await;
    let told = world.send(app("loyalty/balance")).await;
    let plain = told.header("etag").to_owned();
    assert_eq!(told.json().get("next_change_at"), None);
    settle(&world, json!({"expiry": {"inactivity": {"days": 30}}})).await;
    let told = world.send(app("loyalty/balance").with("if-none-match", &plain)).await;
    assert_eq!(told.status, 200, "the same version, and another end");
    assert!(told.json()["next_change_at"].is_string());
    let again = world.send(app("loyalty/balance").with("if-none-match", told.header("etag"))).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    let other = told.header("etag").replace(".app", ".partner");
    assert_eq!(world.send(app("loyalty/balance").with("if-none-match", &other)).await.status, 200);
}

#[tokio::test]
async fn a_history_is_paged_without_gaps_and_filtered() {
    let world = World::new().await.with_points(500).await;
    for points in 1..=6 {
        assert_eq!(
            world
                .send(post("redemptions", json!({"points": points, "merchant_reference": "r"})))
                .await
                .status,
            201
        );
    }
    let mut seen = Vec::new();
    let mut path = "loyalty/transactions?limit=3".to_owned();
    loop {
        let told = world.send(app(&path)).await;
        let page = told.json();
        seen.extend(
            page["data"].as_array().unwrap().iter().map(|it| it["balance"]["version"].as_u64().unwrap()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            assert_eq!((&page["has_more"], told.header("link")), (&json!(false), ""));
            break;
        };
        let link = format!("</api/v1/loyalty/transactions?limit=3&starting_after={next}>; rel=\"next\"");
        assert_eq!(told.header("link"), link);
        // What comes in meanwhile does not move the pages.
        world.send(post("redemptions", json!({"points": 1}))).await;
        path = format!("loyalty/transactions?limit=3&starting_after={next}");
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    let versions = async |query: &str| {
        let page = json(&world, app(&format!("loyalty/transactions?{query}"))).await;
        let data = page["data"].as_array().unwrap().clone();
        data.iter().map(|it| it["balance"]["version"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    // Whoever follows the link keeps what else was asked.
    let told = world
        .send(app("loyalty/transactions?created[gte]=2020-01-01T00:00:00Z&ending_before=3&limit=2"))
        .await;
    let link = told.header("link").strip_prefix("</api/v1/").unwrap();
    let next = link.strip_suffix(">; rel=\"next\"").unwrap();
    assert!(next.contains("2020-01-01") && !next.contains("ending_before"), "{next}");
    let page = json(&world, app(next)).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert_eq!(page["data"][0]["balance"]["version"], 3);
    assert_eq!(versions("ending_before=3&limit=2").await, [5, 4]);
    assert_eq!(versions("type=earn").await, [1]);
    assert_eq!(versions("from_seq=2&to_seq=4").await, [4, 3, 2]);
    let lots = json(&world, app("loyalty/lots")).await;
    let lot = lots["data"][0]["lot_id"].as_str().unwrap();
    assert_eq!(versions(&format!("lot_id={lot}&limit=100")).await.len(), 9);
    assert_eq!(versions(&format!("lot_id={lot}&type=earn")).await, [1]);
    assert_eq!(versions(&format!("lot_id={}", Uuid::nil())).await, [0; 0]);
    assert_eq!(versions("created[gte]=2999-01-01T00:00:00Z").await, [0; 0]);
    assert_eq!(versions("created[gte]=2020-01-01T00:00:00Z&limit=100").await.len(), 9);
    let bad = [
        "limit=0",
        "limit=101",
        "lot_id=x",
        "starting_after=x",
        "starting_after=1&ending_before=2",
        "order=asc",
    ];
    for query in bad {
        world.send(app(&format!("loyalty/transactions?{query}"))).await.invalid_fields();
    }
    world.check_books().await;
}

#[tokio::test]
async fn a_transaction_is_told_to_those_who_took_part() {
    let world = World::new().await.with_points(500).await;
    let body = json!({"user_id": MEMBER, "points": 100, "merchant_reference": "ORDER-7"});
    let hold = Ask::post("/api/v1/loyalty/holds", body.to_string())
        .with("x-api-key", "duka-key")
        .with("idempotency-key", "h");
    let hold = world.send(hold).await.json()["transaction_id"].as_str().unwrap().to_owned();
    let path = format!("loyalty/transactions/{hold}");
    assert_eq!(json(&world, partner(&path)).await["state"], "HELD");
    let capture =
        Ask::post(format!("/api/v1/loyalty/holds/{hold}/capture"), json!({"points": 60}).to_string())
            .with("x-api-key", "duka-key")
            .with("idempotency-key", "c");
    assert_eq!(world.send(capture).await.status, 201);
    let told = json(&world, app(&path)).await;
    assert_eq!(
        (&told["state"], &told["points"], &told["merchant_reference"]),
        (&json!("CAPTURED"), &json!(100), &json!("ORDER-7"))
    );
    assert_eq!(told["story"][0]["kind"], "capture");
    assert_eq!(told["change"], json!({"available": -100, "held": 100, "pending": 0}));
    assert_eq!(
        json(&world, partner(&path)).await.get("change"),
        None,
        "the partner's account has no part in a hold"
    );

    let others = [
        partner(&path).with("x-api-key", "kiosk-key"),
        app(&path).with("x-user-id", OTHER),
        app("loyalty/transactions/not-an-id"),
        app(&format!("loyalty/transactions/{STRANGER}")),
    ];
    for ask in others {
        world.send(ask).await.check_problem(404, "TRANSACTION_NOT_FOUND");
    }
    let page = json(&world, partner("loyalty/transactions")).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1, "a partner's own account: {page}");
    assert_eq!(page["data"][0]["change"]["available"], 60);
    let of_a_member = partner(&format!("loyalty/transactions?user_id={MEMBER}"));
    world.send(of_a_member).await.check_problem(404, "USER_NOT_FOUND");
    let viewer = world.key(Role::Viewer, "wanjiku", &["loyalty:read"]).await;
    let of_a_member =
        Ask::get(format!("/api/v1/loyalty/transactions?user_id={MEMBER}")).with("x-api-key", &viewer);
    assert_eq!(json(&world, of_a_member).await["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_trial_agrees_with_the_redemption_that_follows() {
    let world = World::new().await;
    settle(&world, json!({"floor": 10, "redeem": {"per_posting": 300, "per_day": 420}})).await;
    let world = world.with_points(500).await;
    let mut verdicts = (0, 0);
    for points in [1, 300, 301, 110, 9, 500, 80, 90, 1_000_000] {
        let trial = json(&world, app(&format!("loyalty/eligibility?points={points}"))).await;
        let before = world.check_books().await.leaves;
        let told = world.send(post("redemptions", json!({"points": points}))).await;
        match trial["eligible"].as_bool().unwrap() {
            true => {
                verdicts.0 += 1;
                assert_eq!(told.status, 201, "{points}: {}", told.text());
                assert_eq!(told.json()["balance"]["available"], trial["available"]);
                assert_eq!(trial["reasons"], json!([]));
            }
            false => {
                verdicts.1 += 1;
                assert_eq!(told.json()["error"], trial["reasons"][0]["error"], "{points}: {trial}");
                assert_eq!(world.check_books().await.leaves, before);
            }
        }
    }
    assert!(2 < verdicts.0 && 2 < verdicts.1, "both happen: {verdicts:?}");
    let stranger = app("loyalty/eligibility?points=1").with("x-user-id", STRANGER);
    assert_eq!(json(&world, stranger).await["reasons"][0]["error"], "USER_NOT_FOUND");
    for query in ["", "points=0", "points=x", "points=9007199254740992"] {
        assert_eq!(
            world.send(app(&format!("loyalty/eligibility?{query}"))).await.invalid_fields(),
            ["points"]
        );
    }
}

#[tokio::test]
async fn one_can_ask_what_became_of_a_request() {
    let world = World::new().await.with_points(500).await;
    let told = world.send(post("redemptions", json!({"points": 20})).with("idempotency-key", "good")).await;
    let refused =
        world.send(post("redemptions", json!({"points": 501})).with("idempotency-key", "bad")).await;
    refused.check_problem(409, "INSUFFICIENT_BALANCE");
    let became = json(&world, app("responses/good")).await;
    assert_eq!((&became["status"], &became["transactions"][0]), (&json!("SUCCESS"), &told.json()));
    let became = json(&world, app("responses/bad")).await;
    assert_eq!(
        (&became["status"], &became["refusal"]["error"]),
        (&json!("REFUSED"), &json!("INSUFFICIENT_BALANCE"))
    );
    world.send(app("responses/never")).await.check_problem(404, "NOT_FOUND");
    world.send(partner("responses/good")).await.check_problem(404, "NOT_FOUND");
    // The contract's key is a UUID, however it is written.
    assert_eq!(world.send(redeem(3)).await.status, 200);
    for key in [KEY.to_owned(), KEY.to_ascii_uppercase()] {
        let became = json(&world, partner(&format!("responses/{key}"))).await;
        assert_eq!((&became["status"], &became["transactions"][0]["points"]), (&json!("SUCCESS"), &json!(3)));
    }
}

#[tokio::test]
async fn a_batch_stands_item_by_item_or_as_a_whole() {
    let world = World::new().await.with_points(500).await;
    world.send(earn(&json!({"user_id": OTHER, "amount": 1}))).await;
    let items = json!([
        {"redemption": {"points": 100}},
        {"redemption": {"points": 1000}},
        {"transfer": {"to_user_id": OTHER, "points": 50}},
    ]);
    let ask = post("batches", json!({"mode": "independent", "items": items})).with("idempotency-key", "b");
    let told = world.send(ask.clone()).await;
    assert_eq!((told.status.as_u16(), told.header("idempotent-replayed")), (200, ""));
    let told = told.json();
    let states: Vec<&str> =
        told["results"].as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["SUCCESS", "REFUSED", "SUCCESS"]);
    assert_eq!(told["results"][1]["refusal"]["error"], "INSUFFICIENT_BALANCE");
    let again = world.send(ask).await;
    assert_eq!(
        (again.json(), again.header("idempotent-replayed")),
        (told, "true"),
        "the same again is the same"
    );
    for (at, status) in ["SUCCESS", "REFUSED", "SUCCESS"].into_iter().enumerate() {
        assert_eq!(json(&world, app(&format!("responses/b%23{at}"))).await["status"], status);
    }
    assert_eq!(world.check_books().await.leaves, 4);

    let whole = post("batches", json!({"mode": "all_or_none", "items": items}));
    let body = world.send(whole).await.check_problem(409, "INSUFFICIENT_BALANCE");
    assert_eq!(body["validation_errors"][0]["pointer"], "/items/1");
    assert_eq!(world.check_books().await.leaves, 4, "all or none");
    let good = json!([{"redemption": {"points": 10}}, {"redemption": {"points": 20}}]);
    let ask = post("batches", json!({"mode": "all_or_none", "items": good}));
    let told = json(&world, ask.clone()).await;
    assert_eq!(told["results"][1]["transaction"]["balance"]["available"], 320);
    let version = told["results"][1]["transaction"]["balance"]["version"].as_u64().unwrap();
    let again = world.send(ask).await;
    assert_eq!((again.json(), again.header("idempotent-replayed")), (told, "true"));

    let demands = |mode: &str, versions: [Value; 2]| {
        let items = versions.map(|it| json!({"redemption": {"points": 1, "expected_version": it}}));
        post("batches", json!({"mode": mode, "items": items}))
    };
    let stale = world.send(demands("all_or_none", [json!(version - 1), Value::Null])).await;
    stale.check_problem(409, "VERSION_CONFLICT");
    // What is not held is not taken, be it right or wrong.
    for second in [version - 1, version + 1] {
        let whole = world.send(demands("all_or_none", [json!(version), json!(second)])).await;
        assert_eq!(whole.invalid_fields(), ["items.1.redemption.expected_version"]);
        let error = &whole.json()["validation_errors"][0];
        assert_eq!(error["pointer"], "/items/1/redemption/expected_version", "{error}");
    }
    assert_eq!(world.check_books().await.leaves, 6, "nothing of these was posted");
    let apart = json(&world, demands("independent", [json!(version - 1), json!(version - 1)])).await;
    for item in apart["results"].as_array().unwrap() {
        assert_eq!(item["refusal"]["error"], "VERSION_CONFLICT", "{item}");
    }

    let many: Vec<Value> = (0..101).map(|_| json!({"redemption": {"points": 1}})).collect();
    let told = world.send(post("batches", json!({"mode": "all_or_none", "items": many}))).await;
    told.check_problem(422, "ITEM_COUNT");
    let many: Vec<Value> = (0..1001).map(|_| json!({"redemption": {"points": 1}})).collect();
    let told = world.send(post("batches", json!({"mode": "independent", "items": many}))).await;
    assert_eq!(told.invalid_fields(), ["items"]);
    let told = world
        .send(post("batches", json!({"mode": "independent", "items": [{"redemption": {"points": 0}}]})))
        .await;
    assert_eq!(told.invalid_fields(), ["items.0.redemption.points"]);
    let by_partner = post(
        "batches",
        json!({"mode": "independent", "items": [{"transfer": {"to_user_id": OTHER, "points": 1}}]}),
    )
    .with("authorization", "")
    .with("x-user-id", "")
    .with("x-api-key", "duka-key");
    world.send(by_partner).await.check_problem(403, "FORBIDDEN");
}
