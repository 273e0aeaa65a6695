//! Seal: new leaves become bundles, tiles and a signed checkpoint, which is recorded before it is published.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chain::AuditLog;
use futures::stream::{self, StreamExt};
use proof::{Checkpoint, KeyHistory, LEAF_BYTES, Leaf, SignedNote, TILE_WIDTH, TileId, tiles_between};
use signing::SigningError;
use store::{
    LogIdentity, PgConnection, PgPool, RecordedCheckpoint, Recording, StoreError, StoredLeaf, Warnings,
    checkpoint_at, confirm, declaration_at, declarations_between, ensure_log, ensure_partitions,
    latest_checkpoint, leaves, log_size, record_checkpoint,
};
use tiles::{Beside, Edge, TileError, TileStore};

use crate::failpoint::{Act, Failpoint, Moment};
use crate::keys::LogKeys;
use crate::unheard::Unheard;
use crate::witnesses::Witnesses;

/// How many leaves one checkpoint covers at most: about a megabyte of bundles, so that memory and the time between
/// two checkpoints stay bounded, also after a long outage.
pub(crate) const BATCH_LEAVES_MAX: u32 = 16 * 1024;

/// How many tiles of a seal are written at once at most: a bucket is far away, and a disk syncs several as soon as one.
const WRITES_MAX: usize = 16;

/// After how many leaves the next partitions are asked for again. Those of the current 2^26 leaves and the next always
/// exist, so a failure has 64 chances before a posting finds no place.
pub(crate) const ROOM_LEAVES: u64 = 1 << 20;

/// How long an idle log's checkpoint stands before it is published, and the witnesses are shown it, again.
pub const FRESHNESS: Duration = Duration::from_secs(60);

/// A failure of sealing, by what to do about it. There is nothing to reject: a leaf is promised once it is committed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The world is bad: back off, then try again.
    #[error("sealing waits: {0}")]
    Retry(#[from] Obstacle),
    /// We no longer know our own state: stop, and raise the alarm.
    #[error("sealing halts: {0}")]
    Halt(#[from] Doubt),
}

/// What keeps us from sealing for now.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// PostgreSQL does not answer.
    #[error(transparent)]
    Store(StoreError),
    /// The object store does not answer.
    #[error(transparent)]
    Tiles(TileError),
    /// Whoever holds the log's key does not sign with it.
    #[error(transparent)]
    Signing(SigningError),
    /// Every key that is held here has retired, or was never introduced.
    #[error(
        "no key that is given here signs for this log now: give the one that its last `key` leaf introduces"
    )]
    NoKey,
    /// A test ended the worker here.
    #[error("a failpoint: {0:?}, {1:?}")]
    Failpoint(Act, Moment),
}

/// What makes us doubt our own state. Signing on could fork the log.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// What is stored of a leaf does not hash to what was promised.
    #[error("leaf {leaf_index} does not hash to its commitment: what is stored of it was changed")]
    LeafChanged {
        /// The leaf.
        leaf_index: u64,
    },
    /// A leaf that was sealed is another one in the database.
    #[error("leaf {leaf_index} was sealed as another leaf: the database holds another history")]
    SealedLeafChanged {
        /// The leaf.
        leaf_index: u64,
    },
    /// The published checkpoint is none of ours.
    #[error("the published checkpoint is not this log's: {0}")]
    ForeignCheckpoint(String),
    /// The database has lost what was published.
    #[error(
        "a checkpoint of {published} leaves is published, but the database knows only {known}: it lost commits"
    )]
    Behind {
        /// The size that is published.
        published: u64,
        /// The size that the database knows.
        known: u64,
    },
    /// The database and the published checkpoint are two histories.
    #[error(
        "the checkpoint of {size} leaves is published with another root than the database has: two histories"
    )]
    Forked {
        /// The size that both know.
        size: u64,
    },
    /// Somebody outside has seen more of this log than the database knows.
    #[error("{who} has seen {seen} leaves of this log, but the database knows only {known}: it lost commits")]
    SeenBeyond {
        /// A witness or a contract.
        who: String,
        /// The size that it has seen.
        seen: u64,
        /// The size that the database knows.
        known: u64,
    },
    /// Somebody outside has seen another history of this log than the database has.
    #[error(
        "{who} has seen another history of this log: another root at {size} leaves than the database has"
    )]
    SeenOtherwise {
        /// A witness or a contract.
        who: String,
        /// The size that it has seen.
        size: u64,
    },
    /// The tiles do not give the root that was signed.
    #[error("the tiles do not give the root of the checkpoint of {size} leaves")]
    TilesDisagree {
        /// The checkpoint's size.
        size: u64,
    },
    /// Tiles are missing or damaged.
    #[error(transparent)]
    Tiles(TileError),
    /// The books are damaged.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for SealError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(_) | StoreError::Warned => Self::Retry(Obstacle::Store(error)),
            _ => Self::Halt(Doubt::Store(error)),
        }
    }
}

