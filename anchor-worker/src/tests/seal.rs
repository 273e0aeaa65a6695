use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, Once};
use std::time::{Duration, Instant};

use devstack::{Postgres, PostgresConfig, STANDBY_NAME, Scratch};
use proof::{Body, OpenedLeaf, TileId, leaf_hash, verify_inclusion};
use tiles::{Beside, TileError, TileStore};

use super::fixture::Fixture;
use crate::{Act, Doubt, Failpoint, LogKey, LogKeys, Moment, Obstacle, SealError, Sealed, Sealer};

#[tokio::test]
async fn what_is_sealed_is_what_was_committed() {
    let it = Fixture::new().await;
    let mut sealer = it.sealer();
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);
    assert_eq!(it.published(), None);
    let mut sizes = Vec::new();
    for count in [1, 2, 252, 1, 1, 300] {
        it.post(count).await;
        let size = sizes.last().unwrap_or(&0) + count;
        assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size });
        assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);
        sizes.push(size);
        assert_eq!(it.files(), it.expected(&sizes).await);
    }
    let checkpoint = it.published().unwrap();
    for leaf_index in [0, 100, 256, 556] {
        let leaf = it.folder.leaf(leaf_index, checkpoint.size).unwrap();
        let path = it.folder.inclusion_proof(leaf_index, checkpoint.size).unwrap();
        assert!(verify_inclusion(leaf_index, checkpoint.size, &leaf_hash(&leaf), &path, &checkpoint.root));
    }
}

#[tokio::test]
async fn a_backlog_is_sealed_in_bounded_batches() {
    let it = Fixture::new().await;
    it.post(10).await;
    let mut sealer = it.sealer().with_batch(4);
    for size in [4, 8, 10] {
        assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size });
    }
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);
    assert_eq!(it.files(), it.expected(&[4, 8, 10]).await);
}

#[tokio::test]
async fn a_declaration_is_sealed_like_a_posting_and_published_open() {
    let it = Fixture::new().await;
    it.post(3).await;
    let body = Body::Map { log_size: 3, accounts: 2, root: [3; 32] };
    let conn = &mut *it.pool.acquire().await.unwrap();
    assert_eq!(store::append_declarations(conn, &it.log, vec![body.clone()]).await.unwrap(), 3);
    it.post(1).await;
    // A crash on either side of its writing leaves the next sealer the same to do.
    for moment in [Moment::Before, Moment::After] {
        let failpoint: Failpoint = Arc::new(move |act, at| (act, at) == (Act::WriteDeclaration(3), moment));
        let ended = it.sealer().with_failpoint(failpoint).seal().await;
        assert!(matches!(ended, Err(SealError::Retry(Obstacle::Failpoint(..)))), "{ended:?}");
    }
    assert_eq!(it.sealer().seal().await.unwrap(), Sealed::Checkpoint { size: 5 });
    let mut expected = it.expected(&[5]).await;
    let opened = store::declaration_at(conn, &it.log, 3).await.unwrap().unwrap();
    expected.insert("declaration/3".into(), opened.encode());
    assert_eq!(it.files(), expected);
    let published = it.folder.read_beside(Beside::Declaration(3)).unwrap().unwrap();
    let published = OpenedLeaf::decode(&published, 3).unwrap();
    assert_eq!(published.body.as_ref().and_then(|it| it.opened()), Some(&body));
    assert_eq!(&published.leaf(3).encode()[..], it.folder.leaf(3, 5).unwrap());
}

#[tokio::test]
async fn a_declaration_that_was_changed_is_not_sealed() {
    for change in ["body = set_byte(body, 7, 9)", "body_commitment = set_byte(body_commitment, 0, 9)"] {
        let it = Fixture::new().await;
        let body = Body::Map { log_size: 0, accounts: 0, root: [3; 32] };
        let conn = &mut *it.pool.acquire().await.unwrap();
        store::append_declarations(conn, &it.log, vec![body]).await.unwrap();
        it.tamper(&format!("update declaration set {change}")).await;
        let ended = it.sealer().seal().await;
        assert!(matches!(ended, Err(SealError::Halt(Doubt::LeafChanged { leaf_index: 0 }))), "{ended:?}");
    }
}

