//! A sandbox beside the live program, behind one address: two books, and nothing of the one by a credential of the other.

use super::foreign::{ALL, FOREIGN};
use super::limits::still_database;
use super::*;

struct Both {
    live: World,
    sandbox: World,
}

impl Both {
    async fn new() -> Self {
        Self::of(World::new().await).await
    }

    async fn of(live: World) -> Self {
        let sandbox = live.sandbox().await;
        let (pool, committer, hush) = (live.pool.clone(), live.committer.clone(), live.hush.clone());
        let keyring = Keyring::new(&[7; 32]);
        let mut conn = pool.acquire().await.unwrap();
        for partner in ["duka", "kiosk"] {
            store::ensure_partner(&mut conn, &keyring, sandbox.program_id, partner).await.unwrap();
        }
        drop(conn);
        let gate = Gate::new(pool.clone(), Arc::new(keyring), live.program_id, PUBLIC_URL);
        let gate = gate.with_sandbox(sandbox.program_id);
        let api = |program| World::api_of(program, gate.clone(), &pool, &committer);
        let router = World::served(api(&live.program).with_sandbox(api(&sandbox.program)), &hush);
        Self { live: World { router: router.clone(), ..live }, sandbox: World { router, ..sandbox } }
    }
}

fn balance(key: &str, member: &str) -> Ask {
    let ask = Ask::get(format!("/loyalty/v1/partner/users/{member}/balance"));
    ask.with("x-partner-id", "duka").with("x-api-key", key)
}

#[tokio::test]
async fn a_test_key_opens_the_sandbox_alone_and_a_live_key_all_but_it() {
    let Both { live, sandbox } = Both::new().await;
    let (real, test) = (
        live.key_of("duka-shop", Some("duka"), &ALL).await,
        sandbox.key_of("duka-shop", Some("duka"), &ALL).await,
    );
    assert!(real.starts_with("lk_live_") && test.starts_with("lk_test_"));
    let (of_live, of_sandbox) = (live.spent(&real, MEMBER).await, sandbox.spent(&test, FOREIGN).await);
    // The same partner, the same owner of keys, the same idempotency key: two requests of two books.
    let spend = |key: &str, member: &str| {
        let body = json!({"points": 1, "merchant_reference": "r"}).to_string();
        let ask = Ask::post(format!("/loyalty/v1/partner/users/{member}/redeem"), body);
        ask.with("x-api-key", key).with("x-idempotency-key", KEY)
    };
    let (one, other) = (live.send(spend(&real, MEMBER)).await, live.send(spend(&test, FOREIGN)).await);
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200), "{}", other.text());
    assert_ne!(one.json()["transaction_id"], other.json()["transaction_id"]);
    assert_eq!(other.header("idempotent-replayed"), "");
    live.send(balance(&test, MEMBER)).await.check_problem(404, "USER_NOT_FOUND");
    live.send(balance(&real, FOREIGN)).await.check_problem(404, "USER_NOT_FOUND");
    assert_eq!(live.send(balance(&real, MEMBER)).await.status, 200);
    assert_eq!(live.send(balance(&test, FOREIGN)).await.status, 200);

    let before = live.check_books().await.leaves;
    let walked = live.gives_nothing_of(&of_sandbox, &live.callers().await).await
        + live.gives_nothing_of(&of_live, &sandbox.callers().await).await;
    assert!(80 <= walked, "{walked}");
    assert_eq!(live.check_books().await.leaves, before, "nothing was posted");
}

