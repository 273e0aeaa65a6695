//! What an operator is told, also when PostgreSQL is away.

use std::time::{Duration, Instant};

use devstack::{Postgres, Scratch, test_postgres_config};

use super::tokens::basic;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_the_truth_when_postgresql_stops() {
    let scratch = Scratch::new().unwrap();
    let config = test_postgres_config(scratch.path());
    let postgres = tokio::task::spawn_blocking(move || Postgres::start(&config)).await.unwrap().unwrap();
    let url = store::test_database(&postgres.url("postgres")).await.unwrap();
    let world = World::on(&url, "1").await.with_points(5).await;
    assert_eq!(world.send(Ask::get("/health/ready")).await.text(), "ready\n");

    tokio::task::spawn_blocking(move || postgres.stop()).await.unwrap().unwrap();
    let mut times = Vec::new();
    for _ in 0..3 {
        let asked = Instant::now();
        let told = world.send(Ask::get("/health/ready")).await;
        times.push(asked.elapsed());
        told.check_problem(503, "DEPENDENCY_UNAVAILABLE");
    }
    // It is told after a second and a half, where a connection is waited for five; the machine may do much else at one of them.
    assert!(*times.iter().min().unwrap() < Duration::from_secs(4), "{times:?}");
    assert_eq!(world.send(Ask::get("/health/live")).await.status, 200);
    for ask in [redeem(1), earn(&json!({}))] {
        let told = world.send(ask).await;
        let body = told.check_problem(503, "DEPENDENCY_UNAVAILABLE");
        assert_eq!((told.header("retry-after"), &body["retry_after"]), ("1", &json!(1)));
        assert!(told.text().contains("ask again with the same key"), "{}", told.text());
    }
}

#[tokio::test]
async fn figures_name_the_route_and_the_status() {
    let world = World::new().await.with_points(5).await;
    world.send(redeem(1)).await;
    world.send(Ask::get("/no/such/path/51")).await;
    let told = world.send(Ask::get("/metrics")).await;
    assert!(told.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = told.text();
    let route = "/loyalty/v1/partner/users/{userId}/redeem";
    assert!(
        text.contains(&format!(r#"daftari_http_requests_total{{route="{route}",status="200"}}"#)),
        "{text}"
    );
    assert!(text.contains(r#"daftari_http_requests_total{route="unmatched",status="404"}"#), "{text}");
    assert!(text.contains(r#"daftari_http_request_seconds_bucket{"#), "{text}");
    assert!(text.contains(r#"daftari_commit_batch_size_bucket"#), "{text}");
    assert!(!text.contains("/no/such/path"), "a stranger cannot make new series");
}

#[tokio::test]
async fn a_problem_type_can_be_looked_up() {
    let world = World::new().await;
    assert_eq!(
        world.send(Ask::get("/problems/insufficient-balance")).await.text(),
        "The balance is not sufficient.\n"
    );
    assert_eq!(world.send(Ask::get("/problems/event-unreadable")).await.status, 200);
    world.send(Ask::get("/problems/no-such-problem")).await.check_problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_withdrawn_credential_is_soon_a_strangers() {
    let world = World::new().await.with_points(5).await;
    assert_eq!(world.send(redeem(1)).await.status, 200);
    // A gate that has never seen the credential asks at once; one that has may take two seconds, not more.
    store::tamper(&mut world.pool.acquire().await.unwrap(), "delete from credential").await.unwrap();
    world.until_shut_out(redeem(1)).await;
    assert_eq!(world.send(redeem(1)).await.status, 401);
}

#[tokio::test]
async fn no_answer_waits_for_a_second_connection() {
    let url = test_database().await;
    let world = World::on(&url, "0.10").await.with_points(500).await;
    let key = world.key_of("wallet", None, &["loyalty:read", "loyalty:redeem"]).await;
    // The API alone has one connection, and tells nobody of anything: whoever waited for a second one would wait for themselves.
    let pool = store::connect(&url, 1).await.unwrap();
    let gate = Gate::new(pool.clone(), Arc::new(Keyring::new(&[7; 32])), world.program_id, PUBLIC_URL);
    let api = World::api_of(&world.program, gate, &pool, &world.committer);
    let operations = Operations { pool, commits: None, metrics: metrics(), public_url: PUBLIC_URL.into() };
    let world = World { router: crate::router(Arc::new(api), operations), ..world };

    let app = |ask: Ask| ask.with("authorization", "Bearer app-token").with("x-user-id", MEMBER);
    let hold = Ask::post("/api/v1/loyalty/holds", json!({"points": 100}).to_string());
    let exchange = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={MEMBER}\
         &subject_token_type=urn:daftari:params:oauth:token-type:member"
    );
    let exchange = Ask::post("/oauth/token", exchange)
        .with("content-type", "application/x-www-form-urlencoded")
        .with("authorization", &basic("wallet", &key));
    for (ask, status) in [
        (app(hold.with("idempotency-key", "held")), 201_u16),
        (app(Ask::get("/api/v1/responses/held")), 200),
        (app(Ask::get("/api/v1/loyalty/balance?as_of=1")), 200),
        (exchange, 200),
    ] {
        let path = ask.path.clone();
        let told = world.send(ask).await;
        assert_eq!(told.status, status, "{path}: {}", told.text());
    }
    world.check_books().await;
}