/// Ends the worker at its n-th chance; counts the chances.
fn at_chance(chance: usize) -> (Failpoint, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    (Arc::new(move |_, _| counter.fetch_add(1, Ordering::Relaxed) == chance), seen)
}

#[tokio::test]
async fn a_crash_at_any_point_resumes_to_the_same_bytes() {
    let it = Fixture::new().await;
    let mut sizes = Vec::new();
    for chance in 0.. {
        // 90 leaves at a time: most seals end inside a tile, some close one and open the next.
        it.post(90).await;
        let (failpoint, _) = at_chance(chance);
        let ended = it.sealer().with_failpoint(failpoint).seal().await;
        sizes.push(90 * (chance as u64 + 1));
        it.seal_all().await;
        assert_eq!(it.files(), it.expected(&sizes).await, "chance {chance}: {ended:?}");
        match ended {
            Err(SealError::Retry(Obstacle::Failpoint(..))) => {}
            // Ended before its n-th chance came: every step of a seal has been broken both ways.
            ended => {
                assert!(matches!(ended, Ok(Sealed::Checkpoint { .. })), "{ended:?}");
                assert!(
                    8 <= chance,
                    "a bundle, a tile, the record and the checkpoint, each before and after"
                );
                return;
            }
        }
    }
}

/// A store that is far away keeps a seal waiting once, and not once for each of its tiles.
#[tokio::test]
async fn the_tiles_of_a_seal_are_written_at_once() {
    let it = Fixture::new().await;
    it.post(3).await;
    let begun = (Mutex::new(0), Condvar::new());
    let one_after_another: Failpoint = Arc::new(move |act, moment| {
        if !matches!((act, moment), (Act::WriteTile(_), Moment::Before)) {
            return false;
        }
        let (count, changed) = &begun;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        let patience = Duration::from_secs(60);
        let (count, _) = changed.wait_timeout_while(count, patience, |it| *it < 2).unwrap();
        *count < 2
    });
    let mut sealer = it.sealer().with_failpoint(one_after_another);
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 3 });
}

#[tokio::test]
async fn what_does_not_read_back_is_not_signed() {
    let it = Fixture::new().await;
    it.post(2).await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    let body = Body::Map { log_size: 2, accounts: 2, root: [3; 32] };
    store::append_declarations(conn, &it.log, vec![body]).await.unwrap();
    let tile = |level| TileId { level, index: 0, width: 3 };
    for (act, path) in [
        (Act::WriteTile(tile(None)), tile(None).path()),
        (Act::WriteTile(tile(Some(0))), tile(Some(0)).path()),
        (Act::WriteDeclaration(2), Beside::Declaration(2).path()),
    ] {
        let file = it.home.path().join("log").join(path);
        let failpoint: Failpoint = Arc::new(move |passed, moment| {
            if (passed, moment) == (act, Moment::After) {
                let mut bytes = std::fs::read(&file).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            }
            false
        });
        let ended = it.sealer().with_failpoint(failpoint).seal().await;
        assert!(matches!(ended, Err(SealError::Halt(Doubt::Tiles(_)))), "{act:?}: {ended:?}");
        assert!(store::latest_checkpoint(conn).await.unwrap().is_none(), "{act:?}");
        assert_eq!(it.published(), None);
    }
    assert_eq!(it.sealer().seal().await.unwrap(), Sealed::Checkpoint { size: 3 });
}

#[tokio::test]
async fn what_was_recorded_is_published_by_the_next() {
    let it = Fixture::new().await;
    it.post(3).await;
    // A bundle, a tile, the record: each before and after; then before publishing.
    let (failpoint, _) = at_chance(6);
    it.sealer().with_failpoint(failpoint).seal().await.unwrap_err();
    assert_eq!(it.published(), None);
    assert_eq!(it.sealer().seal().await.unwrap(), Sealed::Nothing);
    assert_eq!(it.published().unwrap().size, 3);
}