#[tokio::test]
async fn a_sandboxs_clock_goes_forward_and_what_falls_due_with_it_and_nothing_of_live_books() {
    let Both { live, sandbox } = Both::new().await;
    let mut conn = live.pool.acquire().await.unwrap();
    for world in [&live, &sandbox] {
        let policy = br#"{"expiry":{"after":{"days":10}}}"#;
        store::add_policy(&mut conn, world.program_id, policy).await.unwrap();
    }
    let (real, test) = (
        live.key_of("duka-shop", Some("duka"), &ALL).await,
        sandbox.key_of("duka-shop", Some("duka"), &ALL).await,
    );
    let give = async |key: &str| {
        let told = live.send(earn(&json!({})).with("authorization", "").with("x-api-key", key)).await;
        assert_eq!(told.status, 200, "{}", told.text());
    };
    let points = async |key: &str| live.send(balance(key, MEMBER)).await.json()["balance"].clone();
    give(&real).await;
    give(&test).await;
    let hold = json!({"user_id": MEMBER, "points": 40, "seconds": 600}).to_string();
    let hold = Ask::post("/api/v1/loyalty/holds", hold).with("x-api-key", &test);
    let held = live.send(hold.with("idempotency-key", "h")).await;
    assert_eq!((held.status.as_u16(), points(&test).await), (201, json!(60)), "{}", held.text());

    let start = store::clock_us(&mut conn).await.unwrap();
    let show = async |key: &str, seconds: i64| {
        let now = crate::time::rfc3339(start + seconds * 1_000_000);
        let ask = Ask::post("/api/v1/sandbox/clock", json!({"now": now}).to_string());
        live.send(ask.with("x-api-key", key)).await
    };
    show(&real, 601).await.check_problem(409, "CONFLICT");
    assert!(store::move_clock(&mut conn, live.program_id, 1).await.is_err(), "the database refuses it, too");
    let moved = show(&test, 601).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!((points(&real).await, points(&test).await), (json!(100), json!(100)), "the hold has lapsed");
    show(&test, 600).await.check_problem(409, "CONFLICT");
    show(&test, 370 * 86_400).await.check_problem(400, "INVALID_REQUEST");
    assert_eq!(show(&test, 11 * 86_400).await.status, 200);
    assert_eq!((points(&real).await, points(&test).await), (json!(100), json!(0)), "the points have ended");

    // What is due is posted, as of the log's time, before what comes next.
    give(&test).await;
    give(&real).await;
    assert_eq!((points(&real).await, points(&test).await), (json!(200), json!(100)));
    let clock = Ask::get("/api/v1/sandbox/clock").with("x-api-key", &test);
    let ahead = live.send(clock).await.json()["ahead_seconds"].as_i64().unwrap();
    assert!((10 * 86_400..=11 * 86_400).contains(&ahead), "{ahead}");
    live.check_books().await;
}

#[tokio::test]
async fn a_sandboxs_clock_is_moved_sixty_times_an_hour_and_nothing_else_counts() {
    let Both { live, sandbox } = Both::of(World::on(&still_database().await, "0.10").await).await;
    let duka = sandbox.key_of("duka-shop", Some("duka"), &ALL).await;
    let kiosk = sandbox.key_of("kiosk-shop", Some("kiosk"), &ALL).await;
    let reader = sandbox.key_of("duka-reader", Some("duka"), &["loyalty:read"]).await;
    let real = live.key_of("duka-shop", Some("duka"), &ALL).await;
    let start = store::clock_us(&mut live.pool.acquire().await.unwrap()).await.unwrap();
    let at = |seconds: i64| json!({"now": crate::time::rfc3339(start + seconds * 1_000_000)}).to_string();
    let ask = async |key: &str, body: String| {
        live.send(Ask::post("/api/v1/sandbox/clock", body).with("x-api-key", key)).await
    };
    assert_eq!(ask(&duka, at(1)).await.status, 200);
    let soon = json!({"now": "soon"}).to_string();
    for (key, body, status) in [
        (&duka, "{".to_owned(), 400),
        (&duka, soon, 400),
        (&duka, at(1), 409),
        (&duka, at(370 * 86_400), 400),
        (&reader, at(2), 403),
        (&real, at(2), 409),
    ] {
        let told = ask(key, body).await;
        assert_eq!(told.status, status, "{}", told.text());
    }
    for seconds in 2..=60 {
        let told = ask(if seconds % 2 == 0 { &kiosk } else { &duka }, at(seconds)).await;
        assert_eq!(told.status, 200, "{seconds}: {}", told.text());
    }
    // The clock is everybody's, and so is its quota.
    for key in [&duka, &kiosk] {
        let told = ask(key, at(61)).await;
        told.check_problem(429, "RATE_LIMIT_EXCEEDED");
        let wait: u64 = told.header("retry-after").parse().unwrap();
        assert!((3540..=3660).contains(&wait), "{wait}");
        // Of requests there are some left: that would be no reason to wait.
        assert_eq!((told.header("x-ratelimit-remaining"), told.header("ratelimit")), ("", ""));
    }
    ask(&duka, at(60)).await.check_problem(409, "CONFLICT");
}

