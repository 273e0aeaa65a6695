//! Events against a real PostgreSQL and a real broker. After each journey the books are checked.

mod erasure;
mod kafka;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Committer, Keyring, LogIdentity, PgPool, ProgramSpec, RejectedEvent};

use crate::{Intake, RejectCode, Verdict};

const RULES: &[u8] = br#"{"rates":{"purchase":"1"}}"#;

struct World {
    url: String,
    pool: PgPool,
    intake: Intake,
    program_id: i16,
}

impl World {
    async fn new() -> Self {
        Self::where_events_enrol(true).await
    }

    async fn where_events_enrol(enrols: bool) -> Self {
        let server = tokio::task::spawn_blocking(devstack::test_postgres_url).await.unwrap().unwrap();
        Self::on(&server, enrols).await
    }

    async fn on(server: &str, enrols: bool) -> Self {
        let url = store::test_database(server).await.unwrap();
        let pool = store::connect(&url, 8).await.unwrap();
        let keyring = Keyring::new(&[7; 32]);
        let log = LogIdentity { log_id: [1; 32], origin: "log.test".into() };
        let spec = ProgramSpec {
            name: "test".into(),
            enrols,
            point_value: "1".into(),
            currency: "KES".into(),
            rule_set: RULES.to_vec(),
        };
        let mut conn = pool.acquire().await.unwrap();
        store::ensure_log(&mut conn, &log).await.unwrap();
        let program_id = store::ensure_program(&mut conn, &keyring, &spec).await.unwrap().program_id;
        drop(conn);
        let (committer, _) = Committer::start(pool.clone(), &log, keyring).await.unwrap();
        let intake = Intake::new(committer, pool.clone(), program_id);
        Self { url, pool, intake, program_id }
    }

    /// The same world, read through new connections.
    async fn reconnected(&self) -> Self {
        let pool = store::connect(&self.url, 8).await.unwrap();
        Self { url: self.url.clone(), pool, intake: self.intake.clone(), program_id: self.program_id }
    }

    async fn rejected(&self) -> Vec<RejectedEvent> {
        let mut conn = self.pool.acquire().await.unwrap();
        store::rejected_events(&mut conn, self.program_id, None, 0, 1000).await.unwrap()
    }

    async fn new_rules(&self, rules: &str) {
        self.rules_from(0, rules).await;
    }

    async fn rules_from(&self, from_us: i64, rules: &str) {
        let mut conn = self.pool.acquire().await.unwrap();
        store::add_rule_set(&mut conn, self.program_id, rules.as_bytes(), from_us).await.unwrap();
    }

    async fn leaves(&self) -> u64 {
        store::log_size(&mut self.pool.acquire().await.unwrap()).await.unwrap()
    }

    async fn check_books(&self) -> store::BooksReport {
        store::check_books(&mut self.pool.acquire().await.unwrap()).await.unwrap()
    }
}

fn purchase(user: &str, id: &str, amount: u64) -> String {
    let timestamp = "2025-07-17T14:30:00Z";
    let event = json!({"user_id": user, "type": "purchase", "amount": amount, "timestamp": timestamp, "event_id": id});
    event.to_string()
}

/// Waits until this holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds().await {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::task::yield_now().await;
    }
}

fn code(verdict: &Verdict) -> Option<RejectCode> {
    match verdict {
        Verdict::Posted { .. } | Verdict::Parked { .. } => None,
        Verdict::Rejected { code, .. } => Some(*code),
    }
}

#[tokio::test]
async fn an_event_is_posted_once_whichever_way_it_comes() {
    let world = World::new().await;
    let event = purchase("amina", "e-1", 5);
    let first = world.intake.accept(event.as_bytes(), "http").await.unwrap();
    let again = world.intake.accept(event.as_bytes(), "kafka:loyalty.events/0@7").await.unwrap();
    let Verdict::Posted { transaction_id, leaf_index: 0, points: 5, balance: 5, replayed: false } = first
    else {
        panic!("{first:?}");
    };
    let expected = Verdict::Posted { transaction_id, leaf_index: 0, points: 5, balance: 5, replayed: true };
    assert_eq!(again, expected);
    assert_eq!(world.check_books().await.leaves, 1);
    assert!(world.rejected().await.is_empty());
}