/// What was recorded by a sealer that ended while it waited for the synchronous standby is seen by the next one, and the standby
/// may not have it.
#[tokio::test]
async fn what_no_standby_has_is_not_published() {
    let scratch = Scratch::new().unwrap();
    let mut config = PostgresConfig::new(scratch.path().join("primary"));
    config.settings = [("synchronous_standby_names", STANDBY_NAME), ("dynamic_shared_memory_type", "mmap")]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    let server = tokio::task::spawn_blocking(move || Postgres::start(&config)).await.unwrap().unwrap();
    // There is no standby, and whoever comes this way does not wait for one.
    let alone = |url: String| {
        let word = if url.contains('?') { '&' } else { '?' };
        format!("{url}{word}options[synchronous_commit]=local")
    };
    let url = store::test_database(&alone(server.url("postgres"))).await.unwrap();
    let it = Fixture::on(alone(url.clone())).await;
    it.post(3).await;
    let recorded: Failpoint = Arc::new(|act, moment| (act, moment) == (Act::RecordCheckpoint, Moment::After));
    it.sealer().with_failpoint(recorded).seal().await.unwrap_err();

    let folder = Arc::new(TileStore::open(it.home.path().join("log")).unwrap());
    let mut next = Sealer::new(store::connect(&url, 2).await.unwrap(), folder, it.key());
    let sealing = tokio::spawn(async move { next.seal().await });
    let is_waiting = "do $$ begin
         if not exists (select from pg_stat_activity where wait_event = 'SyncRep') then raise 'not yet'; end if;
         end $$";
    let begun = Instant::now();
    while it.tampering(is_waiting).await.is_err() {
        assert!(!sealing.is_finished(), "it has waited for no standby");
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come to wait");
    }
    assert_eq!(it.published(), None);
    sealing.abort();
    assert_eq!(it.sealer().seal().await.unwrap(), Sealed::Nothing);
    assert_eq!(it.published().unwrap().size, 3);
}

#[tokio::test]
async fn of_two_sealers_at_once_one_wins() {
    let it = Arc::new(Fixture::new().await);
    let sealers = (0..2).map(|_| {
        let it = Arc::clone(&it);
        tokio::spawn(async move {
            let mut sealer = it.sealer();
            let mut won = Vec::new();
            while it.published().is_none_or(|it| it.size < 400) {
                if let Sealed::Checkpoint { size } = sealer.seal().await.unwrap() {
                    won.push(size);
                }
            }
            won
        })
    });
    let sealers: Vec<_> = sealers.collect();
    for _ in 0..20 {
        it.post(20).await;
    }
    let mut won = Vec::new();
    for sealer in sealers {
        won.extend(sealer.await.unwrap());
    }
    // Each checkpoint is of one of them, and the next extends it: whoever lost has recorded nothing.
    won.sort_unstable();
    let conn = &mut *it.pool.acquire().await.unwrap();
    let mut last = store::latest_checkpoint(conn).await.unwrap();
    while let Some(recorded) = last {
        assert_eq!(won.pop(), Some(recorded.size));
        last = store::checkpoint_at(conn, recorded.previous_size).await.unwrap();
    }
    assert_eq!(won, [0_u64; 0]);
    // Every size that was published has its tiles, and the last one those of a plain recomputation.
    let files = it.files();
    for (path, bytes) in it.expected(&[400]).await {
        assert_eq!(files.get(&path), Some(&bytes), "{}", path.display());
    }
}

#[tokio::test]
async fn a_lost_race_is_found_by_the_database() {
    let it = Fixture::new().await;
    it.post(5).await;
    let (mut slow, mut fast) = (it.sealer(), it.sealer().with_batch(3));
    // The slow one stops after it wrote its tiles, and the fast one seals something else meanwhile.
    let gate = Arc::new(Barrier::new(2));
    let waiting = Arc::clone(&gate);
    let first = Once::new();
    slow = slow.with_failpoint(Arc::new(move |act, moment| {
        if (act, moment)
            == (crate::Act::WriteTile(TileId { level: Some(0), index: 0, width: 5 }), crate::Moment::After)
        {
            first.call_once(|| {
                waiting.wait();
                waiting.wait();
            });
        }
        false
    }));
    let racing = tokio::spawn(async move {
        let first = slow.seal().await.unwrap();
        (first, slow.seal().await.unwrap())
    });
    wait(&gate).await;
    assert_eq!(fast.seal().await.unwrap(), Sealed::Checkpoint { size: 3 });
    wait(&gate).await;
    assert_eq!(racing.await.unwrap(), (Sealed::LostRace, Sealed::Checkpoint { size: 5 }));
}