#[tokio::test]
async fn tokens_lead_where_their_clients_key_does() {
    let Both { live, sandbox } = Both::new().await;
    let (real, test) = (
        live.key_of("duka-shop", Some("duka"), &ALL).await,
        sandbox.key_of("duka-shop", Some("duka"), &ALL).await,
    );
    live.spent(&real, MEMBER).await;
    sandbox.spent(&test, FOREIGN).await;
    let mut tokens = Vec::new();
    for (key, own, others) in [(&real, MEMBER, FOREIGN), (&test, FOREIGN, MEMBER)] {
        let told = live.token("duka-shop", key, "grant_type=client_credentials").await;
        assert_eq!(told.status, 200, "{}", told.text());
        let token = told.json()["access_token"].as_str().unwrap().to_owned();
        let by_token = |member: &str| balance("", member).with("authorization", &format!("Bearer {token}"));
        assert_eq!(live.send(by_token(own)).await.status, 200);
        live.send(by_token(others)).await.check_problem(404, "USER_NOT_FOUND");
        tokens.push(token);
    }
    // A token and a key of two programs are not of one caller, whatever their names.
    for (token, key, member) in [(&tokens[0], &test, MEMBER), (&tokens[1], &real, FOREIGN)] {
        let ask = balance(key, member).with("authorization", &format!("Bearer {token}"));
        live.send(ask).await.check_problem(401, "UNAUTHORIZED");
    }
    // A client of the same name in the other program learns nothing of a token, and cannot withdraw it.
    for (id, key, token, is_active) in [
        ("duka-shop", &real, &tokens[0], true),
        ("duka-shop", &real, &tokens[1], false),
        ("duka-shop", &test, &tokens[0], false),
        ("duka-shop", &test, &tokens[1], true),
    ] {
        let form = |path: &str| {
            let ask = Ask::post(path, format!("token={token}"));
            let ask = ask.with("content-type", "application/x-www-form-urlencoded");
            ask.with("authorization", &tokens::basic(id, key))
        };
        assert_eq!(live.send(form("/oauth/introspect")).await.json()["active"], is_active);
        if !is_active {
            assert_eq!(live.send(form("/oauth/revoke")).await.status, 200);
        }
    }
    for (token, member) in tokens.iter().zip([MEMBER, FOREIGN]) {
        let ask = balance("", member).with("authorization", &format!("Bearer {token}"));
        assert_eq!(live.send(ask).await.status, 200, "it was another's to withdraw");
    }
    let keys = live.send(Ask::get("/.well-known/jwks.json")).await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_sandbox_denies_and_reviews_by_whom_it_is_asked() {
    let Both { live, sandbox } = Both::new().await;
    let (real, test) = (
        live.key_of("duka-shop", Some("duka"), &ALL).await,
        sandbox.key_of("duka-shop", Some("duka"), &ALL).await,
    );
    let [denied, reviewed] = ["00000000-0000-4000-8000-00000000d001", "00000000-0000-4000-8000-00000000d002"];
    for (key, member, status, said) in [
        (&test, denied, 403, "FRAUD_DENIED"),
        (&test, reviewed, 200, "PENDING"),
        (&test, MEMBER, 200, "SUCCESS"),
        (&real, denied, 200, "SUCCESS"),
        (&real, reviewed, 200, "SUCCESS"),
    ] {
        let earned = earn(&json!({"user_id": member, "amount": 10})).with("authorization", "");
        assert_eq!(live.send(earned.with("x-api-key", key)).await.status, 200);
        let body = json!({"points": 3, "merchant_reference": "r"}).to_string();
        let ask =
            Ask::post(format!("/loyalty/v1/partner/users/{member}/redeem"), body).with("x-api-key", key);
        let told = live.send(ask.with("x-idempotency-key", &Uuid::new_v4().to_string())).await;
        let body = told.json();
        assert_eq!(
            (told.status.as_u16(), body.get("error").unwrap_or(&body["status"])),
            (status, &json!(said))
        );
    }
    live.check_books().await;
}