#[tokio::test]
async fn an_event_without_an_id_is_known_by_what_it_says() {
    let world = World::new().await;
    let mut event: Value = serde_json::from_str(&purchase("amina", "", 5)).unwrap();
    event.as_object_mut().unwrap().remove("event_id");
    let first = world.intake.accept(event.to_string().as_bytes(), "http").await.unwrap();
    event["amount"] = json!("5.00");
    let again = world.intake.accept(event.to_string().as_bytes(), "http").await.unwrap();
    let id = |verdict: &Verdict| match verdict {
        Verdict::Posted { transaction_id, .. } => *transaction_id,
        Verdict::Parked { .. } | Verdict::Rejected { .. } => panic!("{verdict:?}"),
    };
    assert_eq!(id(&first), id(&again));
    assert_eq!(world.check_books().await.leaves, 1);
}

#[tokio::test]
async fn an_event_is_text_also_where_nobody_reads_it() {
    let world = World::new().await;
    let event = purchase("amina", "e-1", 5).replacen('{', r#"{"shop":"~","#, 1);
    let bytes: Vec<u8> = event.bytes().map(|it| if it == b'~' { 0xff } else { it }).collect();
    let verdict = world.intake.accept(&bytes, "kafka:loyalty.events/0@7").await.unwrap();
    assert_eq!(code(&verdict), Some(RejectCode::Unreadable));
    let kept = world.rejected().await;
    assert_eq!((kept.len(), &kept[0].payload), (1, &bytes));
    assert_eq!(world.check_books().await.leaves, 0);
}

#[tokio::test]
async fn a_stranger_is_not_enrolled_where_the_program_does_not() {
    let world = World::where_events_enrol(false).await;
    let event = purchase("amina", "e-1", 5);
    let verdict = world.intake.accept(event.as_bytes(), "http").await.unwrap();
    assert_eq!(code(&verdict), Some(RejectCode::UserNotFound));
    let kept = world.rejected().await;
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].payload.as_slice(), kept[0].reason.as_str()), (event.as_bytes(), "USER_NOT_FOUND"));
    assert_eq!(world.check_books().await.leaves, 0);
}