async fn wait(gate: &Arc<Barrier>) {
    let gate = Arc::clone(gate);
    tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
}

/// Two databases that both believe that they are the log's, and one store: the one that is late has seen nothing published,
/// and still writes over nothing that is.
#[tokio::test]
async fn of_two_databases_with_one_store_the_late_one_halts() {
    let it = Fixture::new().await;
    let other = Fixture::of(it.log.clone()).await;
    it.post(300).await;
    other.post(300).await;
    let gate = Arc::new(Barrier::new(2));
    let (waiting, first) = (Arc::clone(&gate), Once::new());
    let folder = Arc::new(TileStore::open(it.home.path().join("log")).unwrap());
    let late = Sealer::new(other.pool.clone(), folder, it.key());
    let mut late = late.with_failpoint(Arc::new(move |act, moment| {
        if matches!((act, moment), (Act::WriteTile(_), Moment::Before)) {
            first.call_once(|| {
                waiting.wait();
                waiting.wait();
            });
        }
        false
    }));
    let racing = tokio::spawn(async move { late.seal().await });
    wait(&gate).await;
    it.seal_all().await;
    wait(&gate).await;
    let halted = racing.await.unwrap().unwrap_err();
    assert!(
        matches!(halted, SealError::Halt(Doubt::Tiles(TileError::Otherwise { size: 300, .. }))),
        "{halted}"
    );
    let conn = &mut *other.pool.acquire().await.unwrap();
    assert!(store::latest_checkpoint(conn).await.unwrap().is_none(), "nothing is signed in doubt");
    assert_eq!(it.files(), it.expected(&[300]).await);
}

/// Both have sealed before either has published: the second one's checkpoint is larger, and no history of what is published.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_databases_that_seal_at_once_one_publishes() {
    let it = Fixture::new().await;
    let other = Fixture::of(it.log.clone()).await;
    it.post(300).await;
    other.post(301).await;
    let gate = Arc::new(Barrier::new(2));
    let waiting = Arc::clone(&gate);
    let folder = Arc::new(TileStore::open(it.home.path().join("log")).unwrap());
    let late = Sealer::new(other.pool.clone(), folder, it.key());
    let mut late = late.with_failpoint(Arc::new(move |act, moment| {
        if (act, moment) == (Act::PublishCheckpoint, Moment::Before) {
            // What else this thread was to do, another one does.
            tokio::task::block_in_place(|| {
                waiting.wait();
                waiting.wait();
            });
        }
        false
    }));
    let racing = tokio::spawn(async move { late.seal().await });
    wait(&gate).await;
    it.seal_all().await;
    wait(&gate).await;
    let halted = racing.await.unwrap().unwrap_err();
    assert!(matches!(halted, SealError::Halt(Doubt::Forked { size: 300 })), "{halted}");
    let files = it.files();
    for (path, bytes) in it.expected(&[300]).await {
        assert_eq!(files.get(&path), Some(&bytes), "{}", path.display());
    }
}

/// One has sealed and not published yet, and another database's sealer writes over its tiles: nothing tells them apart so far.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_database_wrote_over_is_put_right() {
    let it = Fixture::new().await;
    let other = Fixture::of(it.log.clone()).await;
    it.post(300).await;
    other.post(300).await;
    let gate = Arc::new(Barrier::new(2));
    let waiting = Arc::clone(&gate);
    let mut first = it.sealer().with_failpoint(Arc::new(move |act, moment| {
        if (act, moment) == (Act::PublishCheckpoint, Moment::Before) {
            // What else this thread was to do, another one does.
            tokio::task::block_in_place(|| {
                waiting.wait();
                waiting.wait();
            });
        }
        false
    }));
    let racing = tokio::spawn(async move { first.seal().await });
    wait(&gate).await;
    let written: Failpoint = Arc::new(|act, moment| (act, moment) == (Act::RecordCheckpoint, Moment::Before));
    let folder = Arc::new(TileStore::open(it.home.path().join("log")).unwrap());
    let late = Sealer::new(other.pool.clone(), folder, it.key()).with_failpoint(written).seal().await;
    assert!(matches!(late, Err(SealError::Retry(Obstacle::Failpoint(..)))), "{late:?}");
    wait(&gate).await;
    assert_eq!(racing.await.unwrap().unwrap(), Sealed::Checkpoint { size: 300 });
    assert_eq!(it.files(), it.expected(&[300]).await);
}