impl From<TileError> for SealError {
    fn from(error: TileError) -> Self {
        if error.is_passing() { Self::Retry(Obstacle::Tiles(error)) } else { Self::Halt(Doubt::Tiles(error)) }
    }
}

type Tiles = Arc<[(TileId, Vec<u8>)]>;

/// What a seal writes, and where the log ends then.
struct Grown {
    edge: Edge,
    tiles: Tiles,
    declarations: Vec<(Beside, Vec<u8>)>,
}

/// What came of one attempt to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// There was nothing new.
    Nothing,
    /// A checkpoint of this size was recorded and published.
    Checkpoint {
        /// How many leaves it covers.
        size: u64,
    },
    /// Another sealer was faster.
    LostRace,
}

/// One of any number of sealers of a log.
pub struct Sealer {
    pool: PgPool,
    pub(crate) folder: Arc<TileStore>,
    keys: LogKeys,
    // What the log says of its keys, in the leaves below this index: no others are sealed.
    history: KeyHistory,
    history_to: u64,
    pub(crate) log: LogIdentity,
    batch_leaves: u32,
    room_leaves: u64,
    // For which stretch of `room_leaves` the partitions were asked for.
    roomy: Option<u64>,
    // The greatest checkpoint that was found published and to be part of this history has this size.
    published_to: u64,
    // The edge of the last checkpoint that we know: it is published, and its tiles are held. None until the tiles were checked
    // against the database.
    pub(crate) edge: Option<Edge>,
    // Whether the database was asked if it holds this log.
    is_checked: bool,
    // The timeline on which the database was held against all that is known outside it.
    pub(crate) timeline: Option<u32>,
    // Who has not answered yet on it.
    pub(crate) unheard: Unheard,
    pub(crate) contracts: Vec<AuditLog>,
    pub(crate) witnesses: Option<Witnesses>,
    // How long a checkpoint may stand without being published again, and since when it stands.
    freshness: Duration,
    pub(crate) shown: Option<Instant>,
    // What PostgreSQL says while a checkpoint is recorded.
    warnings: Warnings,
    failpoint: Failpoint,
}

impl Sealer {
    /// A sealer of the log of these keys.
    pub fn new(pool: PgPool, folder: Arc<TileStore>, keys: impl Into<LogKeys>) -> Self {
        let keys = keys.into();
        let (log, history, failpoint) = (keys.log(), keys.history(), crate::nowhere());
        Self {
            pool,
            folder,
            keys,
            history,
            history_to: 0,
            log,
            batch_leaves: BATCH_LEAVES_MAX,
            room_leaves: ROOM_LEAVES,
            roomy: None,
            published_to: 0,
            edge: None,
            is_checked: false,
            timeline: None,
            unheard: Unheard::default(),
            contracts: Vec::new(),
            witnesses: None,
            freshness: FRESHNESS,
            shown: None,
            warnings: Warnings::default(),
            failpoint,
        }
    }

