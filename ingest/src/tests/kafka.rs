//! A real broker: delivered often, posted once; poison set aside; restarts without loss or doubling.

use std::collections::BTreeMap;
use std::fs::File;

use devstack::{Postgres, Scratch, test_postgres_config};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::{ConsumerConfig, ConsumerError, consume, ensure_topic, publish};

/// A topic of the test's own on the shared broker.
pub(super) async fn topic(partitions: i32) -> ConsumerConfig {
    let brokers = tokio::task::spawn_blocking(devstack::test_kafka_brokers).await.unwrap().unwrap();
    let name = format!("loyalty.events.{}", Uuid::new_v4().simple());
    ensure_topic(&brokers, &name, partitions).await.unwrap();
    ensure_topic(&brokers, &name, partitions).await.unwrap();
    ConsumerConfig { group: name.clone(), topic: name, ..ConsumerConfig::new(brokers) }
}

pub(super) struct Consumer {
    task: JoinHandle<Result<(), ConsumerError>>,
    stop: CancellationToken,
}

impl Consumer {
    pub(super) fn start(world: &World, config: &ConsumerConfig) -> Self {
        let (intake, config, stop) = (world.intake.clone(), config.clone(), CancellationToken::new());
        let told = stop.clone();
        Self { task: tokio::spawn(async move { consume(intake, &config, told).await }), stop }
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), self.task).await.unwrap().unwrap().unwrap();
    }

    /// As a crash would: nothing is drained, nothing more is committed.
    async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(super) async fn send(config: &ConsumerConfig, events: &[(String, Vec<u8>)]) {
    let events = events.iter().map(|(user, event)| (user.as_str(), event.as_slice()));
    publish(&config.brokers, &config.topic, events).await.unwrap();
}

pub(super) fn keyed(user: &str, id: &str, amount: u64) -> (String, Vec<u8>) {
    (user.to_owned(), purchase(user, id, amount).into_bytes())
}