/// An event that an operator drops while it is released has either earned or gone, and never both.
#[tokio::test]
async fn a_dropped_event_earns_nothing_also_where_it_is_released_at_the_time() {
    let world = World::where_events_enrol(false).await;
    let conn = &mut *world.pool.acquire().await.unwrap();
    store::add_policy(conn, world.program_id, br#"{"strangers":"park"}"#).await.unwrap();
    let mut waiting = Vec::new();
    for n in 0..21 {
        let event = purchase("amina", &format!("e-{n}"), 5);
        let Verdict::Parked { number } = world.intake.accept(event.as_bytes(), "http").await.unwrap() else {
            panic!("it waits");
        };
        waiting.push(store::parked_event(conn, world.program_id, number).await.unwrap().unwrap());
    }
    let names = [ledger::MemberRef::External("amina".into())];
    store::enrol_members(conn, &Keyring::new(&[7; 32]), world.program_id, 1, &names).await.unwrap();

    let first = waiting.pop().unwrap();
    assert!(store::unpark(conn, world.program_id, first.parked_event_id).await.unwrap());
    assert_eq!(world.intake.release(&first).await.unwrap(), None, "it was dropped before");
    assert_eq!(world.leaves().await, 0);
    let mut posted = 0;
    for event in &waiting {
        let dropping = store::unpark(conn, world.program_id, event.parked_event_id);
        let (released, dropped) = tokio::join!(world.intake.release(event), dropping);
        let released = released.unwrap();
        assert_eq!(released.is_none(), dropped.unwrap(), "{released:?}");
        posted += u64::from(released.is_some());
        // Who releases it again is told what came of it.
        let replayed = world.intake.release(event).await.unwrap();
        assert_eq!(replayed.is_some(), released.is_some(), "{replayed:?}");
    }
    assert_eq!(world.check_books().await.leaves, posted);
}

#[tokio::test]
async fn new_rules_are_seen_without_a_restart() {
    let world = World::new().await;
    let walk = |id: &str| purchase("amina", id, 5).replace("purchase", "walk");
    let verdict = world.intake.accept(walk("w-0").as_bytes(), "http").await.unwrap();
    assert_eq!(code(&verdict), Some(RejectCode::NoRate));
    world.new_rules(r#"{"rates":{"walk":"2"}}"#).await;
    let mut tries = 0;
    until("the new rate counts", async || {
        tries += 1;
        let verdict = world.intake.accept(walk(&format!("w-{tries}")).as_bytes(), "http").await.unwrap();
        matches!(verdict, Verdict::Posted { points: 10, .. })
    })
    .await;
    world.check_books().await;
}

/// However late and in whatever order they come, events come to the same, each by the rules of its own time, which its posting
/// names.
#[tokio::test]
async fn any_order_of_arrival_comes_to_the_same() {
    let day = |day: u32, id: String, amount: u32| {
        json!({"user_id": "amina", "type": "purchase", "amount": amount, "timestamp": format!("2025-07-{day:02}T12:00:00Z"), "event_id": id})
            .to_string()
    };
    let events: Vec<String> = (1..=30).map(|it| day(it, format!("e-{it}"), 7 + it)).collect();
    // Ten days at one point, ten at two, ten at three; settled before anything has come.
    let expected = (1..=30).map(|it| (7 + it) * (1 + (it - 1) / 10)).sum::<u32>();
    let (july_11_us, day_us) = (1_752_192_000_000_000, 86_400_000_000);
    for seed in 0..6_u64 {
        let world = World::new().await;
        world.rules_from(july_11_us + 10 * day_us, r#"{"rates":{"purchase":"3"}}"#).await;
        world.rules_from(july_11_us, r#"{"rates":{"purchase":"2"}}"#).await;
        let mut shuffled = events.clone();
        shuffled.sort_by_key(|it| Sha256::digest([&seed.to_be_bytes(), it.as_bytes()].concat()));
        let arriving = shuffled.iter().map(|it| world.intake.accept(it.as_bytes(), "http"));
        for verdict in futures::future::join_all(arriving).await {
            assert!(matches!(verdict.unwrap(), Verdict::Posted { replayed: false, .. }), "seed {seed}");
        }
        let balances = kafka::balances(&world, &["amina".to_owned()]).await;
        assert_eq!(balances["amina"], i64::from(expected), "seed {seed}");
        world.check_books().await;
    }
}

#[tokio::test]
async fn what_was_posted_stays_posted_under_rules_that_would_not() {
    let world = World::new().await;
    let accept = async |event: &str| world.intake.accept(event.as_bytes(), "http").await.unwrap();
    let event = purchase("amina", "e-1", 5);
    let Verdict::Posted { transaction_id, .. } = accept(&event).await else { panic!("it earns") };
    world.new_rules(r#"{"rates":{"walk":"2"}}"#).await;
    let mut probes = 0;
    until("purchases earn nothing", async || {
        probes += 1;
        code(&accept(&purchase("amina", &format!("probe-{probes}"), 1)).await) == Some(RejectCode::NoRate)
    })
    .await;

    let replay = Verdict::Posted { transaction_id, leaf_index: 0, points: 5, balance: 5, replayed: true };
    assert_eq!(accept(&event).await, replay);
    assert_eq!(world.rejected().await.len(), 1, "the probe is kept, the replay is not");
    // Its id with another content is not what was posted.
    assert_eq!(code(&accept(&purchase("amina", "e-1", 6)).await), Some(RejectCode::NoRate));
    assert_eq!(world.rejected().await.len(), 2);
    assert_eq!(world.check_books().await.leaves, probes);
}

#[tokio::test]
async fn what_the_world_prevents_is_neither_posted_nor_kept() {
    let world = World::new().await;
    world.intake.accept(purchase("amina", "e-1", 5).as_bytes(), "http").await.unwrap();
    world.pool.close().await;
    assert!(world.intake.accept(purchase("amina", "e-2", 5).as_bytes(), "http").await.is_err());
    assert!(world.intake.accept(b"not an event", "http").await.is_err(), "what is not kept has no verdict");
}