    /// The same sealer with so many leaves in a checkpoint at most.
    #[must_use]
    pub fn with_batch(self, batch_leaves: u32) -> Self {
        Self { batch_leaves, ..self }
    }

    /// The same sealer, which at its start and after a failover is held against these contracts, each once it answers; one
    /// that is named several times is reached through several endpoints.
    #[must_use]
    pub fn with_contracts(self, contracts: Vec<AuditLog>) -> Self {
        Self { contracts, ..self }
    }

    /// The same sealer, showing its checkpoints to these witnesses.
    #[must_use]
    pub fn with_witnesses(self, witnesses: Witnesses) -> Self {
        Self { witnesses: Some(witnesses), ..self }
    }

    /// The same sealer, publishing an idle log's checkpoint again after so long.
    #[must_use]
    pub fn with_freshness(self, freshness: Duration) -> Self {
        Self { freshness, ..self }
    }

    /// The same sealer, asking for partitions after so many leaves.
    #[must_use]
    pub fn with_room(self, room_leaves: u64) -> Self {
        Self { room_leaves, ..self }
    }

    /// The same sealer, ending where the failpoint says.
    #[must_use]
    pub fn with_failpoint(self, failpoint: Failpoint) -> Self {
        Self { failpoint, ..self }
    }

    /// Publishes what was recorded and is not published yet, then seals what is new, if anything is.
    pub async fn seal(&mut self) -> Result<Sealed, SealError> {
        let started = Instant::now();
        // The store is read first: whatever it shows was recorded before, so the database must know it now.
        let (standing, published) = self.published().await?;
        let pool = self.pool.clone();
        let conn = &mut *pool.acquire().await.map_err(StoreError::from)?;
        if !self.is_checked {
            ensure_log(conn, &self.log).await?;
            self.is_checked = true;
        }
        let last = latest_checkpoint(conn).await?;
        let last_size = last.as_ref().map_or(0, |it| it.size);
        // Before the keys: on another timeline the log may tell of others.
        self.check_outside(conn).await?;
        self.read_keys(conn).await?;
        let standing = standing.map(|it| self.read_own(&it)).transpose()?.map(|it| it.size);
        let published = published.map(|it| self.read_own(&it)).transpose()?;
        check_extends(conn, published.as_ref(), last_size).await?;
        self.published_to = published.map_or(0, |it| it.size);
        let size = self.history_to;
        metrics::gauge!("daftari_unsealed_leaves").set(size.saturating_sub(last_size) as f64);
        if size < last_size {
            return Err(Doubt::Behind { published: last_size, known: size }.into());
        }
        self.make_room(conn, size).await;
        let edge = self.edge_of(conn, last.as_ref(), standing).await?;
        if size == last_size {
            if let Some(last) = &last
                && self.shown.is_none_or(|it| self.freshness <= it.elapsed())
            {
                self.publish_recorded(conn, last).await?;
            }
            return Ok(Sealed::Nothing);
        }
        let sealed = self.extend(conn, &edge).await?;
        metrics::histogram!("daftari_seal_seconds").record(started.elapsed().as_secs_f64());
        Ok(sealed)
    }

    // That there is no room for leaves to come is for the operator to hear, and keeps no leaf that is there from its seal.
    async fn make_room(&mut self, conn: &mut PgConnection, size: u64) {
        let stretch = Some(size / self.room_leaves);
        if self.roomy == stretch {
            return;
        }
        self.roomy = stretch;
        if let Err(error) = ensure_partitions(conn).await {
            tracing::error!(%error, size, "cannot make the next partitions: run `daftari migrate`");
        }
    }

