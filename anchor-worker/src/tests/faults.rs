//! Sealing on what does not keep its word: a disk that is full or has kept a half, and a clock that jumps. Afterwards there is
//! what an uninterrupted run would have left.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tiles::{TileError, TileStore};

use super::fixture::{Fixture, ORIGIN};
use crate::{Act, Failpoint, LogKey, Moment, Obstacle, SealError, Sealed, Sealer};

fn staged(it: &Fixture) -> usize {
    std::fs::read_dir(it.home.path().join("log/.staging")).unwrap().count()
}

/// A machine that loses its power may keep half of what its disk had not synced, staged or in its place.
#[tokio::test]
async fn what_is_there_by_half_is_written_anew() {
    let it = Fixture::new().await;
    it.post(300).await;
    let written: Failpoint = Arc::new(|act, moment| (act, moment) == (Act::RecordCheckpoint, Moment::Before));
    it.sealer().with_failpoint(written).seal().await.unwrap_err();
    let folder = it.home.path().join("log");
    let whole = it.files();
    assert_eq!(whole.len(), 5, "a bundle and a tile, full and partial, and the tile above");
    for (name, bytes) in &whole {
        std::fs::write(folder.join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    std::fs::write(folder.join(".staging/left"), "half a tile").unwrap();
    it.seal_all().await;
    assert_eq!(it.files(), it.expected(&[300]).await);
    assert_eq!(staged(&it), 0);
}

/// A disk that takes no more: here, one on which files may not grow beyond a few blocks, as the shell tells a process of its own,
/// in which this test runs again. The kernel takes a part of a tile, and then no more of it.
#[tokio::test]
async fn a_full_disk_keeps_sealing_waiting_and_leaves_nothing() {
    const NAME: &str = "tests::faults::a_full_disk_keeps_sealing_waiting_and_leaves_nothing";
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let size = limits.lines().find_map(|it| it.strip_prefix("Max file size")).unwrap();
    if size.split_whitespace().next() != Some("unlimited") {
        return on_a_full_disk().await;
    }
    let it = Fixture::new().await;
    it.post(300).await;
    let mut full = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 4; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let where_it_is = format!("{}\n{}", it.url, it.home.path().display());
    full.stdin.take().unwrap().write_all(where_it_is.as_bytes()).unwrap();
    let ended = full.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}");
    assert_eq!((it.published(), staged(&it)), (None, 0));

    it.seal_all().await;
    assert_eq!(it.files(), it.expected(&[300]).await);
}

async fn on_a_full_disk() {
    let told = std::io::read_to_string(std::io::stdin()).unwrap();
    let (url, home) = told.split_once('\n').unwrap();
    let home = Path::new(home);
    let key = LogKey::open(&home.join("log.key"), ORIGIN).unwrap();
    let folder = Arc::new(TileStore::open(home.join("log")).unwrap());
    let mut sealer = Sealer::new(store::connect(url, 2).await.unwrap(), folder, key);
    for _ in 0..3 {
        let ended = sealer.seal().await;
        let Err(SealError::Retry(Obstacle::Tiles(TileError::Io { source, .. }))) = &ended else {
            panic!("{ended:?}")
        };
        assert_eq!(source.kind(), ErrorKind::FileTooLarge);
    }
}

/// A checkpoint holds no time, and when it is published again is measured, not read from a clock: one that jumps between two
/// seals, either way, changes nothing.
#[tokio::test]
async fn a_clock_that_jumps_changes_no_checkpoint() {
    let mut it = Fixture::new().await;
    let published = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&published);
    let counts: Failpoint = Arc::new(move |act, moment| {
        counter.fetch_add(
            usize::from((act, moment) == (Act::PublishCheckpoint, Moment::After)),
            Ordering::Relaxed,
        );
        false
    });
    let mut sealer = it.sealer().with_freshness(Duration::ZERO).with_failpoint(counts);
    let mut sizes = Vec::new();
    for (size, jump_s) in [(100, 3600), (200, -7200), (300, 3600), (400, 0)] {
        it.post(100).await;
        assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size });
        assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);
        sizes.push(size);
        assert_eq!(published.load(Ordering::Relaxed), 2 * sizes.len(), "once, and once again");
        assert_eq!(it.files(), it.expected(&sizes).await);
        // As what was written looks to a clock that has jumped the other way. The log's own time never goes back.
        it.tamper(&format!(
            "update checkpoint set sealed_at = sealed_at + interval '{jump_s} seconds';
             update log_head set recorded_at = recorded_at + greatest({jump_s}, 0) * 1000000::bigint"
        ))
        .await;
        it.reopen(it.url.clone()).await;
    }
}