/// The same where whoever has sealed ends first: before it publishes, and again before it has held what it published. The next
/// seal makes up for both, by the same sealer and by one that starts.
#[tokio::test]
async fn what_a_seal_that_ended_left_unheld_is_put_right_by_the_next() {
    for restarts in [false, true] {
        let it = Fixture::new().await;
        let other = Fixture::of(it.log.clone()).await;
        for (each, accounts) in [(&it, 1), (&other, 2)] {
            each.post(299).await;
            let body = Body::Map { log_size: 299, accounts, root: [3; 32] };
            let conn = &mut *each.pool.acquire().await.unwrap();
            store::append_declarations(conn, &each.log, vec![body]).await.unwrap();
        }
        let written: Failpoint =
            Arc::new(|act, moment| (act, moment) == (Act::RecordCheckpoint, Moment::Before));
        let late = Sealer::new(other.pool.clone(), Arc::clone(&other.folder), it.key());
        let late = late.with_failpoint(written).seal().await;
        assert!(matches!(late, Err(SealError::Retry(Obstacle::Failpoint(..)))), "{late:?}");
        let (others, log, passed) = (other.files(), it.home.path().join("log"), AtomicUsize::new(0));
        // Twice, before it publishes, the other writes over all that it has written. It ends there; then, as it publishes what it has
        // recorded, after.
        let ends: Failpoint = Arc::new(move |act, _| {
            if act != Act::PublishCheckpoint {
                return false;
            }
            let chance = passed.fetch_add(1, Ordering::Relaxed);
            if chance < 2 {
                others.iter().for_each(|(name, bytes)| std::fs::write(log.join(name), bytes).unwrap());
            }
            chance == 0 || chance == 2
        });
        let mut sealer = it.sealer().with_failpoint(ends);
        for moment in [Moment::Before, Moment::After] {
            let ended = sealer.seal().await;
            let Err(SealError::Retry(Obstacle::Failpoint(_, at))) = &ended else { panic!("{ended:?}") };
            assert_eq!(*at, moment);
        }
        let mut expected = it.expected(&[300]).await;
        let conn = &mut *it.pool.acquire().await.unwrap();
        let opened = store::declaration_at(conn, &it.log, 299).await.unwrap().unwrap();
        expected.insert("declaration/299".into(), opened.encode());
        assert_ne!(it.files(), expected, "the other's, under this one's checkpoint");
        if restarts {
            sealer = it.sealer();
        }
        assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);
        assert_eq!(it.files(), expected);
        it.post(1).await;
        assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 301 });
    }
}

/// The other has what is published, goes on from there, and ends before it publishes: no published tile is gone, nor cut from one
/// of its own.
#[tokio::test]
async fn a_full_tile_of_another_database_takes_no_published_one_away() {
    let mut it = Fixture::new().await;
    it.post(100).await;
    it.seal_all().await;
    let (own, published) = (it.url.clone(), it.expected(&[100]).await);
    let copy = it.backup().await;
    it.reopen(copy).await;
    it.post(200).await;
    let written: Failpoint = Arc::new(|act, moment| (act, moment) == (Act::RecordCheckpoint, Moment::Before));
    it.sealer().with_failpoint(written).seal().await.unwrap_err();
    let files = it.files();
    for (path, bytes) in &published {
        assert_eq!(files.get(path), Some(bytes), "{}", path.display());
    }
    assert_eq!(files.len(), published.len() + 5, "a bundle and a tile, full and partial, and the tile above");

    it.reopen(own).await;
    it.post(200).await;
    assert_eq!(it.sealer().seal().await.unwrap(), Sealed::Checkpoint { size: 300 });
    assert_eq!(it.files(), it.expected(&[100, 300]).await);
}