    async fn extend(&mut self, conn: &mut PgConnection, edge: &Edge) -> Result<Sealed, SealError> {
        // No leaf that is newer than what is known of the keys: it may retire one of them.
        let count = u64::from(self.batch_leaves).min(self.history_to - edge.size()) as u32;
        let stored = leaves(conn, edge.size(), count).await?;
        let leaves = stored.iter().map(|it| self.rehash(it)).collect::<Result<Vec<_>, _>>()?;
        let grown = self.grown(conn, edge, &leaves, &stored).await?;
        self.write(&grown.tiles).await?;
        self.write_declarations(&grown.declarations).await?;
        let (size, root) = (grown.edge.size(), grown.edge.root());
        let checkpoint = Checkpoint { origin: self.log.origin.clone(), size, root };
        let signed = self.keys.sign(&checkpoint, &self.history).await.map_err(Obstacle::Signing)?;
        let note = signed.ok_or(Obstacle::NoKey)?.encode();
        let recorded = RecordedCheckpoint { size, previous_size: edge.size(), root, note };
        // From here the log has promised this root: PostgreSQL holds it before anyone sees it. A crash before it is
        // published only leaves that to the next sealer, and one before it is recorded leaves tiles that will be
        // written again, the same.
        self.passes(Act::RecordCheckpoint, Moment::Before)?;
        let recording = record_checkpoint(conn, &mut self.warnings, &recorded).await?;
        self.passes(Act::RecordCheckpoint, Moment::After)?;
        // Until it is published and held, the next seal makes up for that.
        self.edge = None;
        if recording == Recording::AlreadySealed {
            return Ok(Sealed::LostRace);
        }
        self.publish(conn, &recorded).await?;
        self.hold(&grown).await?;
        self.edge = Some(grown.edge);
        tracing::info!(first_leaf = edge.size(), last_leaf = size - 1, size, "sealed");
        Ok(Sealed::Checkpoint { size })
    }

    // Which keys sign is for the log to say. What is known is known for good, until the database may be another one.
    async fn read_keys(&mut self, conn: &mut PgConnection) -> Result<(), SealError> {
        if self.edge.is_none() {
            (self.history, self.history_to) = (self.keys.history(), 0);
        }
        let size = log_size(conn).await?;
        for (leaf_index, leaf) in declarations_between(conn, &self.log, self.history_to, size).await? {
            self.history.read(leaf_index, &leaf);
        }
        self.history_to = size;
        Ok(())
    }

    // What these leaves make after this edge.
    async fn grown(
        &self,
        conn: &mut PgConnection,
        before: &Edge,
        leaves: &[[u8; LEAF_BYTES]],
        stored: &[StoredLeaf],
    ) -> Result<Grown, SealError> {
        let mut declarations = Vec::new();
        // One that was lost and taken back stands opened as it was published, and nowhere else.
        for leaf in stored.iter().filter(|it| !it.kind.is_posting() && it.parts.is_some()) {
            let leaf_index = leaf.leaf_index;
            let opened = declaration_at(conn, &self.log, leaf_index).await?;
            let opened = opened.filter(|it| it.leaf(leaf_index).commitment == leaf.commitment);
            let bytes = opened.ok_or(Doubt::LeafChanged { leaf_index })?.encode();
            declarations.push((Beside::Declaration(leaf_index), bytes));
        }
        let (edge, tiles) = before.extended(leaves);
        Ok(Grown { edge, tiles: tiles.into(), declarations })
    }

    // What the log says of itself is there for everybody to read before it is signed.
    async fn write_declarations(&self, declarations: &[(Beside, Vec<u8>)]) -> Result<(), SealError> {
        for (beside, bytes) in declarations {
            let Beside::Declaration(leaf_index) = *beside else { continue };
            let (folder, beside, written) = (Arc::clone(&self.folder), *beside, bytes.clone());
            self.passes(Act::WriteDeclaration(leaf_index), Moment::Before)?;
            blocking(move || folder.write_beside(beside, &written)).await?;
            self.passes(Act::WriteDeclaration(leaf_index), Moment::After)?;
            let folder = Arc::clone(&self.folder);
            if blocking(move || folder.read_beside(beside)).await?.is_none_or(|it| it != *bytes) {
                return Err(other_than_written(beside.path()).into());
            }
        }
        Ok(())
    }

