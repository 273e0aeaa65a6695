//! Quotas: what is admitted by several processes at once, and what whoever is refused is told.

use std::time::Instant;

use futures::future::join_all;

use super::*;
use crate::limits::{Kind, Limits, Quota};

/// A database whose clock stands still, in the middle of a slice: none ends meanwhile, for what is leased goes back then. Its
/// name comes first where functions are looked for, as of the next connection.
pub(super) async fn still_database() -> String {
    let url = test_database().await;
    let pool = store::connect(&url, 1).await.unwrap();
    let stop = "
        do $$ begin
            execute format(
                'create function clock_timestamp() returns timestamptz language sql stable return %L::timestamptz',
                date_trunc('minute', clock_timestamp()) + interval '20 seconds'
            );
            execute format('alter database %I set search_path = public, pg_catalog', current_database());
        end $$";
    store::tamper(&mut pool.acquire().await.unwrap(), stop).await.unwrap();
    pool.close().await;
    url
}

async fn processes(count: usize) -> Vec<Limits> {
    let url = still_database().await;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(Limits::start(store::connect(&url, 2).await.unwrap()));
    }
    all
}

#[tokio::test]
async fn the_clock_of_quotas_stands_still() {
    let pool = store::connect(&still_database().await, 1).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let (one, two) = (store::clock_us(&mut conn).await.unwrap(), store::clock_us(&mut conn).await.unwrap());
    assert_eq!((one, one / 1_000_000 % store::SLICE_S), (two, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_admit_a_limit_and_no_more_than_one_in_a_hundred_over() {
    for limit in [40, 1_000, 20_000] {
        let processes = processes(3).await;
        let quota = Quota::new(1, Kind::Partner, "duka", limit);
        let callers = processes.iter().flat_map(|it| std::iter::repeat_n(it, 8));
        let admitted = join_all(callers.map(async |process| {
            let mut admitted = 0_u64;
            // On and on, as an attacker does: five hundred refusals each and he has learned nothing.
            let mut refused = 0;
            while refused < 500 {
                match process.take(&quota).await.unwrap() {
                    Ok(_) => admitted += 1,
                    Err(standing) => {
                        assert_eq!((standing.limit, standing.kind), (limit as u64, Kind::Partner));
                        assert!(0 < standing.frees_in_s && standing.frees_in_s <= 3660, "{standing:?}");
                        refused += 1;
                    }
                }
            }
            admitted
        }))
        .await;
        let admitted: u64 = admitted.iter().sum();
        let limit = limit as u64;
        assert!(
            limit <= admitted + limit / 50 + 3,
            "{admitted} of {limit}: the rest was held back for nobody"
        );
        assert!(admitted * 100 <= limit * 101, "{admitted} of {limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_admitted_seldom_asks_the_database() {
    let processes = processes(1).await;
    let quota = Quota::new(1, Kind::Partner, "duka", 1_000_000);
    let begun = Instant::now();
    for _ in 0..50_000 {
        processes[0].take(&quota).await.unwrap().unwrap();
    }
    let asked = processes[0].rounds();
    assert!(asked < 500, "{asked} rounds in {:?}", begun.elapsed());
}

#[tokio::test]
async fn one_who_is_refused_takes_nothing_from_another() {
    let processes = processes(1).await;
    let (attacker, victim) =
        (Quota::new(1, Kind::Partner, "attacker", 10), Quota::new(1, Kind::Partner, "victim", 10));
    let same_name = Quota::new(2, Kind::Partner, "victim", 10);
    for _ in 0..100 {
        let _ = processes[0].take(&attacker).await.unwrap();
    }
    for quota in [victim, same_name] {
        let mut admitted = 0;
        while processes[0].take(&quota).await.unwrap().is_ok() {
            admitted += 1;
        }
        assert_eq!(admitted, 10);
    }
}

#[tokio::test]
async fn whoever_asks_too_much_is_told_when_to_come_again() {
    let world = World::on(&still_database().await, "0.10").await.with_points(10).await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:read"]).await;
    let other = world.key_of("kiosk", Some("kiosk"), &["loyalty:read"]).await;
    world.settle_partner(|it| it.requests_per_hour = Some(3)).await;
    let ask = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance"));
    let mine = ask.clone().with("x-partner-id", "duka").with("x-api-key", &key);
    for left in [2, 1, 0] {
        let told = world.send(mine.clone()).await;
        assert_eq!(told.status, 200, "{}", told.text());
        assert_eq!(
            (told.header("x-ratelimit-limit"), told.header("x-ratelimit-remaining")),
            ("3", left.to_string().as_str())
        );
        assert_eq!(told.header("ratelimit-policy"), "\"partner\";q=3;w=3600");
        assert!(told.header("ratelimit").starts_with(&format!("\"partner\";r={left};t=")));
    }
    for _ in 0..20 {
        let told = world.send(mine.clone()).await;
        let body = told.check_problem(429, "RATE_LIMIT_EXCEEDED");
        assert_eq!(body["message"], "API rate limit exceeded");
        let wait: u64 = told.header("retry-after").parse().unwrap();
        assert!((3540..=3660).contains(&wait), "{wait}");
        assert_eq!((told.header("x-ratelimit-limit"), told.header("x-ratelimit-remaining")), ("3", "0"));
        let t = told.header("ratelimit").rsplit_once("t=").unwrap().1.parse::<u64>().unwrap();
        assert!(t <= wait, "it may not come before something is free");
    }
    // A token of the same partner is of the same quota; another partner has its own.
    let token = world.token("duka", &key, "grant_type=client_credentials").await.json();
    let by_token = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let told = world.send(mine.clone().with("x-api-key", "").with("authorization", &by_token)).await;
    told.check_problem(429, "RATE_LIMIT_EXCEEDED");
    let told = world.send(ask.with("x-partner-id", "kiosk").with("x-api-key", &other)).await;
    assert_eq!(told.status, 200, "{}", told.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_whole_by_several_processes_is_no_more_than_the_limit() {
    let processes = processes(3).await;
    let quota = Quota::new(1, Kind::Partner, "duka", 1_000);
    let callers = processes.iter().flat_map(|it| std::iter::repeat_n(it, 4));
    let admitted = join_all(callers.map(async |process| {
        let (mut admitted, mut refused) = (0_u64, 0);
        while refused < 20 {
            match process.take_whole(&[quota], 50).await.unwrap() {
                Ok(_) => admitted += 50,
                Err(standing) => {
                    assert!(0 < standing.frees_in_s && standing.frees_in_s <= 3660, "{standing:?}");
                    refused += 1;
                }
            }
        }
        admitted
    }))
    .await;
    let admitted: u64 = admitted.iter().sum();
    assert!((500..=1_000).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn what_one_of_several_quotas_refuses_is_taken_from_none() {
    let processes = processes(1).await;
    // Of the one it is taken from what is leased, of the other before it is booked.
    for limit in [40, 4_000] {
        let till = Quota::new(1, Kind::Key, &format!("till {limit}"), limit);
        let duka = Quota::new(1, Kind::Partner, &format!("duka {limit}"), limit);
        while processes[0].take(&duka).await.unwrap().is_ok() {}
        let refused = processes[0].take_whole(&[till, duka], 5).await.unwrap().unwrap_err();
        assert_eq!(refused.kind, Kind::Partner);
        assert_eq!(processes[0].take(&till).await.unwrap().unwrap().left, limit as u64 - 1);
    }
}

#[tokio::test]
async fn a_batch_that_one_quota_refuses_uses_nothing_of_another() {
    let world = World::on(&still_database().await, "0.10").await;
    let till = world.key_of("till", Some("duka"), &["loyalty:earn"]).await;
    world.settle_partner(|it| it.requests_per_hour = Some(60)).await;
    let own = "update credential set requests_per_hour = 40 where owner = 'till'";
    store::tamper(&mut world.pool.acquire().await.unwrap(), own).await.unwrap();
    let earning = async |key: &str, count: usize| {
        let events: Vec<Value> = (0..count).map(|_| purchase(&json!({}))).collect();
        world.send(Ask::post("/api/v1/events", json!(events).to_string()).with("x-api-key", key)).await
    };
    for count in [30, 20] {
        let told = earning("duka-key", count).await;
        assert_eq!(told.status, 200, "{}", told.text());
    }
    let told = earning(&till, 20).await;
    told.check_problem(429, "RATE_LIMIT_EXCEEDED");
    assert!(told.header("ratelimit").starts_with("\"partner\";r=9;"), "{}", told.header("ratelimit"));
    let told = earning(&till, 1).await;
    assert_eq!(told.status, 200, "{}", told.text());
    assert!(told.header("ratelimit").contains("\"key\";r=38;"), "{}", told.header("ratelimit"));
}

#[tokio::test]
async fn what_has_many_items_counts_by_item() {
    let world = World::on(&still_database().await, "0.10").await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:earn", "loyalty:redeem"]).await;
    world.settle_partner(|it| it.requests_per_hour = Some(40)).await;
    let earning = |count: usize| {
        let events: Vec<Value> = (0..count).map(|_| purchase(&json!({}))).collect();
        Ask::post("/api/v1/events", json!(events).to_string()).with("x-api-key", &key)
    };
    let left = |told: &Told| told.header("x-ratelimit-remaining").to_owned();
    let told = world.send(earning(20)).await;
    assert_eq!((told.status.as_u16(), left(&told)), (200, "20".to_owned()), "{}", told.text());
    assert!(told.header("ratelimit").starts_with("\"partner\";r=20;t="));

    // For more than half an hour's requests it could wait for ever.
    let told = world.send(earning(21)).await;
    let problem = told.check_problem(422, "ITEM_COUNT");
    assert!(problem["detail"].as_str().unwrap().contains("at most 20 items"), "{problem}");
    assert_eq!(left(&told), "19", "it counts as one");
    let items: Vec<Value> =
        (0..21).map(|_| json!({"redemption": {"points": 1, "user_id": MEMBER}})).collect();
    let batch =
        Ask::post("/api/v1/loyalty/batches", json!({"mode": "independent", "items": items}).to_string());
    let told = world.send(batch.with("x-api-key", &key).with("idempotency-key", "b")).await;
    told.check_problem(422, "ITEM_COUNT");
    assert_eq!(left(&told), "18");

    // Nothing of it is done where there is not enough for all; what is left can be used.
    let told = world.send(earning(20)).await;
    let problem = told.check_problem(429, "RATE_LIMIT_EXCEEDED");
    assert!(problem["detail"].as_str().unwrap().contains("17 more"), "{problem}");
    assert_eq!(left(&told), "17");
    let wait: u64 = told.header("retry-after").parse().unwrap();
    assert!((3540..=3660).contains(&wait), "{wait}");
    assert_eq!(world.check_books().await.leaves, 20);
    let told = world.send(earning(17)).await;
    assert_eq!((told.status.as_u16(), left(&told)), (200, "0".to_owned()), "{}", told.text());
    world.send(earning(1)).await.check_problem(429, "RATE_LIMIT_EXCEEDED");
    assert_eq!(
        world.send(earning(2).with("x-api-key", "kiosk-key")).await.status,
        200,
        "another has its own"
    );
    assert_eq!(world.check_books().await.leaves, 39);
}

#[tokio::test]
async fn who_asks_for_what_they_may_not_uses_their_own_quota() {
    let world = World::on(&still_database().await, "0.10").await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:redeem"]).await;
    world.settle_partner(|it| it.requests_per_hour = Some(2)).await;
    let ask = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance")).with("x-api-key", &key);
    for left in ["1", "0"] {
        let told = world.send(ask.clone()).await;
        told.check_problem(403, "FORBIDDEN");
        assert_eq!((told.header("x-ratelimit-limit"), told.header("x-ratelimit-remaining")), ("2", left));
    }
    world.send(ask).await.check_problem(429, "RATE_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn endpoints_are_challenged_a_hundred_times_an_hour_at_most() {
    let world = World::on(&still_database().await, "0.10").await;
    // Bound, and nobody listens.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let wish = json!({"url": format!("http://{}/", silent.local_addr().unwrap())}).to_string();
    let made = world.send(Ask::post("/api/v1/webhooks", wish).with("x-api-key", "duka-key")).await.json();
    let path = format!("/api/v1/webhooks/{}/verification", made["id"].as_str().unwrap());
    let challenge = Ask::post(path, "{}").with("x-api-key", "duka-key");
    for _ in 0..100 {
        world.send(challenge.clone()).await.check_problem(409, "WEBHOOK_NOT_VERIFIED");
    }
    let told = world.send(challenge).await;
    told.check_problem(429, "RATE_LIMIT_EXCEEDED");
    assert!(!told.header("retry-after").is_empty());
    // Of requests there are some left: that would be no reason to wait.
    assert_eq!((told.header("x-ratelimit-remaining"), told.header("ratelimit")), ("", ""));
}

#[tokio::test]
async fn failures_are_counted_by_address_and_shut_nobody_else_out() {
    let world = World::on(&still_database().await, "0.10").await.with_points(10).await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:read"]).await;
    let ask = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance")).with("x-partner-id", "duka");
    let peer = Some(Peer("192.0.2.66:1000".parse().unwrap()));
    let mut refused = 0;
    for _ in 0..1100 {
        let told = world.send_from(ask.clone().with("x-api-key", "lk_live_guess"), peer).await;
        assert!([401, 429].contains(&told.status.as_u16()));
        refused += u32::from(told.status == 429);
    }
    assert!((90..=110).contains(&refused), "{refused}");
    let client = Ask::post("/oauth/token", "grant_type=client_credentials&client_id=duka&client_secret=x")
        .with("content-type", "application/x-www-form-urlencoded");
    world.send_from(client.clone(), peer).await.check_problem(429, "RATE_LIMIT_EXCEEDED");
    // Who comes from there with a good key is let in, and so is a guesser from elsewhere told what is wrong.
    assert_eq!(world.send_from(ask.clone().with("x-api-key", &key), peer).await.status, 200);
    let elsewhere = Some(Peer("192.0.2.67:1000".parse().unwrap()));
    world
        .send_from(ask.with("x-api-key", "lk_live_guess"), elsewhere)
        .await
        .check_problem(401, "UNAUTHORIZED");
    assert_eq!(world.send_from(client, elsewhere).await.status, 401);
}

#[tokio::test]
async fn all_addresses_of_one_ipv6_network_are_one_guesser() {
    let world = World::on(&still_database().await, "0.10").await;
    let guess = Ask::get("/api/v1/loyalty/balance").with("x-api-key", "lk_live_guess");
    let mut refused = 0;
    for number in 0..1100 {
        let peer = Peer(format!("[2001:db8:0:7:{number:x}::1]:1000").parse().unwrap());
        let told = world.send_from(guess.clone(), Some(peer)).await;
        assert!([401, 429].contains(&told.status.as_u16()));
        refused += u32::from(told.status == 429);
    }
    assert!((90..=110).contains(&refused), "{refused}");
    let neighbour = Peer("[2001:db8:0:8::1]:1000".parse().unwrap());
    world.send_from(guess.clone(), Some(neighbour)).await.check_problem(401, "UNAUTHORIZED");
    let by_ipv4 = Peer("[::ffff:192.0.2.66]:1000".parse().unwrap());
    world.send_from(guess, Some(by_ipv4)).await.check_problem(401, "UNAUTHORIZED");
}