pub(super) async fn balances(world: &World, users: &[String]) -> BTreeMap<String, i64> {
    let reader = store::Reader::new(world.pool.clone());
    let mut balances = BTreeMap::new();
    for user in users {
        let member = ledger::MemberRef::parse(user);
        let balance = reader.balance(world.program_id, 1, &member).await.unwrap();
        balances.insert(user.clone(), balance.map_or(0, |it| it.available));
    }
    balances
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_three_times_and_twice_by_http_is_one_posting() {
    let (world, config) = (World::new().await, topic(3).await);
    let event = keyed("amina", "e-1", 5);
    world.intake.accept(&event.1, "http").await.unwrap();
    let consumer = Consumer::start(&world, &config);
    let last = keyed("amina", "e-2", 7);
    send(&config, &[event.clone(), event.clone(), event.clone(), last]).await;
    world.intake.accept(&event.1, "http").await.unwrap();
    until("the last event is posted", async || world.leaves().await == 2).await;
    consumer.stop().await;
    assert_eq!(balances(&world, &["amina".into()]).await["amina"], 12);
    assert_eq!(world.check_books().await.leaves, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_set_aside_with_its_bytes_and_the_partition_flows_on() {
    let (world, config) = (World::new().await, topic(1).await);
    let poison: [&[u8]; 4] = [b"\xff\x00 not JSON", b"", b"[]", br#"{"user_id":"amina"}"#];
    let mut events = vec![keyed("amina", "before", 1)];
    events.extend(poison.iter().map(|it| ("amina".to_owned(), it.to_vec())));
    events.push(keyed("amina", "after", 2));
    send(&config, &events).await;
    let consumer = Consumer::start(&world, &config);
    until("the event behind the poison is posted", async || world.leaves().await == 2).await;
    consumer.stop().await;
    let mut kept: Vec<(String, Vec<u8>, String)> =
        world.rejected().await.into_iter().map(|it| (it.origin, it.payload, it.reason)).collect();
    kept.sort();
    let expected: Vec<(String, Vec<u8>, String)> = (1..)
        .zip(poison)
        .map(|(offset, bytes)| {
            (format!("kafka:{}/0@{offset}", config.topic), bytes.to_vec(), "EVENT_UNREADABLE".to_owned())
        })
        .collect();
    assert_eq!(kept, expected);
    world.check_books().await;
}

/// Partitions move to another consumer and back while events are in flight: each member's leaves
/// stand in the order in which the events were sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_members_events_keep_their_order_through_a_rebalance() {
    const EACH: u64 = 40;
    let (world, config) = (World::new().await, topic(4).await);
    let users: Vec<String> = (0..8).map(|it| format!("user-{it}")).collect();
    let sent: Vec<_> = (1..=EACH)
        .flat_map(|n| users.iter().map(move |user| keyed(user, &format!("{user}-{n}"), n)))
        .collect();
    let first = Consumer::start(&world, &config);
    send(&config, &sent[..sent.len() / 3]).await;
    until("some are posted", async || 40 <= world.leaves().await).await;
    let second = Consumer::start(&world, &config);
    send(&config, &sent[sent.len() / 3..]).await;
    until("more are posted", async || 160 <= world.leaves().await).await;
    first.abort().await;
    until("all are posted", async || EACH * users.len() as u64 <= world.leaves().await).await;
    second.stop().await;
    for user in &users {
        let order = order_of_leaves(&world, user).await;
        assert_eq!(order, (1..=EACH as i64).collect::<Vec<_>>(), "{user}");
    }
    world.check_books().await;
}

/// What each of the member's leaves brought, in the order of the log.
async fn order_of_leaves(world: &World, user: &str) -> Vec<i64> {
    let mut conn = world.pool.acquire().await.unwrap();
    let name = ledger::Name::Member(ledger::MemberRef::parse(user));
    let account = store::account_number(&mut conn, world.program_id, 1, &name).await.unwrap().unwrap();
    let entries = store::history(&mut conn, account, None, store::Order::Forward, 1000).await.unwrap();
    assert!(entries.is_sorted_by_key(|it| it.leaf_index));
    entries.iter().map(|it| it.change.available).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_neither_lose_nor_double() {
    const EVENTS: u64 = 600;
    let (world, config) = (World::new().await, topic(3).await);
    let users: Vec<String> = (0..20).map(|it| format!("user-{it}")).collect();
    let event = |n: u64| keyed(&users[(n % 20) as usize], &format!("e-{n}"), n + 1);
    let all: Vec<_> = (0..EVENTS).map(event).collect();
    let (early, late) = all.split_at(all.len() / 2);

    send(&config, early).await;
    let consumer = Consumer::start(&world, &config);
    until("some are posted", async || 50 <= world.leaves().await).await;
    consumer.abort().await;

    let consumer = Consumer::start(&world, &config);
    send(&config, late).await;
    until("more are posted", async || 350 <= world.leaves().await).await;
    consumer.stop().await;
    let drained = world.leaves().await;

    // Two share what is left.
    let consumers = [Consumer::start(&world, &config), Consumer::start(&world, &config)];
    until("all are posted", async || EVENTS <= world.leaves().await).await;
    for consumer in consumers {
        consumer.stop().await;
    }
    assert!(drained <= EVENTS);
    assert_eq!(world.check_books().await.leaves, EVENTS);
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for n in 0..EVENTS {
        *expected.entry(users[(n % 20) as usize].clone()).or_default() += n as i64 + 1;
    }
    assert_eq!(balances(&world, &users).await, expected);
    assert!(world.rejected().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_consumer_has_committed_what_it_settled() {
    let (world, config) = (World::new().await, topic(1).await);
    let events: Vec<_> = (0..10).map(|n| keyed("amina", &format!("e-{n}"), 1)).collect();
    send(&config, &events).await;
    let consumer = Consumer::start(&world, &config);
    until("all are posted", async || world.leaves().await == 10).await;
    consumer.stop().await;

    // Another world has not seen them. What it is delivered is what was not committed.
    let other = World::new().await;
    send(&config, &[keyed("amina", "next", 1)]).await;
    let consumer = Consumer::start(&other, &config);
    until("the next is posted", async || 1 <= other.leaves().await).await;
    consumer.stop().await;
    // The last one may have been answered after we were told to stop, and then it is delivered again.
    assert!(other.check_books().await.leaves <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_waits_for_a_database_that_is_away() {
    let (world, config) = (World::new().await, topic(1).await);
    world.intake.accept(purchase("amina", "warm", 1).as_bytes(), "http").await.unwrap();
    // The head cannot be locked, so nothing commits until the row is free again.
    let mut holder = world.pool.acquire().await.unwrap();
    store::tamper(&mut holder, "begin; select from log_head for update").await.unwrap();
    let consumer = Consumer::start(&world, &config);
    let poison = ("baraka".to_owned(), b"poison".to_vec());
    send(&config, &[keyed("amina", "e-1", 5), poison]).await;
    until("another member's event behind is kept meanwhile", async || world.rejected().await.len() == 1)
        .await;
    assert_eq!(world.leaves().await, 1);
    store::tamper(&mut holder, "rollback").await.unwrap();
    until("the event is posted", async || world.leaves().await == 2).await;
    consumer.stop().await;
    drop(holder);
    world.check_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_restarts_takes_no_event_with_it() {
    let scratch = Scratch::new().unwrap();
    let mut postgres = test_postgres_config(scratch.path());
    postgres.port = Some(devstack::lasting_port());
    let start = || {
        let config = postgres.clone();
        async { tokio::task::spawn_blocking(move || Postgres::start(&config)).await.unwrap().unwrap() }
    };
    let server = start().await;
    let (world, config) = (World::on(&server.url("postgres"), true).await, topic(1).await);
    let consumer = Consumer::start(&world, &config);
    let early: Vec<_> = (0..10).map(|n| keyed("amina", &format!("e-{n}"), 1)).collect();
    send(&config, &early).await;
    until("the first events are posted", async || world.leaves().await == 10).await;

    tokio::task::spawn_blocking(move || server.stop()).await.unwrap().unwrap();
    let mut late: Vec<_> = (10..20).map(|n| keyed("amina", &format!("e-{n}"), 1)).collect();
    late.insert(5, ("amina".to_owned(), b"poison".to_vec()));
    send(&config, &late).await;
    // While it is away there is no verdict for anybody, the poison included.
    until("an event has no verdict", async || world.intake.accept(b"other poison", "http").await.is_err())
        .await;

    let _server = start().await;
    let after = world.reconnected().await;
    until("the late events are posted", async || after.leaves().await == 20).await;
    until("the poison is kept", async || after.rejected().await.len() == 1).await;
    consumer.stop().await;
    assert_eq!(after.check_books().await.leaves, 20);
    assert_eq!(balances(&after, &["amina".into()]).await["amina"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_about_one_event_have_one_correlation_id() {
    const GIVEN: &str = "0198a000-0000-7000-8000-00000000c0de";
    let scratch = Scratch::new().unwrap();
    let log = scratch.path().join("log");
    let subscriber = tracing_subscriber::fmt().json().with_writer(File::create(&log).unwrap()).finish();
    // For the whole process, because a line that another test's thread came to first would stay silent otherwise.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing::callsite::rebuild_interest_cache();

    let (world, config) = (World::new().await, topic(1).await);
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap();
    for (n, id) in [Some(GIVEN), Some("not-a-uuid"), None].into_iter().enumerate() {
        let (user, event) = keyed("amina", &format!("e-{n}"), 1);
        let headers = OwnedHeaders::new().insert(Header { key: "x-request-id", value: id });
        let record = FutureRecord::to(&config.topic).key(&user).payload(&event).headers(headers);
        producer.send(record, Duration::from_secs(30)).await.unwrap();
    }
    let consumer = Consumer::start(&world, &config);
    until("all are posted", async || world.leaves().await == 3).await;
    consumer.stop().await;

    let lines = std::fs::read_to_string(&log).unwrap();
    // Other tests write there too, and the last line may be half of one of theirs.
    let posted = lines
        .lines()
        .filter(|line| line.contains(&config.topic))
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["fields"]["message"] == "event posted")
        .filter(|line| line["fields"]["origin"].as_str().unwrap().contains(&config.topic));
    let ids: Vec<Uuid> =
        posted.map(|line| line["span"]["correlation_id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!((ids.len(), ids[0]), (3, GIVEN.parse().unwrap()));
    assert!(ids[1] != ids[2] && ids[1] != ids[0], "{ids:?}");
}