    // Before it was published, somebody of another history may have written over it.
    async fn hold(&self, grown: &Grown) -> Result<(), SealError> {
        for (beside, bytes) in grown.declarations.iter().cloned() {
            let folder = Arc::clone(&self.folder);
            blocking(move || folder.hold_beside(beside, &bytes)).await?;
        }
        self.each(&grown.tiles, |folder, tile, bytes| folder.hold(tile, bytes).map_err(SealError::from)).await
    }

    // A leaf is sealed only as what its stored parts hash to.
    fn rehash(&self, stored: &StoredLeaf) -> Result<[u8; LEAF_BYTES], SealError> {
        if stored.parts.as_ref().is_none_or(|it| it.commitment() != stored.commitment) {
            return Err(Doubt::LeafChanged { leaf_index: stored.leaf_index }.into());
        }
        Ok(self.leaf_bytes(stored))
    }

    fn leaf_bytes(&self, stored: &StoredLeaf) -> [u8; LEAF_BYTES] {
        let StoredLeaf { leaf_index, kind, commitment, .. } = *stored;
        Leaf { kind, log_id: self.log.log_id, leaf_index, commitment }.encode()
    }

    // The checkpoint that stands published, and the greatest that ever was: a store that was lost or put back
    // to an earlier state may remember more than it shows.
    async fn published(&self) -> Result<(Option<String>, Option<String>), SealError> {
        let store = Arc::clone(&self.folder);
        blocking(move || Ok::<_, TileError>((store.checkpoint()?, store.greatest_checkpoint()?))).await
    }

    fn read_own(&self, note: &str) -> Result<Checkpoint, SealError> {
        let foreign = |problem: &str| Doubt::ForeignCheckpoint(problem.to_owned());
        let note = SignedNote::parse(note).map_err(|error| foreign(error.0))?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(|error| foreign(error.0))?;
        if checkpoint.origin != self.log.origin {
            return Err(foreign(&format!("its origin is {}", checkpoint.origin)).into());
        }
        if !self.keys.have_signed(&note, &self.history) {
            return Err(foreign("no key of the log has signed it").into());
        }
        Ok(checkpoint)
    }

    // The edge of the last checkpoint, which is published and held from then on.
    async fn edge_of(
        &mut self,
        conn: &mut PgConnection,
        last: Option<&RecordedCheckpoint>,
        standing: Option<u64>,
    ) -> Result<Edge, SealError> {
        let known = self.edge.take();
        let edge = match last {
            None => Edge::default(),
            Some(last) => {
                let is_published = standing.is_some_and(|it| last.size <= it);
                match known.filter(|it| is_published && (it.size(), it.root()) == (last.size, last.root)) {
                    Some(known) => known,
                    None => self.taken_up(conn, last, is_published).await?,
                }
            }
        };
        self.edge = Some(edge.clone());
        Ok(edge)
    }

    // Takes up the last checkpoint, as at every start. Whoever recorded it may have ended before it was published, or before its
    // tiles were held. It is the only one of which that is so: none is recorded before the one that it extends is held.
    // The newest sealed leaves are compared with what the database has now: a failover or a restored backup that rewrote them is
    // found before anything more is signed.
    async fn taken_up(
        &mut self,
        conn: &mut PgConnection,
        last: &RecordedCheckpoint,
        is_published: bool,
    ) -> Result<Edge, SealError> {
        let (begin, size) = (last.previous_size, last.size);
        let again = self.again(conn, last).await?;
        let edge = match &again {
            // Its own tiles may still be another's; before them nobody wrote over anything.
            Some(again) => {
                self.check_sealed(conn, begin - begin % TILE_WIDTH, begin).await?;
                again.edge.clone()
            }
            None => {
                let folder = Arc::clone(&self.folder);
                let edge = blocking(move || folder.edge(size)).await?;
                if edge.root() != last.root {
                    return Err(Doubt::TilesDisagree { size }.into());
                }
                self.check_sealed(conn, begin, size).await?;
                edge
            }
        };
        if !is_published {
            if let Some(again) = &again {
                self.write(&again.tiles).await?;
                self.write_declarations(&again.declarations).await?;
            }
            self.publish_recorded(conn, last).await?;
        }
        if let Some(again) = &again {
            self.hold(again).await?;
        }
        Ok(edge)
    }

