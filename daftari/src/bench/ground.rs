//! What a benchmark plays on: a folder with keys, and books with a program, a partner and a credential.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anchor_worker::LogKey;
use anyhow::{Context, ensure};
use devstack::{Postgres, PostgresConfig};
use proof::{Checkpoint, SignedNote, verify_consistency};
use store::{BooksReport, Credential, CredentialKind, Keyring, LogIdentity, PgPool, Program, ProgramSpec};
use tiles::TileStore;

use super::role::Role;

pub(super) const PARTNER: &str = "bench";
/// The benchmark's own credential. Its books live as long as the benchmark does.
pub(super) const API_KEY: &str = "lk_test_benchbenchbenchbenchbenchbenchbeJfmB80";
pub(super) const WRAPPING_KEY: [u8; 32] = [7; 32];
/// Events of the type `grant` earn what they say.
pub(super) const RULE_SET: &[u8] = br#"{"rates":{"grant":"1"}}"#;
/// The database that every PostgreSQL begins with.
pub(super) const DATABASE: &str = "postgres";
const ORIGIN: &str = "daftari.local/bench";

/// Longer than any start or recovery takes, also on a machine that does much else.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
pub(super) const POLL: Duration = Duration::from_millis(20);

/// A folder with the keys of some books, and where their log is published.
pub(super) struct Ground {
    folder: PathBuf,
    key: LogKey,
}

impl Ground {
    /// Makes the keys in this folder.
    pub(super) fn set(folder: &Path) -> anyhow::Result<Self> {
        crate::keys::write_secret(&folder.join("wrapping.key"), &hex::encode(WRAPPING_KEY))?;
        let key = LogKey::open(&folder.join("log.key"), ORIGIN)?;
        std::fs::write(folder.join("policy.txt"), format!("log {}\n", key.verifier_key().encode()))?;
        Ok(Self { folder: folder.to_owned(), key })
    }

    /// Begins the books in an empty database; gives their program.
    pub(super) async fn begin_books(&self, url: &str) -> anyhow::Result<i16> {
        let pool = store::connect(url, 2).await?;
        store::migrate(&pool).await?;
        store::ensure_log(&mut *pool.acquire().await?, &self.key.log()).await?;
        let program = provision(&pool).await?;
        pool.close().await;
        Ok(program.program_id)
    }

    /// Starts `daftari api` on these books, on a free port.
    pub(super) fn start_api(&self, url: &str) -> anyhow::Result<Role> {
        let wrapping_key = self.path("wrapping.key");
        Role::start(&[
            "api",
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            url,
            "--wrapping-key-file",
            &wrapping_key,
        ])
    }

    /// The same, holding the database against what is published.
    pub(super) fn start_guarded_api(&self, url: &str) -> anyhow::Result<Role> {
        let [wrapping_key, tiles, policy] = ["wrapping.key", "tiles", "policy.txt"].map(|it| self.path(it));
        let mut words = vec!["api", "--listen", "127.0.0.1:0", "--database-url", url];
        words.extend(["--wrapping-key-file", &wrapping_key, "--published-log", &tiles]);
        words.extend(["--log-policy-file", &policy]);
        Role::start(&words)
    }

    /// Starts `daftari anchor` on these books, which seals them and anchors nowhere.
    pub(super) fn start_sealer(&self, url: &str) -> anyhow::Result<Role> {
        self.start_worker(url, "127.0.0.1:0", &[])
    }

    /// The same, told where to answer and where to anchor.
    pub(super) fn start_worker(&self, url: &str, listen: &str, chain: &[&str]) -> anyhow::Result<Role> {
        let [log_key, tiles] = ["log.key", "tiles"].map(|it| self.path(it));
        let mut words = vec!["anchor", "--listen", listen, "--database-url", url, "--origin", ORIGIN];
        words.extend(["--log-key-file", &log_key, "--tile-dir", &tiles]);
        words.extend(chain);
        Role::start(&words)
    }

    /// The log that is sealed here.
    pub(super) fn log(&self) -> LogIdentity {
        self.key.log()
    }

