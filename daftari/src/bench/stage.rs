//! Where a benchmark of the books plays: a PostgreSQL of its own, a program with everything on, and its members.

use std::path::Path;

use devstack::{Postgres, PostgresConfig};
use ledger::{Command, Earning, Event, Item, Points, Request};
use proof::Details;
use store::{Committer, Keyring, LogIdentity, PgPool};
use uuid::Uuid;

use super::ground::{RULE_SET, WRAPPING_KEY, provision};
use crate::load::{grant, member};

pub(super) const TPCB_SCALE: u32 = 50;
pub(super) const TPCB_CLIENTS: u32 = 32;
/// What every member has to begin with.
pub(super) const GRANT: i64 = 1_000_000_000;

/// Lots that expire, limits of every kind, a floor: what a program may have, so that its price is in every figure.
const POLICY: &[u8] = br#"{
    "time_zone": "Africa/Nairobi",
    "expiry": {"after": {"months": 12, "end_of": "month"}},
    "earn": {"per_posting": 1000000000, "per_day": 2000000000, "per_month": 4000000000},
    "redeem": {
        "per_posting": 1000000, "per_day": 900000000, "per_month": 900000000,
        "per_merchant_day": 9000000000000000
    },
    "transfer": {"per_posting": 1000000, "per_day": 900000000, "per_month": 900000000},
    "floor": 1
}"#;

/// A PostgreSQL that keeps what it acknowledges, in a folder that goes with it.
pub(super) struct Stage {
    pub(super) folder: tempfile::TempDir,
    pub(super) postgres: Postgres,
}

impl Stage {
    pub(super) async fn start(root: &Path) -> anyhow::Result<Self> {
        Self::with_settings(root, &[]).await
    }

    /// The same with these settings of PostgreSQL besides, which win.
    pub(super) async fn with_settings(root: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(root.join(".cache"))?;
        let mut server = PostgresConfig::new(folder.path().join("postgres"));
        let ours = [
            ("shared_buffers", "1GB"),
            ("max_wal_size", "4GB"),
            ("min_wal_size", "4GB"),
            ("max_connections", "100"),
        ];
        let all = ours.iter().chain(settings);
        server.settings = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let postgres = tokio::task::spawn_blocking(move || Postgres::start(&server)).await??;
        Ok(Self { folder, postgres })
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        Ok(tokio::task::spawn_blocking(move || self.postgres.stop()).await??)
    }
}

/// The books of a benchmark.
#[derive(Clone)]
pub(super) struct Books {
    pub(super) program_id: i16,
    pub(super) log: LogIdentity,
    pub(super) rule_set_hash: proof::Hash,
}

/// A program with its partner, and members who have enough.
pub(super) async fn prepare(url: &str, members: u32) -> anyhow::Result<(Books, PgPool)> {
    let log = LogIdentity { log_id: [1; 32], origin: "daftari.local/bench".to_owned() };
    prepare_log(url, members, log).await
}

/// The same for a log that somebody seals.
pub(super) async fn prepare_log(
    url: &str,
    members: u32,
    log: LogIdentity,
) -> anyhow::Result<(Books, PgPool)> {
    let pool = store::connect(url, 8).await?;
    store::ensure_log(&mut *pool.acquire().await?, &log).await?;
    let program_id = provision(&pool).await?.program_id;
    store::add_policy(&mut *pool.acquire().await?, program_id, POLICY).await?;
    let books = Books { program_id, log, rule_set_hash: proof::rule_set_hash(RULE_SET) };
    let keyring = Keyring::new(&WRAPPING_KEY);
    let (committer, task) = Committer::start(pool.clone(), &books.log, keyring).await?;
    for chunk in (0..members).collect::<Vec<_>>().chunks(1000) {
        let grants = chunk.iter().map(|it| {
            let member = member(*it);
            committer.submit(books.earn(member, GRANT, &member.to_string()))
        });
        for answer in futures::future::join_all(grants).await {
            anyhow::ensure!(answer?.outcome.is_ok(), "a member could not be given points");
        }
    }
    drop(committer);
    task.await?;
    // A server in service writes its log into files that it uses again; a new one fills each with zeros first, while commits
    // wait. After a checkpoint there are old ones.
    store::tamper(&mut *pool.acquire().await?, "checkpoint").await?;
    Ok((books, pool))
}

impl Books {
    pub(super) fn earn(&self, member: Uuid, points: i64, key: &str) -> Request {
        let payload = grant(member, points, key);
        let event = Event::parse(payload.as_bytes()).expect("the benchmark's own event is well formed");
        let points = Points::new(points).expect("a benchmark's points are within the limit");
        let earning = Earning { points, remainder: Default::default(), rule_set_hash: self.rule_set_hash };
        self.request("event:events", key, Command::earn(earning, event, payload.into_bytes()))
    }

    pub(super) fn request(&self, source: &str, key: &str, command: Command) -> Request {
        let item = Item { posting_id: Uuid::now_v7(), command, details: Details::default() };
        Request::one(self.program_id, source.to_owned(), key.to_owned(), item)
    }
}
