//! Sealing beside real books: rows to tiles, and the time from a commit to the checkpoint that covers it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anchor_worker::{LogKey, Sealed, Sealer, Witnesses};
use anyhow::{Context, ensure};
use auditor::Witness;
use devstack::{Postgres, PostgresConfig};
use ledger::{Command, Earning, Event, Item, Points, Request};
use proof::{Checkpoint, Cosigner, Details, Policy, SignedNote};
use store::{Committer, Keyring, PgPool, ProgramSpec};
use tiles::TileStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bench::report::Report;
use crate::signals::now_s;

const ORIGIN: &str = "daftari.local/bench-books";
const KEY: [u8; 32] = [7; 32];
/// Sealed in one go.
const BACKLOG: u64 = 60_000;
/// How many requests wait at once.
const WAITING: usize = 1000;
const MEMBERS: u64 = 10_000;
/// How many postings a second a checkpoint is awaited for.
const RATE: f64 = 10_000.0;

pub(super) struct Books {
    postgres: Postgres,
    pub(super) url: String,
    pool: PgPool,
    home: PathBuf,
    committer: Committer,
    committing: JoinHandle<()>,
    program_id: i16,
}

impl Books {
    pub(super) async fn start(home: &Path) -> anyhow::Result<Self> {
        let mut server = PostgresConfig::new(home.join("postgres"));
        server.settings = [("shared_buffers", "1GB"), ("max_wal_size", "4GB")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let postgres = tokio::task::spawn_blocking(move || Postgres::start(&server)).await??;
        let url = store::test_database(&postgres.url("postgres")).await?;
        let pool = store::connect(&url, 8).await?;
        let log = LogKey::open(&home.join("log.key"), ORIGIN)?.log();
        let spec = ProgramSpec {
            name: "default".to_owned(),
            enrols: true,
            point_value: "0.10".to_owned(),
            currency: "KES".to_owned(),
            rule_set: br#"{"rates":{"grant":"1"}}"#.to_vec(),
        };
        let mut conn = pool.acquire().await?;
        store::ensure_log(&mut conn, &log).await?;
        let program_id = store::ensure_program(&mut conn, &Keyring::new(&KEY), &spec).await?.program_id;
        drop(conn);
        let (committer, committing) = Committer::start(pool.clone(), &log, Keyring::new(&KEY)).await?;
        Ok(Self { postgres, url, pool, home: home.to_owned(), committer, committing, program_id })
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        drop(self.committer);
        self.committing.await?;
        self.pool.close().await;
        Ok(tokio::task::spawn_blocking(move || self.postgres.stop()).await??)
    }

    fn sealer(&self) -> anyhow::Result<(Sealer, Arc<TileStore>)> {
        let store = Arc::new(TileStore::open(self.home.join("books"))?);
        let key = LogKey::open(&self.home.join("log.key"), ORIGIN)?;
        Ok((Sealer::new(self.pool.clone(), Arc::clone(&store), key), store))
    }

    /// The rate from rows to synced tiles, beside the rate at which the ledger made the rows.
    pub(super) async fn seal_backlog(&self, report: &mut Report) -> anyhow::Result<()> {
        let begun = Instant::now();
        for first in (0..BACKLOG).step_by(WAITING) {
            let grants = (first..first + WAITING as u64).map(|it| self.committer.submit(self.grant(it)));
            for answer in futures::future::join_all(grants).await {
                answer?;
            }
        }
        let posted = BACKLOG as f64 / begun.elapsed().as_secs_f64();
        let (mut sealer, _) = self.sealer()?;
        let (begun, mut sealed) = (Instant::now(), 0);
        while let Sealed::Checkpoint { size } = sealer.seal().await? {
            sealed = size;
        }
        let rate = sealed as f64 / begun.elapsed().as_secs_f64();
        report.figure("ledger_rows_per_s", posted, "postings/s, earned in process");
        report.figure_at_least("seal_rows_per_s", rate, "leaves/s, from rows to synced tiles", 40_000.0);
        report.figure_at_least("seal_rows_vs_ledger", rate / posted, "× the ledger's own rate", 1.5);
        Ok(())
    }

    /// Posts [`RATE`] a second, or as many as the ledger takes, while the log is sealed, with so many witnesses.
    pub(super) async fn commit_to_checkpoint(
        &self,
        report: &mut Report,
        duration: Duration,
        witnesses: usize,
    ) -> anyhow::Result<()> {
        let (mut sealer, store) = self.sealer()?;
        if witnesses != 0 {
            sealer = sealer.with_witnesses(self.witnesses(witnesses).await?);
        }
        let stop = CancellationToken::new();
        let (sealing, told) = (stop.clone(), stop.clone());
        let sealing = tokio::spawn(async move {
            while !sealing.is_cancelled() {
                sealer.seal().await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            sealer.seal().await
        });
        let (committed, mut waiting) = tokio::sync::mpsc::unbounded_channel::<(u64, Instant)>();
        let watching = tokio::spawn(async move {
            let (mut open, mut latencies_ms) = (VecDeque::new(), Vec::new());
            let mut is_over = false;
            while !(is_over && open.is_empty()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                while let Ok(one) = waiting.try_recv() {
                    open.push_back(one);
                }
                is_over = told.is_cancelled() && waiting.is_empty();
                let reading = Arc::clone(&store);
                let note = tokio::task::spawn_blocking(move || reading.checkpoint()).await??;
                let size = note.map(|it| size_of(&it)).transpose()?.unwrap_or(0);
                let now = Instant::now();
                open.retain(|(leaf_index, at): &(u64, Instant)| {
                    if *leaf_index < size {
                        latencies_ms.push(now.duration_since(*at).as_secs_f64() * 1000.0);
                    }
                    size <= *leaf_index
                });
            }
            anyhow::Ok(latencies_ms)
        });
        let (begun, mut posted) = (Instant::now(), 0_u64);
        while begun.elapsed() < duration {
            // A thousand at once is a tenth of a second's worth.
            let due = Duration::from_secs_f64(posted as f64 / RATE);
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
            let grants = (0..WAITING as u64).map(|_| self.committer.submit(self.grant(posted)));
            for answer in futures::future::join_all(grants).await {
                let accepted = answer?.outcome.ok().and_then(|it| it.into_iter().next());
                let leaf_index = accepted.context("a grant was refused")?.leaf_index;
                committed.send((leaf_index, Instant::now()))?;
                posted += 1;
            }
        }
        let rate = posted as f64 / begun.elapsed().as_secs_f64();
        stop.cancel();
        let mut latencies_ms = watching.await??;
        sealing.await??;
        ensure!(latencies_ms.len() as u64 == posted, "every posting was sealed");
        latencies_ms.sort_by(f64::total_cmp);
        let p99 = latencies_ms[(latencies_ms.len() - 1) * 99 / 100];
        let (name, goal) = match witnesses {
            0 => ("commit_to_checkpoint_p99_ms", 800.0),
            _ => ("commit_to_checkpoint_witnessed_p99_ms", 2000.0),
        };
        report.figure_at_most(name, p99, "ms, at 10,000 postings/s or as many as the ledger takes", goal);
        report.figure(&format!("{name}_at_rate"), rate, "postings/s meanwhile");
        Ok(())
    }

    async fn witnesses(&self, count: usize) -> anyhow::Result<Witnesses> {
        let key = LogKey::open(&self.home.join("log.key"), ORIGIN)?.verifier_key();
        let (mut text, mut names) = (format!("log {}\n", key.encode()), String::new());
        for number in 0..count {
            let name = format!("w{number}");
            let cosigner = Cosigner::new(&name, &[number as u8 + 1; 32])?;
            let vkey = cosigner.verifier_key().encode();
            let folder = self.home.join(&name);
            let witness = Witness::open(cosigner, &Policy::of_log(key.clone()), folder, Arc::new(now_s))?;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            text.push_str(&format!("witness {name} {vkey} http://{}\n", listener.local_addr()?));
            names.push_str(&format!(" {name}"));
            tokio::spawn(async move { axum::serve(listener, Arc::new(witness).router()).await });
        }
        text.push_str(&format!("group all all{names}\nquorum all\n"));
        Ok(Witnesses::new(Policy::parse(&text)?, Duration::from_secs(1))?)
    }

    fn grant(&self, number: u64) -> Request {
        let member = crate::load::member((number % MEMBERS) as u32);
        let id = Uuid::now_v7();
        let payload = crate::load::grant(member, 5, id);
        let event = Event::parse(payload.as_bytes()).expect("the benchmark's own event is well formed");
        let points = Points::new(5).expect("five points are within the limit");
        let earning = Earning { points, remainder: Default::default(), rule_set_hash: [1; 32] };
        let key = event.id.clone();
        let command = Command::earn(earning, event, payload.into_bytes());
        let item = Item { posting_id: id, command, details: Details::default() };
        Request::one(self.program_id, "event:events".to_owned(), key, item)
    }
}

fn size_of(note: &str) -> anyhow::Result<u64> {
    Ok(Checkpoint::parse(&SignedNote::parse(note)?.text)?.size)
}