    /// The published checkpoint, if there is one.
    pub(super) fn published(&self) -> anyhow::Result<Option<Checkpoint>> {
        let Ok(note) = std::fs::read_to_string(self.path("tiles/checkpoint")) else { return Ok(None) };
        let note = SignedNote::parse(&note).map_err(|error| anyhow::anyhow!(error.0))?;
        Checkpoint::parse(&note.text).map(Some).map_err(|error| anyhow::anyhow!(error.0))
    }

    /// Waits until this many leaves are published.
    pub(super) async fn published_with(&self, size: u64) -> anyhow::Result<Checkpoint> {
        let published = async {
            loop {
                match self.published()? {
                    Some(checkpoint) if size <= checkpoint.size => return anyhow::Ok(checkpoint),
                    _ => tokio::time::sleep(POLL).await,
                }
            }
        };
        let published = tokio::time::timeout(PATIENCE, published).await;
        published.with_context(|| format!("{size} leaves are not sealed within {PATIENCE:?}"))?
    }

    /// Demands that what is published now extends what was published before.
    pub(super) fn ensure_extends(&self, before: &Checkpoint, now: &Checkpoint) -> anyhow::Result<()> {
        ensure!(before.size <= now.size, "{} leaves were published, and now {}", before.size, now.size);
        let proof = TileStore::view(self.path("tiles")).consistency_proof(before.size, now.size)?;
        let extends = verify_consistency(before.size, &before.root, now.size, &now.root, &proof);
        ensure!(extends, "{} leaves were published that are not in the log now", before.size);
        Ok(())
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// A PostgreSQL that may be killed for good: its shared memory goes with its folder, where the usual kind would stay.
pub(super) fn mortal_postgres(folder: PathBuf) -> PostgresConfig {
    let settings = vec![("dynamic_shared_memory_type".to_owned(), "mmap".to_owned())];
    PostgresConfig { settings, ..PostgresConfig::new(folder) }
}

/// Starts a PostgreSQL, which blocks.
pub(super) async fn start_postgres(settings: &PostgresConfig) -> anyhow::Result<Postgres> {
    let settings = settings.clone();
    Ok(tokio::task::spawn_blocking(move || Postgres::start(&settings)).await??)
}

/// How many leaves the log has.
pub(super) async fn log_size(url: &str) -> anyhow::Result<u64> {
    let pool = store::connect(url, 1).await?;
    let size = store::log_size(&mut *pool.acquire().await?).await?;
    pool.close().await;
    Ok(size)
}

/// Recomputes the books and opens every posting.
pub(super) async fn check_books(url: &str) -> anyhow::Result<BooksReport> {
    let pool = store::connect(url, 1).await?;
    let report = store::check_books_opened(&mut *pool.acquire().await?, &Keyring::new(&WRAPPING_KEY)).await;
    pool.close().await;
    Ok(report?)
}

/// Makes a program, its partner and a credential for everything that a benchmark asks.
pub(super) async fn provision(pool: &PgPool) -> anyhow::Result<Program> {
    let keyring = Keyring::new(&WRAPPING_KEY);
    let mut conn = pool.acquire().await?;
    let spec = ProgramSpec {
        name: "default".to_owned(),
        enrols: true,
        point_value: "0.10".to_owned(),
        currency: "KES".to_owned(),
        rule_set: RULE_SET.to_vec(),
    };
    let program = store::ensure_program(&mut conn, &keyring, &spec).await?;
    store::ensure_partner(&mut conn, &keyring, program.program_id, PARTNER).await?;
    let credential = Credential {
        program_id: program.program_id,
        owner: PARTNER.to_owned(),
        scopes: ["loyalty:read", "loyalty:redeem", "loyalty:earn"].map(str::to_owned).to_vec(),
        partner_id: Some(PARTNER.to_owned()),
        delegated: true,
    };
    store::ensure_credential(&mut conn, &keyring, CredentialKind::ApiKey, API_KEY, &credential).await?;
    Ok(program)
}
