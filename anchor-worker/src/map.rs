//! The account map: every account at one size of the log, in one sorted tree that a leaf commits to.

use std::sync::Arc;
use std::time::Duration;

use proof::{Body, Hash, LeafKind, MAP_PART_ROWS, MapIndex, MapRow, MapTree};
use store::{Keyring, LogIdentity, MappedAccount, PgConnection, RecordedCheckpoint, StoreError};
use tiles::{Beside, TileError, TileStore};

use crate::anchor::recorded;

/// How many accounts are read at a time, each time in a short transaction.
const PAGE: u32 = 10_000;

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The books could not be read, or the leaf not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The map could not be written beside the tiles.
    #[error(transparent)]
    Tiles(#[from] TileError),
    /// Two rows have one key.
    #[error("the books are damaged: two accounts have one id")]
    AccountTwice,
}

/// A map that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeMap {
    /// Its leaf.
    pub leaf_index: u64,
    /// The log size that it describes.
    pub log_size: u64,
    /// How many accounts stand in it.
    pub accounts: u64,
    /// Its root.
    pub root: Hash,
}

/// Makes the map of the log as it is now: its parts beside the tiles first, then the leaf that commits to it. `None` where
/// nothing has been posted since the last one. Any number may be made at once, and a crash leaves at most parts that no
/// leaf names. It holds 64 bytes for each account, besides one part.
pub async fn make_map(
    conn: &mut PgConnection,
    keyring: &Keyring,
    log: &LogIdentity,
    tiles: &Arc<TileStore>,
) -> Result<Option<MadeMap>, MapError> {
    // Whatever moved since is read from its entries: no snapshot is held for longer than a page.
    let log_size = store::log_size(conn).await?;
    let maps = store::declarations_of(conn, log, LeafKind::Map).await?;
    if log_size == 0 || maps.last().is_some_and(|(at, _)| at + 1 == log_size) {
        return Ok(None);
    }
    let mut rows = Vec::new();
    let mut after = 0;
    loop {
        let (page, last) = store::mapped_accounts(conn, keyring, log_size, after, PAGE).await?;
        rows.extend(page.iter().map(row));
        let Some(last) = last else { break };
        after = last;
    }
    let store = Arc::clone(tiles);
    let written = tokio::task::spawn_blocking(move || write(&store, rows));
    let index = written.await.expect("writing a map does not panic")?;
    let (accounts, root) = (index.accounts(), index.root());
    let body = Body::Map { log_size, accounts, root };
    let leaf_index = store::append_declarations(conn, log, vec![body]).await?;
    Ok(Some(MadeMap { leaf_index, log_size, accounts, root }))
}

/// The checkpoint that is published in this store, if it is one of the database's: a map belongs beside it.
pub async fn published_in(
    conn: &mut PgConnection,
    tiles: &Arc<TileStore>,
) -> Result<Option<RecordedCheckpoint>, MapError> {
    let tiles = Arc::clone(tiles);
    let note = tokio::task::spawn_blocking(move || tiles.checkpoint()).await;
    recorded(conn, note.expect("the object store does not panic")?).await
}

/// How long it is until a map is due that is made so long after the last one: no time where there is none.
pub async fn map_due_in(
    conn: &mut PgConnection,
    log: &LogIdentity,
    every: Duration,
) -> Result<Duration, StoreError> {
    let maps = store::declarations_of(conn, log, LeafKind::Map).await?;
    let last_us = maps.last().and_then(|(_, it)| it.header.opened()).map(|it| it.recorded_at_us);
    let Some(last_us) = last_us else { return Ok(Duration::ZERO) };
    let age_us = store::clock_us(conn).await? - last_us;
    Ok(every.saturating_sub(Duration::from_micros(age_us.max(0) as u64)))
}

/// An account's row. What an erased account had is committed to under a salt that nobody keeps: it can be opened no more.
fn row(it: &MappedAccount) -> MapRow {
    let salt = match &it.secret {
        Some(secret) => it.account.salt(secret),
        None => {
            let mut salt = Hash::default();
            getrandom::fill(&mut salt).expect("the operating system gives random bytes");
            salt
        }
    };
    it.account.row(&salt, &it.value)
}

fn write(tiles: &TileStore, mut rows: Vec<MapRow>) -> Result<MapIndex, MapError> {
    rows.sort_unstable();
    if rows.windows(2).any(|pair| pair[0].key == pair[1].key) {
        return Err(MapError::AccountTwice);
    }
    // Its place is named by its root, so the root comes first.
    let mut index = MapIndex::default();
    for part in rows.chunks(MAP_PART_ROWS) {
        let tree = MapTree::new(part.to_vec()).ok_or(MapError::AccountTwice)?;
        index.push(&tree, part[0].key);
    }
    let root = index.root();
    for (number, part) in rows.chunks(MAP_PART_ROWS).enumerate() {
        let bytes: Vec<u8> = part.iter().flat_map(MapRow::encode).collect();
        tiles.write_beside(Beside::MapPart(root, number as u32), &bytes)?;
    }
    tiles.write_beside(Beside::MapIndex(root), &index.encode())?;
    Ok(index)
}
