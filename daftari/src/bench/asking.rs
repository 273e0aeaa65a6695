//! Callers in the committer's own process: what the ledger does by itself, without HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ledger::{Command, MemberRef, Points, Request};
use store::{Answer, Committer, SubmitError};
use uuid::Uuid;

use super::ground::PARTNER;
use super::report::Times;
use super::stage::Books;
use crate::load::{Random, member};

/// How many callers ask at once, each awaiting its answer before it asks again.
pub(super) const CALLERS: u64 = 256;

/// How often the same is asked again where nobody knows what became of it.
const TRIES_MAX: u32 = 10;

/// What they ask for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mix {
    Redeem,
    Transfer,
    Earn,
    HoldCapture,
}

/// Whom they ask about.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Spread {
    /// Everyone alike.
    Uniform,
    /// The n-th member n times less than the first.
    Zipf,
    /// All about one.
    One,
}

/// The callers of one committer, and what they have in common.
pub(super) struct Callers {
    pub(super) books: Books,
    pub(super) committer: Committer,
    pub(super) members: u32,
    pub(super) seed: u64,
    /// What the next key is made of.
    next: Arc<AtomicU64>,
}

impl Callers {
    pub(super) fn new(books: Books, committer: Committer, members: u32, seed: u64) -> Self {
        Self { books, committer, members, seed, next: Arc::default() }
    }

    /// The same callers with another committer.
    pub(super) fn with(&self, committer: Committer) -> Self {
        let Self { books, members, seed, next, .. } = self;
        Self { books: books.clone(), committer, members: *members, seed: *seed, next: next.clone() }
    }

    /// How many requests there have been.
    pub(super) fn asked(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Requests that were posted, per second; a hold and its capture count as one.
    pub(super) async fn run(
        &self,
        callers: u64,
        mix: Mix,
        spread: Spread,
        duration: Duration,
    ) -> anyhow::Result<f64> {
        let started = Instant::now();
        let end = started + duration;
        let tasks: Vec<_> =
            (0..callers).map(|it| tokio::spawn(self.caller(it, spread).ask_until(end, mix))).collect();
        let mut done = 0;
        for task in tasks {
            done += task.await??;
        }
        Ok(done as f64 / started.elapsed().as_secs_f64())
    }

    /// Redemptions at a fixed rate, whatever the answers take. Latency counts from when a request was due to be sent.
    pub(super) async fn open_loop(&self, rate: f64, duration: Duration) -> anyhow::Result<Times> {
        let latencies = Arc::new(Mutex::new(Times::default()));
        let mut caller = self.caller(1 << 32, Spread::Uniform);
        let (started, mut sent) = (Instant::now(), 0_u64);
        let mut tasks = tokio::task::JoinSet::new();
        while started.elapsed() < duration {
            let due = (started.elapsed().as_secs_f64() * rate) as u64;
            while sent < due {
                let at = started + Duration::from_secs_f64(sent as f64 / rate);
                let command = caller.command(Mix::Redeem);
                let request = caller.keyed(command);
                let (committer, latencies) = (self.committer.clone(), latencies.clone());
                tasks.spawn(async move {
                    let answer = committer.submit(request).await?;
                    ensure!(answer.outcome.is_ok(), "a request was refused");
                    latencies.lock().expect("nobody panics with it").since(at);
                    Ok(())
                });
                sent += 1;
            }
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let latencies = std::mem::take(&mut *latencies.lock().expect("nobody panics with it"));
        Ok(latencies)
    }

    fn caller(&self, number: u64, spread: Spread) -> Caller {
        Caller {
            books: self.books.clone(),
            committer: self.committer.clone(),
            next: self.next.clone(),
            picker: self.picker(number, spread),
        }
    }

    /// Who is asked about next, by the caller of this number.
    pub(super) fn picker(&self, number: u64, spread: Spread) -> Picker {
        let random = Random(self.seed.wrapping_mul(31).wrapping_add(number + 1));
        Picker { members: u64::from(self.members), spread, random }
    }
}

/// Picks members, seeded.
pub(super) struct Picker {
    members: u64,
    spread: Spread,
    random: Random,
}

impl Picker {
    fn number(&mut self) -> u64 {
        match self.spread {
            Spread::Uniform => self.random.next() % self.members,
            Spread::Zipf => {
                let share = self.random.next() as f64 / u64::MAX as f64;
                (((self.members + 1) as f64).powf(share) as u64 - 1).min(self.members - 1)
            }
            Spread::One => 0,
        }
    }

    pub(super) fn member(&mut self) -> MemberRef {
        MemberRef::Id(member(self.number() as u32))
    }
}

struct Caller {
    books: Books,
    committer: Committer,
    next: Arc<AtomicU64>,
    picker: Picker,
}

impl Caller {
    async fn ask_until(mut self, end: Instant, mix: Mix) -> anyhow::Result<u64> {
        let mut done = 0;
        while Instant::now() < end {
            let command = self.command(mix);
            let posted = self.ask(command).await?;
            if mix == Mix::HoldCapture {
                self.ask(Command::Capture { hold: posted, points: None, keep_rest: false }).await?;
            }
            done += 1;
        }
        Ok(done)
    }

    fn command(&mut self, mix: Mix) -> Command {
        let points = Points::new(1).expect("a point is points");
        let partner = Some(PARTNER.to_owned());
        match mix {
            Mix::Redeem => Command::Redeem { member: self.picker.member(), points, partner, up_to: false },
            Mix::Transfer => {
                let members = self.picker.members;
                let from = self.picker.number();
                let to = (from + 1 + self.picker.random.next() % (members - 1)) % members;
                let name = |it| MemberRef::Id(member(it as u32));
                Command::Transfer { from: name(from), to: name(to), points }
            }
            Mix::Earn => {
                let who = member(self.picker.number() as u32);
                self.books.earn(who, 5, &self.key()).items.remove(0).command
            }
            Mix::HoldCapture => {
                Command::Hold { member: self.picker.member(), points, partner, seconds: None }
            }
        }
    }

    /// A key that was not used before; like a caller's own, it has no order.
    fn key(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u64_pair(Random(number).next(), number).to_string()
    }

    /// A request under such a key; an event's is its id.
    fn keyed(&self, command: Command) -> Request {
        let (source, key) = match &command {
            Command::Earn { event, .. } => ("event:events", event.id.clone()),
            _ => ("credential:bench", self.key()),
        };
        self.books.request(source, &key, command)
    }

    async fn ask(&mut self, command: Command) -> anyhow::Result<Uuid> {
        let request = self.keyed(command);
        let mut tries = 0;
        let answer: Answer = loop {
            match self.committer.submit(request.clone()).await {
                // Whoever is told so asks again, and is told then.
                Err(SubmitError::Unknown) if tries < TRIES_MAX => tries += 1,
                told => break told?,
            }
        };
        let items = answer.outcome.map_err(|refused| refused.refusal).context("a request was refused")?;
        ensure!(0 < tries || !answer.replayed, "a key came twice");
        Ok(items[0].posting_id)
    }
}
