use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger::{Command, Earning, Event, Item, Points, Request};
use proof::{Checkpoint, Details, LEAF_BYTES, Leaf, SignedNote};
use store::{Committer, Keyring, LogIdentity, PgPool, Program, ProgramSpec};
use tempfile::TempDir;
use tiles::{Edge, TileStore, stored_form};
use uuid::Uuid;

use crate::{LogKey, LogKeys, Sealed, Sealer};

pub(super) const ORIGIN: &str = "daftari.example/test";

async fn database() -> String {
    let server = tokio::task::spawn_blocking(devstack::test_postgres_url).await.unwrap().unwrap();
    store::test_database(&server).await.unwrap()
}

/// A log on a database and a folder of its own, with a committer to grow it.
pub(super) struct Fixture {
    pub(super) home: TempDir,
    pub(super) pool: PgPool,
    pub(super) log: LogIdentity,
    pub(super) folder: Arc<TileStore>,
    pub(super) url: String,
    pub(super) committer: Committer,
    pub(super) program: Program,
    posted: AtomicU64,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::on(database().await).await
    }

    /// The same on this database.
    pub(super) async fn on(url: String) -> Self {
        let home = TempDir::new().unwrap();
        let log = LogKey::open(&home.path().join("log.key"), ORIGIN).unwrap().log();
        Self::at(home, log, url).await
    }

    /// The same for a log whose key is elsewhere.
    pub(super) async fn of(log: LogIdentity) -> Self {
        Self::at(TempDir::new().unwrap(), log, database().await).await
    }

    async fn at(home: TempDir, log: LogIdentity, url: String) -> Self {
        let pool = store::connect(&url, 8).await.unwrap();
        let mut conn = pool.acquire().await.unwrap();
        store::ensure_log(&mut conn, &log).await.unwrap();
        let spec = ProgramSpec {
            name: "test".to_owned(),
            enrols: true,
            point_value: "0.10".to_owned(),
            currency: "KES".to_owned(),
            rule_set: br#"{"rates":{"purchase":"1"}}"#.to_vec(),
        };
        let keyring = || Keyring::new(&[9; 32]);
        let program = store::ensure_program(&mut conn, &keyring(), &spec).await.unwrap();
        drop(conn);
        let (committer, _) = Committer::start(pool.clone(), &log, keyring()).await.unwrap();
        let folder = Arc::new(TileStore::open(home.path().join("log")).unwrap());
        Self { home, pool, log, folder, url, committer, program, posted: AtomicU64::new(0) }
    }

    /// Copies the database as it is now, as a backup does. Answers the copy's URL.
    pub(super) async fn backup(&mut self) -> String {
        let (place, words) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (_, name) = place.rsplit_once('/').unwrap();
        let statement = format!("create database {name}_copy template {name}");
        let copy = format!("{place}_copy?{words}");
        self.pool.close().await;
        let server = tokio::task::spawn_blocking(devstack::test_postgres_url).await.unwrap().unwrap();
        let pool = store::connect(&server, 1).await.unwrap();
        store::tamper(&mut pool.acquire().await.unwrap(), &statement).await.unwrap();
        self.reopen(self.url.clone()).await;
        copy
    }

    /// Goes on with this database.
    pub(super) async fn reopen(&mut self, url: String) {
        self.pool = store::connect(&url, 8).await.unwrap();
        self.committer =
            Committer::start(self.pool.clone(), &self.log, Keyring::new(&[9; 32])).await.unwrap().0;
        self.url = url;
    }

    pub(super) async fn check_books(&self) -> store::BooksReport {
        store::check_books(&mut self.pool.acquire().await.unwrap()).await.unwrap()
    }

    pub(super) fn key(&self) -> LogKey {
        LogKey::open(&self.home.path().join("log.key"), ORIGIN).unwrap()
    }

    pub(super) fn keys(&self) -> LogKeys {
        self.key().into()
    }

    /// A sealer as a new process would start it.
    pub(super) fn sealer(&self) -> Sealer {
        let folder = Arc::new(TileStore::open(self.home.path().join("log")).unwrap());
        Sealer::new(self.pool.clone(), folder, self.key())
    }

    /// Seals until nothing is new.
    pub(super) async fn seal_all(&self) {
        let mut sealer = self.sealer();
        while sealer.seal().await.unwrap() != Sealed::Nothing {}
    }

    /// Appends so many leaves.
    pub(super) async fn post(&self, count: u64) {
        let first = self.posted.fetch_add(count, Ordering::Relaxed);
        let submitted: Vec<_> = (first..first + count)
            .map(|number| {
                let (committer, request) = (self.committer.clone(), self.earn(number));
                tokio::spawn(async move { committer.submit(request).await.unwrap() })
            })
            .collect();
        for answer in submitted {
            assert!(answer.await.unwrap().outcome.is_ok());
        }
    }

    fn earn(&self, number: u64) -> Request {
        let payload = format!(
            r#"{{"user_id":"asha","type":"purchase","amount":5,"timestamp":"2026-01-15T10:00:00Z","event_id":"{number}"}}"#
        );
        let points = Points::new(5).unwrap();
        let earning = Earning { points, remainder: Default::default(), rule_set_hash: [7; 32] };
        let event = Event::parse(payload.as_bytes()).unwrap();
        let command = Command::earn(earning, event, payload.into_bytes());
        self.request("event:events", &number.to_string(), command)
    }

    pub(super) fn request(&self, source: &str, key: &str, command: Command) -> Request {
        let item = Item { posting_id: Uuid::now_v7(), command, details: Details::default() };
        Request::one(self.program.program_id, source.to_owned(), key.to_owned(), item)
    }

    /// The leaves that the database holds, as the log's bytes.
    pub(super) async fn leaf_bytes(&self) -> Vec<[u8; LEAF_BYTES]> {
        let stored = store::leaves(&mut self.pool.acquire().await.unwrap(), 0, 1 << 20).await.unwrap();
        let log_id = self.log.log_id;
        stored
            .iter()
            .map(|it| {
                let leaf_index = it.leaf_index;
                Leaf { kind: it.kind, log_id, leaf_index, commitment: it.commitment }.encode()
            })
            .collect()
    }

    /// Writes another leaf into the tiles, with everything above it. What was signed stays.
    pub(super) async fn rewrite_tiles(&self, leaf_index: usize) {
        let mut leaves = self.leaf_bytes().await;
        leaves[leaf_index][LEAF_BYTES - 1] ^= 1;
        let (_, tiles) = Edge::default().extended(&leaves);
        for (tile, bytes) in tiles {
            std::fs::write(self.home.path().join("log").join(tile.path()), stored_form(tile, &bytes))
                .unwrap();
        }
    }

    /// Everything that must stand in the folder after seals of these sizes, by path.
    pub(super) async fn expected(&self, sizes: &[u64]) -> BTreeMap<PathBuf, Vec<u8>> {
        let leaves = self.leaf_bytes().await;
        let mut files = BTreeMap::new();
        let mut edge = Edge::default();
        for size in sizes {
            let (after, tiles) = edge.extended(&leaves[edge.size() as usize..*size as usize]);
            for (tile, bytes) in tiles {
                files.insert(PathBuf::from(tile.path()), stored_form(tile, &bytes));
                if !tile.is_partial() {
                    // The full one takes the place of all partial ones.
                    files.retain(|it, _| !it.starts_with(format!("{}.p", tile.path())));
                }
            }
            edge = after;
        }
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: edge.size(), root: edge.root() };
        let keys = self.keys();
        let note = keys.sign(&checkpoint, &keys.history()).await.unwrap().unwrap().encode();
        files.insert(PathBuf::from("checkpoint"), note.into_bytes());
        files
    }

    /// Everything that does stand in the folder.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.home.path().join("log");
        let mut files = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for item in std::fs::read_dir(folder).unwrap() {
                let path = item.unwrap().path();
                let name = path.strip_prefix(&root).unwrap();
                if name.starts_with(".staging") || name == Path::new(".lock") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(name.to_owned(), std::fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    /// The published checkpoint.
    pub(super) fn published(&self) -> Option<Checkpoint> {
        let note = SignedNote::parse(&self.folder.checkpoint().unwrap()?).unwrap();
        Some(Checkpoint::parse(&note.text).unwrap())
    }

    /// Changes the database as its owner could.
    pub(super) async fn tamper(&self, statements: &str) {
        self.tampering(statements).await.unwrap();
    }

    /// Tries to.
    pub(super) async fn tampering(&self, statements: &str) -> Result<(), store::StoreError> {
        let statements =
            format!("set session_replication_role = replica; {statements}; reset session_replication_role");
        store::tamper(&mut self.pool.acquire().await.unwrap(), &statements).await
    }
}