/// What sealing says of a database that was changed after ten leaves were sealed.
async fn check_doubt(statements: &str) -> String {
    let it = Fixture::new().await;
    it.post(10).await;
    it.seal_all().await;
    it.tamper(statements).await;
    let published = it.published();
    let error = it.sealer().seal().await.unwrap_err();
    assert!(matches!(error, SealError::Halt(_)), "{error}");
    assert_eq!(it.published(), published, "nothing is published in doubt");
    error.to_string()
}

#[tokio::test]
async fn a_rewritten_history_is_refused() {
    let sealed = check_doubt("update leaf set commitment = sha256('x') where leaf_index = 4").await;
    assert_eq!(
        sealed,
        "sealing halts: leaf 4 was sealed as another leaf: the database holds another history"
    );
    let lost = check_doubt("delete from checkpoint").await;
    assert_eq!(
        lost,
        "sealing halts: a checkpoint of 10 leaves is published, but the database knows only 0: it lost commits"
    );
    let forked = check_doubt("update checkpoint set root = sha256('x')").await;
    assert_eq!(
        forked,
        "sealing halts: the checkpoint of 10 leaves is published with another root than the database has: two histories"
    );
    let regrown = check_doubt("update checkpoint set size = 11").await;
    assert!(regrown.contains("two histories"), "{regrown}");
    let emptied = check_doubt("delete from checkpoint; update log_head set size = 0; delete from leaf").await;
    assert!(emptied.contains("it lost commits"), "{emptied}");
    let shorter = check_doubt("update log_head set size = 5; delete from leaf where leaf_index >= 5; delete from posting where leaf_index >= 5; delete from entry where leaf_index >= 5").await;
    assert!(shorter.contains("it lost commits"), "{shorter}");
}

/// A log in which nothing was posted for long may have its newest leaves archived. A sealer that starts there compares what is left
/// of them, and goes on.
#[tokio::test]
async fn sealing_goes_on_where_the_newest_leaves_are_archived() {
    let it = Fixture::new().await;
    it.post(10).await;
    it.seal_all().await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    let lines = store::archive_lines(conn, 0, 10, 100).await.unwrap();
    assert_eq!(lines.len(), 10);
    let (digest, file) = ([7; 32], "postings");
    let new = store::NewArchive { first_leaf_index: 0, end_leaf_index: 10, postings: 10, digest, file };
    store::begin_archive(conn, &new).await.unwrap();
    let archive = store::archives(conn).await.unwrap().pop().unwrap();
    store::take_away(conn, &archive, &lines[..5]).await.unwrap();
    it.post(1).await;
    assert_eq!(it.sealer().seal().await.unwrap(), Sealed::Checkpoint { size: 11 });
    store::take_away(conn, &archive, &lines[5..]).await.unwrap();
    store::end_archive(conn, &archive).await.unwrap();
    it.post(1).await;
    assert_eq!(it.sealer().seal().await.unwrap(), Sealed::Checkpoint { size: 12 });
    it.tamper("update leaf set commitment = sha256('x') where leaf_index = 4").await;
    let halted = it.sealer().seal().await.unwrap_err();
    assert!(matches!(halted, SealError::Halt(Doubt::SealedLeafChanged { leaf_index: 4 })), "{halted}");
}

/// A leaf that the last checkpoint did not seal: that one's own are made again.
#[tokio::test]
async fn rewritten_tiles_halt_sealing() {
    let it = Fixture::new().await;
    for count in [300, 1] {
        it.post(count).await;
        it.seal_all().await;
    }
    let published = it.published();
    it.rewrite_tiles(4).await;
    it.post(1).await;
    let error = it.sealer().seal().await.unwrap_err();
    assert!(matches!(error, SealError::Halt(Doubt::TilesDisagree { size: 301 })), "{error}");
    assert_eq!(it.published(), published, "nothing is published in doubt");
}

