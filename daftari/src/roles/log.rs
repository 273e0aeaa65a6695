//! `daftari log`: what the log says of itself.

mod mend;
mod rotate;

use std::sync::Arc;
use std::time::Duration;

use anchor_worker::MadeMap;
use anyhow::{Context, ensure};
use proof::{Body, Text, verify_checkpoint};
use store::{Ask, Guard, Keyring, LogIdentity, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::config::{Adopt, LogAct, MakeMap, Succeed, Tiles};
use crate::keys;
use crate::roles::{OpenBooks, guard, trust};
use crate::signals;

pub(crate) async fn run(act: LogAct) -> anyhow::Result<()> {
    match act {
        LogAct::Map(config) => map(config).await,
        LogAct::Adopt(config) => adopt(config).await,
        LogAct::Mend(config) => mend::mend(config).await,
        LogAct::Rotate(config) => rotate::rotate(config).await,
        LogAct::Succeed(config) => succeed(config).await,
    }
}

async fn map(config: MakeMap) -> anyhow::Result<()> {
    let books = OpenBooks::open(&config.database).await?;
    let guard = guard::guard(&config.database.outside, &books.log)?;
    let (pool, keyring) = (books.pool.clone(), books.keyring()?);
    let mapping = Mapping { pool, keyring, log: books.log, tiles: config.tiles, guard };
    match config.every {
        None => println!("{}", told(mapping.make().await?)),
        Some(every) => {
            guard::warn_unguarded(&config.database.outside);
            let first = mapping.due_in(every.0).await?;
            mapping.keep_making(first, every.0, signals::stop_on_signal()?).await;
        }
    }
    Ok(())
}

fn told(made: Option<MadeMap>) -> String {
    match made {
        Some(MadeMap { leaf_index, log_size, accounts, root }) => format!(
            "Leaf {leaf_index} commits to the map of {accounts} accounts at {log_size} leaves; its root is {}.",
            hex::encode(root)
        ),
        None => "Nothing was posted since the last map.".to_owned(),
    }
}

/// Makes account maps.
pub(crate) struct Mapping {
    pub(crate) pool: PgPool,
    pub(crate) keyring: Keyring,
    pub(crate) log: LogIdentity,
    pub(crate) tiles: Tiles,
    pub(crate) guard: Guard,
}

impl Mapping {
    /// Makes one, where something was posted since the last.
    async fn make(&self) -> anyhow::Result<Option<MadeMap>> {
        let conn = &mut *self.pool.acquire().await?;
        if !self.guard.check(conn).await? {
            anyhow::bail!("{}", self.guard.halted().unwrap_or_default());
        }
        self.check_place(conn).await?;
        let tiles = Arc::new(self.tiles.open()?);
        Ok(anchor_worker::make_map(conn, &self.keyring, &self.log, &tiles).await?)
    }

    /// A map's leaf stands for ever, and its parts are looked for where the log is: nothing is written anywhere else, and a
    /// folder that is not there is not made.
    async fn check_place(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let tiles = Arc::new(self.tiles.view()?);
        let is_there = anchor_worker::published_in(conn, &tiles).await?.is_some();
        ensure!(
            is_there || store::latest_checkpoint(conn).await?.is_some(),
            "nothing of this log was published yet: `daftari anchor` publishes it first"
        );
        ensure!(
            is_there,
            "{} does not hold what is published of this log: give the folder or the bucket that `daftari anchor` \
             publishes to. Nothing was written",
            self.tiles.place()
        );
        Ok(())
    }

    /// How long it is until the next one is due, whichever process has made the last.
    async fn due_in(&self, every: Duration) -> anyhow::Result<Duration> {
        let conn = &mut *self.pool.acquire().await?;
        Ok(anchor_worker::map_due_in(conn, &self.log, every).await?)
    }

    /// Makes one after the first span, and after each of the others. One that fails is told, and the next one covers its time.
    pub(crate) async fn keep_making(&self, first: Duration, every: Duration, stop: CancellationToken) {
        let mut pause = first;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = every,
                () = stop.cancelled() => return,
            }
            match self.make().await {
                Ok(Some(made)) => {
                    tracing::info!(leaf_index = made.leaf_index, accounts = made.accounts, "mapped")
                }
                Ok(None) => {}
                Err(error) => tracing::error!(error = crate::told(&error), "there is no account map"),
            }
        }
    }
}

async fn adopt(config: Adopt) -> anyhow::Result<()> {
    let held = keys::log_keys(&config.log).await?;
    let reason = Text::new(config.reason).context("--reason")?;
    let pool = store::connect(&config.database_url.0, 2).await.context("cannot use the database")?;
    let tiles = Arc::new(config.tiles.open()?);
    let seen = guard::seen(&config.outside, &held.log(), Ask::Everyone).await?;
    let conn = &mut *pool.acquire().await?;
    store::ensure_log(conn, &held.log()).await?;
    let Some(lost) = anchor_worker::lost(conn, &held, &tiles, &seen).await? else {
        println!("The database holds all that is published: nothing is lost.");
        return Ok(());
    };
    let (first, last) = (lost.leaves.first(), lost.leaves.last());
    let first = first.context("the lost leaves are none")?.leaf_index;
    let last = last.map_or(first, |it| it.leaf_index);
    let (leaves, checkpoints) = (lost.leaves.len(), lost.checkpoints.len());
    let would = if config.dry_run { "would come back" } else { "come back" };
    println!("Leaves {first} to {last} {would} as they were published, with {checkpoints} checkpoints;");
    println!(
        "{leaves} orphans and one incident follow them. They have no effect on the books: whoever was told of one of them asks again."
    );
    let withdrawals = lost.withdrawals();
    if !withdrawals.is_empty() {
        println!(
            "Withdrawals are among them, at leaves {withdrawals:?}: their gateway pays whoever has the receipt. --accept-withdrawals takes them back."
        );
    }
    if !config.dry_run {
        let orphan = anchor_worker::adopt(conn, &held, &lost, reason, config.accept_withdrawals).await?;
        println!("Done. The first orphan is leaf {orphan}. Sealing and commits go on by themselves.");
    }
    Ok(())
}

async fn succeed(config: Succeed) -> anyhow::Result<()> {
    let old = trust::policy(&config.trust)?;
    let note = trust::source(&config.old_log)?.greatest_checkpoint().await?;
    let note = note.context("the old log was never published there")?;
    // Nobody vouches for it here: a key that has retired is not believed alone.
    let last = verify_checkpoint(&note, &old).context("the old log's checkpoint")?.checkpoint;
    let old_id = old.log_id(&last.origin).context("the policy names another log")?;
    let pool = store::connect(&config.database_url.0, 2).await.context("cannot use the database")?;
    let conn = &mut *pool.acquire().await?;
    let log = store::log_identity(conn).await?;
    // By its origin a policy, a witness and a monitor know a log: of two that share one they believe the first.
    ensure!(
        log.origin != last.origin,
        "the new log has the old one's origin: begin it on an empty database with another, and a new key"
    );
    ensure!(store::log_size(conn).await? == 0, "the new log has leaves already: a succession is its first");
    println!(
        "{} follows {}, whose last checkpoint covers {} leaves under the root {}.",
        log.origin,
        last.origin,
        last.size,
        hex::encode(last.root)
    );
    if !config.dry_run {
        let body = Body::Succession { log_id: old_id, size: last.size, root: last.root };
        store::begin_log(conn, &log, body).await?;
        println!("Its first leaf says so. Take the balances over with `daftari books import`.");
    }
    Ok(())
}
