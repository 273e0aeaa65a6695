//! Load for a benchmark, from a process of its own: connections that each ask again as soon as they are answered, or at a
//! fixed rate whatever the answers take.

mod ask;
mod client;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

pub(crate) use self::ask::Ask;
use self::ask::Asker;
pub(crate) use self::client::{Client, credential, written};
use crate::config::Load;

/// An answer that takes longer is a slow one.
const SLOW: Duration = Duration::from_millis(100);

/// What a run of load came to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LoadReport {
    pub(crate) seconds: f64,
    /// How long after the beginning the last answer came that was slow, or none.
    pub(crate) unsettled_s: f64,
    pub(crate) asked: BTreeMap<Ask, Tally>,
    /// The first answer that was neither a success nor 503.
    pub(crate) first_failure: Option<String>,
}

/// What was answered to one kind of request.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Requests answered with success.
    pub(crate) succeeded: u64,
    /// Of these, how many were told that nothing is new.
    pub(crate) unmodified: u64,
    /// Requests answered 503: ask again.
    pub(crate) unavailable: u64,
    /// Requests answered with another error of the server's.
    pub(crate) broken: u64,
    /// Requests answered otherwise.
    pub(crate) failed: u64,
    pub(crate) p50_us: u32,
    pub(crate) p95_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) worst_us: u32,
}

/// Member `n` of a benchmark.
pub(crate) fn member(n: u32) -> Uuid {
    Uuid::from_u128(0x00dafa00_0000_4000_8000_000000000000 + u128::from(n))
}

/// An event that earns a member so many points.
pub(crate) fn grant(member: Uuid, points: i64, event_id: impl Display) -> String {
    format!(
        r#"{{"user_id":"{member}","type":"grant","amount":{points},"timestamp":"2026-01-01T00:00:00Z","event_id":"{event_id}"}}"#
    )
}

/// Asks for as long as it is told to, and prints the report as JSON.
pub(crate) async fn run(config: Load) -> anyhow::Result<()> {
    let started = Instant::now();
    let ends = started + config.duration.0;
    let due = config.rate.map(|rate| Arc::new(Mutex::new(due_at(rate, ends))));
    let mut tasks = Vec::new();
    for connection in 0..config.connections {
        let (asker, due) = (Asker::connect(&config, connection).await?, due.clone());
        tasks.push(tokio::spawn(ask_until(asker, due, ends)));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await??);
    }
    println!("{}", serde_json::to_string(&tell(answers, started)?)?);
    Ok(())
}

/// Instants at this rate. A thread of its own keeps them: the runtime's timer is no finer than a millisecond.
fn due_at(rate: f64, ends: Instant) -> mpsc::UnboundedReceiver<Instant> {
    let (tell, due) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let started = Instant::now();
        for number in 0_u64.. {
            let at = started + Duration::from_secs_f64(number as f64 / rate);
            if ends <= at {
                return;
            }
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if tell.send(at).is_err() {
                return;
            }
        }
    });
    due
}

struct Answered {
    ask: Ask,
    status: u16,
    took: Duration,
    at: Instant,
    failure: Option<String>,
}

async fn ask_until(
    mut asker: Asker,
    due: Option<Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>>,
    ends: Instant,
) -> anyhow::Result<Vec<Answered>> {
    let mut answers = Vec::new();
    while Instant::now() < ends {
        // Where there is a rate, time counts from when the request was due, also if no connection was free then.
        let from = match &due {
            Some(due) => match due.lock().await.recv().await {
                Some(at) => at,
                None => break,
            },
            None => Instant::now(),
        };
        let (ask, status) = asker.ask().await?;
        let at = Instant::now();
        let failure = (400 <= status && status != 503).then(|| asker.said());
        answers.push(Answered { ask, status, took: at - from, at, failure });
    }
    Ok(answers)
}

fn tell(mut answers: Vec<Answered>, started: Instant) -> anyhow::Result<LoadReport> {
    let seconds = started.elapsed().as_secs_f64();
    ensure!(!answers.is_empty(), "no request was answered");
    answers.sort_unstable_by_key(|it| it.took);
    let unsettled = answers.iter().filter(|it| SLOW < it.took || 400 <= it.status).map(|it| it.at).max();
    let mut asked: BTreeMap<Ask, (Tally, Vec<u32>)> = BTreeMap::new();
    for it in &answers {
        let (tally, latencies) = asked.entry(it.ask).or_default();
        match it.status {
            200..400 => {
                tally.succeeded += 1;
                tally.unmodified += u64::from(it.status == 304);
                latencies.push(u32::try_from(it.took.as_micros()).unwrap_or(u32::MAX));
            }
            503 => tally.unavailable += 1,
            500.. => tally.broken += 1,
            _ => tally.failed += 1,
        }
    }
    let asked = asked.into_iter().map(|(ask, (tally, latencies))| {
        let at = |share: f64| {
            let last = latencies.len().saturating_sub(1) as f64;
            latencies.get((last * share) as usize).copied().unwrap_or_default()
        };
        (ask, Tally { p50_us: at(0.5), p95_us: at(0.95), p99_us: at(0.99), worst_us: at(1.0), ..tally })
    });
    Ok(LoadReport {
        seconds,
        unsettled_s: unsettled.map_or(0.0, |it| (it - started).as_secs_f64()),
        asked: asked.collect(),
        first_failure: answers.iter().find_map(|it| it.failure.clone()),
    })
}

impl LoadReport {
    /// What was answered to this kind of request, where nothing was asked for in vain.
    pub(crate) fn of(&self, ask: Ask) -> anyhow::Result<&Tally> {
        let bad = self.asked.values().map(|it| it.failed + it.broken + it.unavailable).sum::<u64>();
        let first = self.first_failure.as_deref().unwrap_or_default();
        ensure!(bad == 0, "{bad} requests failed, one of them with {first}");
        self.asked.get(&ask).ok_or_else(|| anyhow::anyhow!("nobody asked for {ask:?}"))
    }
}

/// SplitMix64: enough randomness to spread load, the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
