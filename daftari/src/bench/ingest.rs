//! How long it takes from an event's publishing until its member's balance has it: a Kafka, `daftari ingest` and `daftari api`,
//! each a process of its own, and events at a steady rate, whatever they take.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use devstack::{Kafka, KafkaConfig};
use ingest::{EVENTS_TOPIC, Publisher};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::callers::{Caller, Place};
use super::ground::{PATIENCE, WRAPPING_KEY, check_books};
use super::report::{Report, Times};
use super::role::Role;
use super::stage::{self, GRANT, Stage};
use crate::config::Bench;
use crate::load::{grant, member};

/// Events a second.
const RATE: f64 = 500.0;
/// Between two looks at a balance that has not got its event yet: a time is too long by so much at most.
const LOOK_GAP: Duration = Duration::from_millis(5);
const PARTITIONS: i32 = 4;

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let stage = Stage::start(&root).await?;
    let settings = KafkaConfig::new(stage.folder.path().join("kafka"));
    let kafka = tokio::task::spawn_blocking(move || Kafka::start(&settings)).await??;
    let mut report = Report::new("ingest", config.seed);
    report.setting("members", config.members);
    report.setting("load", "published and asked for by this process, on the same machine");
    report.setting("servers", "Kafka, daftari ingest and daftari api, a process each; not sealed meanwhile");
    report.setting("postgres", "fsync, full_page_writes, synchronous_commit on; shared_buffers 1 GB");

    let url = store::test_database(&stage.postgres.url("postgres")).await?;
    let key_file = stage.folder.path().join("wrapping.key");
    crate::keys::write_secret(&key_file, &hex::encode(WRAPPING_KEY))?;
    let (_, pool) = stage::prepare(&url, config.members).await?;
    pool.close().await;
    let brokers = kafka.brokers();
    ingest::ensure_topic(&brokers, EVENTS_TOPIC, PARTITIONS).await?;
    let key_file = key_file.to_str().context("a path in UTF-8")?;
    let books = ["--listen", "127.0.0.1:0", "--database-url", &url, "--wrapping-key-file", key_file];
    let mut api = Role::start(&[&["api"][..], &books].concat())?;
    let consumer = Role::start(&[&["ingest", "--kafka-brokers", &brokers][..], &books].concat())?;

    let (_place, places) = watch::channel(Place { life: 0, address: Some(api.address().await?) });
    let course = Arc::new(Course {
        publisher: Publisher::new(&brokers, EVENTS_TOPIC)?,
        places,
        idle: Mutex::default(),
        members: config.members,
        seed: config.seed,
    });
    // Once the first is posted the consumer has its partitions.
    let first = course.follow(0, Instant::now());
    tokio::time::timeout(PATIENCE, first).await.context("no event is posted")??;
    let (published, times) = steady(&course, config.duration.0).await?;
    report.figure("events_published", f64::from(published), "events, 500 a second");
    report.figure("publish_to_balance_p50_ms", times.at(0.5), "ms from when it was due to the balance");
    report.figure_at_most("publish_to_balance_p99_ms", times.at(0.99), "ms", 2000.0);
    report.figure("publish_to_balance_worst_ms", times.at(1.0), "ms");

    drop(course);
    consumer.drain().await?;
    api.drain().await?;
    report.figure("postings", check_books(&url).await?.leaves as f64, "postings, checked afterwards");
    tokio::task::spawn_blocking(move || kafka.stop()).await??;
    stage.stop().await?;
    Ok(report)
}

/// Publishes for so long at the rate, and follows each event to its balance; gives how many there were.
async fn steady(course: &Arc<Course>, duration: Duration) -> anyhow::Result<(u32, Times)> {
    let events = (RATE * duration.as_secs_f64()) as u32;
    ensure!(0 < events, "--duration is too short for one event");
    let (started, mut following) = (Instant::now(), JoinSet::new());
    for number in 1..=events {
        let due = started + Duration::from_secs_f64(f64::from(number) / RATE);
        tokio::time::sleep_until(due.into()).await;
        let course = Arc::clone(course);
        following.spawn(async move { course.follow(number, due).await });
    }
    let all = async {
        let mut times = Times::default();
        while let Some(done) = following.join_next().await {
            times.took(done??.as_secs_f64() * 1000.0);
        }
        anyhow::Ok(times)
    };
    let times = tokio::time::timeout(PATIENCE, all).await.context("not all events are posted")??;
    Ok((events, times))
}

/// What the ways of all events have in common.
struct Course {
    publisher: Publisher,
    places: watch::Receiver<Place>,
    /// Whoever asks for no balance just now.
    idle: Mutex<Vec<Caller>>,
    members: u32,
    seed: u64,
}

impl Course {
    /// Publishes the event of this number and waits until the balance has it; gives how long that took from when it was due.
    async fn follow(&self, number: u32, due: Instant) -> anyhow::Result<Duration> {
        let who = number % self.members;
        let event = grant(member(who), 1, format!("published-{}-{number}", self.seed));
        self.publisher.send(&member(who).to_string(), event.as_bytes()).await?;
        // A member has one point by each event, and their turn comes every so many.
        let expected = GRANT + i64::from(number / self.members) + 1;
        let idle = self.idle().pop();
        let mut caller = idle.unwrap_or_else(|| Caller::new(self.places.clone()));
        while caller.balance(who).await? < expected {
            tokio::time::sleep(LOOK_GAP).await;
        }
        let took = due.elapsed();
        self.idle().push(caller);
        Ok(took)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Caller>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