    // What the seal of this checkpoint wrote, made again; nothing where what is left does not give its root.
    async fn again(
        &self,
        conn: &mut PgConnection,
        last: &RecordedCheckpoint,
    ) -> Result<Option<Grown>, SealError> {
        let (begin, count) = (last.previous_size, last.size.saturating_sub(last.previous_size));
        // No seal is larger: this one was lost, and taken back from the tiles.
        if u64::from(BATCH_LEAVES_MAX) < count {
            return Ok(None);
        }
        let folder = Arc::clone(&self.folder);
        let before = match blocking(move || folder.edge(begin)).await {
            // The newest tiles may stand all the same.
            Err(SealError::Halt(_)) => return Ok(None),
            before => before?,
        };
        let stored = leaves(conn, begin, count as u32).await?;
        // As they were sealed: by now their postings may be archived.
        let leaves: Vec<_> = stored.iter().map(|it| self.leaf_bytes(it)).collect();
        let grown = self.grown(conn, &before, &leaves, &stored).await?;
        Ok(Some(grown).filter(|it| it.edge.root() == last.root))
    }

    // Compares the bundles that these leaves are in with what the database has of them.
    async fn check_sealed(&self, conn: &mut PgConnection, begin: u64, size: u64) -> Result<(), SealError> {
        for bundle in tiles_between(begin, size).into_iter().filter(|it| it.level.is_none()) {
            self.check_bundle(conn, bundle).await?;
        }
        Ok(())
    }

    async fn check_bundle(&self, conn: &mut PgConnection, bundle: TileId) -> Result<(), SealError> {
        let folder = Arc::clone(&self.folder);
        let bytes = blocking(move || folder.read(bundle)).await?;
        let bytes = bytes.ok_or_else(|| TileError::Missing(bundle.path()))?;
        let stored = leaves(conn, bundle.index * TILE_WIDTH, u32::from(bundle.width)).await?;
        let stored: Vec<_> = stored.iter().map(|it| self.leaf_bytes(it)).collect();
        let sealed = proof::bundle_leaves(&bytes)
            .map_err(|error| TileError::Damaged { path: bundle.path(), problem: error.to_string() })?;
        let differs = |at: &usize| stored.get(*at).map(|it| &it[..]) != sealed.get(*at).copied();
        match (0..sealed.len()).find(differs) {
            Some(at) => {
                Err(Doubt::SealedLeafChanged { leaf_index: bundle.index * TILE_WIDTH + at as u64 }.into())
            }
            None => Ok(()),
        }
    }

    // In no order: nobody reads any of them before a checkpoint covers it.
    async fn write(&self, tiles: &Tiles) -> Result<(), SealError> {
        let failpoint = Arc::clone(&self.failpoint);
        self.each(tiles, move |folder, tile, bytes| write_tile(folder, &failpoint, tile, bytes)).await
    }