#[tokio::test]
async fn rewritten_tiles_of_the_last_checkpoint_are_put_right() {
    let it = Fixture::new().await;
    it.post(300).await;
    it.seal_all().await;
    it.rewrite_tiles(4).await;
    assert_ne!(it.files(), it.expected(&[300]).await);
    assert_eq!(it.sealer().seal().await.unwrap(), Sealed::Nothing);
    let sound = it.files();
    assert_eq!(sound, it.expected(&[300]).await);
    // Not from rows that are others, whichever bundle they are in.
    it.tamper("update leaf set commitment = sha256('x') where leaf_index = 4").await;
    let halted = it.sealer().seal().await.unwrap_err();
    assert!(matches!(halted, SealError::Halt(Doubt::SealedLeafChanged { leaf_index: 4 })), "{halted}");
    assert_eq!(it.files(), sound);
}

/// What sealing says of a new leaf that was changed before it was sealed.
async fn check_changed(statements: &str) {
    let it = Fixture::new().await;
    it.post(3).await;
    it.tamper(statements).await;
    let error = it.sealer().seal().await.unwrap_err();
    assert!(matches!(error, SealError::Halt(Doubt::LeafChanged { leaf_index: 1 })), "{error}");
    assert_eq!(it.published(), None);
}

#[tokio::test]
async fn a_corrupted_part_halts_sealing_and_names_the_leaf() {
    check_changed("update leaf set commitment = sha256('x') where leaf_index = 1").await;
    check_changed("update posting set header_commitment = sha256('x') where leaf_index = 1").await;
    check_changed("update posting set details_commitment = sha256('x') where leaf_index = 1").await;
    check_changed("update entry set commitment = sha256('x') where leaf_index = 1 and ordinal = 1").await;
    check_changed("delete from entry where leaf_index = 1 and ordinal = 1").await;
}

#[tokio::test]
async fn a_lost_tile_halts_sealing() {
    let it = Fixture::new().await;
    for count in [300, 1] {
        it.post(count).await;
        it.seal_all().await;
    }
    std::fs::remove_file(it.home.path().join("log/tile/1/000.p/1")).unwrap();
    let error = it.sealer().seal().await.unwrap_err();
    assert!(matches!(error, SealError::Halt(Doubt::Tiles(_))), "{error}");
}

#[tokio::test]
async fn a_checkpoint_of_another_key_halts_sealing() {
    let it = Fixture::new().await;
    let other = LogKey::open(&it.home.path().join("other.key"), super::fixture::ORIGIN).unwrap();
    let other = LogKeys::from(other);
    let checkpoint = proof::Checkpoint { origin: it.log.origin.clone(), size: 1, root: [0; 32] };
    let note = other.sign(&checkpoint, &other.history()).await.unwrap().unwrap();
    it.folder.publish_checkpoint(&note.encode(), u64::MAX).unwrap();
    let error = it.sealer().seal().await.unwrap_err();
    assert!(matches!(error, SealError::Halt(Doubt::ForeignCheckpoint(_))), "{error}");
}

#[tokio::test]
async fn the_key_is_generated_once_and_kept_to_ourselves() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::TempDir::new().unwrap();
    let path = home.path().join("keys/log.key");
    let opened: Vec<_> = std::thread::scope(|scope| {
        let opening: Vec<_> =
            (0..8).map(|_| scope.spawn(|| LogKey::open(&path, "log.example").unwrap().log())).collect();
        opening.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(opened.iter().all(|it| *it == opened[0]), "all read the key that one generated");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert!(LogKey::open(&path, "other.example").is_err());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(LogKey::open(&path, "log.example").is_err(), "a key that others can read is refused");
}

#[tokio::test]
async fn the_next_partitions_are_made_as_the_log_grows() {
    let it = Fixture::new().await;
    let mut sealer = it.sealer().with_room(4);
    // At the start of a process, and whenever the log enters another stretch.
    for (leaves, is_made) in [(1, true), (1, false), (3, true), (1, false)] {
        it.tamper("drop table leaf_1").await;
        it.post(leaves).await;
        assert!(matches!(sealer.seal().await.unwrap(), Sealed::Checkpoint { .. }));
        let dropped = it.tampering("drop table leaf_1").await;
        assert_eq!(dropped.is_ok(), is_made);
        store::ensure_partitions(&mut it.pool.acquire().await.unwrap()).await.unwrap();
    }
}