    async fn each(
        &self,
        tiles: &Tiles,
        act: impl Fn(&TileStore, TileId, &[u8]) -> Result<(), SealError> + Send + Sync + 'static,
    ) -> Result<(), SealError> {
        let (is_broken, act) = (Arc::new(AtomicBool::new(false)), Arc::new(act));
        let acting = (0..tiles.len()).map(|at| {
            let (folder, tiles) = (Arc::clone(&self.folder), Arc::clone(tiles));
            let (is_broken, act) = (Arc::clone(&is_broken), Arc::clone(&act));
            blocking(move || {
                if is_broken.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let (tile, bytes) = &tiles[at];
                let done = act(&folder, *tile, bytes);
                is_broken.fetch_or(done.is_err(), Ordering::Relaxed);
                done
            })
        });
        // After a failure too, what was begun comes to its end before the next seal begins.
        let done: Vec<Result<(), SealError>> =
            stream::iter(acting).buffer_unordered(WRITES_MAX).collect().await;
        done.into_iter().collect()
    }

    // Publishes a checkpoint that was recorded before, perhaps by somebody who did not live to see it on a standby.
    async fn publish_recorded(
        &mut self,
        conn: &mut PgConnection,
        recorded: &RecordedCheckpoint,
    ) -> Result<(), SealError> {
        confirm(conn, &mut self.warnings).await?;
        self.publish(conn, recorded).await
    }

    // Publishes a recorded checkpoint, with what the witnesses say of it.
    async fn publish(
        &mut self,
        conn: &mut PgConnection,
        recorded: &RecordedCheckpoint,
    ) -> Result<(), SealError> {
        let note = self.cosigned(conn, recorded).await?;
        self.passes(Act::PublishCheckpoint, Moment::Before)?;
        loop {
            let (store, note, known) = (Arc::clone(&self.folder), note.clone(), self.published_to);
            match blocking(move || store.publish_checkpoint(&note, known)).await {
                Err(SealError::Retry(Obstacle::Tiles(TileError::Moved { .. }))) => {}
                published => break published?,
            }
            // Another sealer has published since this seal looked: of these books, or of others that believe to be the log's.
            let (_, published) = self.published().await?;
            self.read_keys(conn).await?;
            let published = published.map(|it| self.read_own(&it)).transpose()?;
            check_extends(conn, published.as_ref(), recorded.size).await?;
            self.published_to = published.map_or(0, |it| it.size);
        }
        self.published_to = self.published_to.max(recorded.size);
        self.shown = Some(Instant::now());
        self.passes(Act::PublishCheckpoint, Moment::After)
    }

    fn passes(&self, act: Act, moment: Moment) -> Result<(), SealError> {
        passes(&self.failpoint, act, moment)
    }
}

/// The database must extend what was published: else it lost commits, or is another history.
async fn check_extends(
    conn: &mut PgConnection,
    published: Option<&Checkpoint>,
    known: u64,
) -> Result<(), SealError> {
    let Some(published) = published else { return Ok(()) };
    let size = published.size;
    match checkpoint_at(conn, size).await? {
        Some(recorded) if recorded.root == published.root => Ok(()),
        None if known < size => Err(Doubt::Behind { published: size, known }.into()),
        _ => Err(Doubt::Forked { size }.into()),
    }
}

fn write_tile(
    folder: &TileStore,
    failpoint: &Failpoint,
    tile: TileId,
    bytes: &[u8],
) -> Result<(), SealError> {
    passes(failpoint, Act::WriteTile(tile), Moment::Before)?;
    folder.write(tile, bytes)?;
    passes(failpoint, Act::WriteTile(tile), Moment::After)?;
    // Nothing is signed that the store does not give back.
    match folder.read(tile)?.is_some_and(|it| it == bytes) {
        true => Ok(()),
        false => Err(other_than_written(tile.path()).into()),
    }
}

fn other_than_written(path: String) -> TileError {
    TileError::Damaged { path, problem: "it does not read back as it was written".to_owned() }
}

fn passes(failpoint: &Failpoint, act: Act, moment: Moment) -> Result<(), SealError> {
    if failpoint(act, moment) { Err(Obstacle::Failpoint(act, moment).into()) } else { Ok(()) }
}

async fn blocking<T: Send + 'static, E: Send + 'static + Into<SealError>>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, SealError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("the object store does not panic").map_err(Into::into)
}
