//! What has rotted in the object store is written again, as it was, and nothing else ever is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proof::{Checkpoint, SignedNote};
use store::Keyring;
use tiles::{Edge, TileStore};

use super::fixture::{Fixture, ORIGIN};
use crate::{MendError, Mended, make_map, mend};

/// A sealed log of two full bundles, a third one, and a declaration.
async fn log() -> Fixture {
    let it = Fixture::new().await;
    it.post(3).await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    make_map(conn, &Keyring::new(&[9; 32]), &it.log, &it.folder).await.unwrap().unwrap();
    it.post(600).await;
    it.seal_all().await;
    it
}

async fn try_mend(it: &Fixture, dry_run: bool) -> Result<Vec<Mended>, MendError> {
    let conn = &mut *it.pool.acquire().await.unwrap();
    let note = SignedNote::parse(&it.folder.greatest_checkpoint().unwrap().unwrap()).unwrap();
    let checkpoint = Checkpoint::parse(&note.text).unwrap();
    let mut told = Vec::new();
    mend(conn, &it.log, &it.folder, &checkpoint, dry_run, |it| told.push(it)).await?;
    Ok(told)
}

async fn mended(it: &Fixture) -> Vec<Mended> {
    try_mend(it, false).await.unwrap()
}

/// What is left of these, by path.
fn left(told: &[Mended]) -> Vec<(&str, Option<&str>)> {
    told.iter().map(|it| (it.path.as_str(), it.left.as_deref())).collect()
}

/// All that can be mended: an account map has salts that nobody keeps.
fn mendable(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<String> {
    let paths = files.keys().filter(|it| it.starts_with("tile") || it.starts_with("declaration"));
    paths.map(|it| it.to_str().unwrap().to_owned()).collect()
}

fn file(it: &Fixture, path: &str) -> PathBuf {
    it.home.path().join("log").join(path)
}

fn flip(it: &Fixture, path: &str) {
    let mut bytes = std::fs::read(file(it, path)).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(file(it, path), bytes).unwrap();
}

fn cut(it: &Fixture, path: &str) {
    let bytes = std::fs::read(file(it, path)).unwrap();
    std::fs::write(file(it, path), &bytes[..bytes.len() - 1]).unwrap();
}

fn remove(it: &Fixture, path: &str) {
    std::fs::remove_file(file(it, path)).unwrap();
}

#[tokio::test]
async fn each_file_that_has_rotted_or_is_gone_is_written_as_it_was() {
    let it = log().await;
    let before = it.files();
    assert_eq!(mended(&it).await, []);
    let paths = mendable(&before);
    assert_eq!(paths.len(), 3 + 3 + 1 + 1, "{paths:?}");
    for path in &paths {
        for damage in [flip, cut, remove] {
            damage(&it, path);
            let damaged = it.files();
            let would = try_mend(&it, true).await.unwrap();
            assert_eq!(it.files(), damaged, "a dry run writes nothing");
            assert_eq!(left(&would), [(path.as_str(), None)]);
            assert_eq!(mended(&it).await, would);
            assert!(it.files() == before, "{path}");
        }
    }
    assert_eq!(mended(&it).await, []);
}

#[tokio::test]
async fn a_log_that_is_wholly_lost_is_written_from_the_rows() {
    let mut it = log().await;
    let mut before = it.files();
    for damage in [flip, remove] {
        mendable(&before).iter().for_each(|path| damage(&it, path));
        assert_eq!(mended(&it).await.len(), mendable(&before).len());
        assert!(it.files() == before);
    }
    // What was published is known beside the folder, too.
    let folder = it.home.path().join("log");
    std::fs::remove_dir_all(&folder).unwrap();
    it.folder = Arc::new(TileStore::open(folder).unwrap());
    assert_eq!(mended(&it).await.len(), mendable(&before).len());
    it.seal_all().await;
    before.retain(|path, _| !path.starts_with("map"));
    assert!(it.files() == before);
}

#[tokio::test]
async fn a_full_tile_that_is_gone_comes_back_over_its_partial_ones() {
    let it = log().await;
    let before = it.files();
    let whole = &before[&PathBuf::from("tile/0/000")];
    remove(&it, "tile/0/000");
    std::fs::create_dir(file(&it, "tile/0/000.p")).unwrap();
    std::fs::write(file(&it, "tile/0/000.p/5"), &whole[..5 * 32]).unwrap();
    assert_eq!(left(&mended(&it).await), [("tile/0/000", None)]);
    assert!(it.files() == before);
}

#[tokio::test]
async fn rows_that_do_not_lead_to_the_root_are_not_written() {
    let it = log().await;
    let before = it.files();
    it.tamper("update leaf set commitment = sha256('x') where leaf_index = 2").await;
    flip(&it, "tile/entries/000");
    flip(&it, "tile/entries/001");
    let damaged = it.files();
    let told = mended(&it).await;
    let other = "the database holds another leaf 2";
    assert_eq!(left(&told), [("tile/entries/000", Some(other)), ("tile/entries/001", None)]);
    let bundle = PathBuf::from("tile/entries/000");
    assert_eq!(it.files()[&bundle], damaged[&bundle]);

    flip(&it, "tile/0/000");
    let unled =
        "the database's rows do not lead to the published root, so its bundle was not looked at either";
    assert_eq!(left(&mended(&it).await), [("tile/0/000", Some(unled))]);
    it.tamper("delete from leaf where leaf_index = 2").await;
    let missing = "leaf 2 is missing, so its bundle was not looked at either";
    assert_eq!(left(&mended(&it).await), [("tile/0/000", Some(missing))]);

    // From a copy of its bundle the tile comes back, whatever the rows say.
    std::fs::write(file(&it, "tile/entries/000"), &before[&bundle]).unwrap();
    assert_eq!(left(&mended(&it).await), [("tile/0/000", None)]);
    assert!(it.files() == before);
}

#[tokio::test]
async fn a_declaration_that_the_database_has_lost_is_left() {
    let it = log().await;
    flip(&it, "declaration/3");
    it.tamper("update declaration set recorded_at = recorded_at + 1 where leaf_index = 3").await;
    let other = "the database holds another leaf 3";
    assert_eq!(left(&mended(&it).await), [("declaration/3", Some(other))]);
    it.tamper("delete from declaration where leaf_index = 3").await;
    let lost = "the database does not hold what leaf 3 says";
    assert_eq!(left(&mended(&it).await), [("declaration/3", Some(lost))]);
}

#[tokio::test]
async fn where_nothing_leads_to_the_root_nothing_is_written() {
    let it = Fixture::new().await;
    it.post(5).await;
    it.seal_all().await;
    it.tamper("update leaf set commitment = sha256('x') where leaf_index = 2").await;
    remove(&it, "tile/0/000.p/5");
    flip(&it, "tile/entries/000.p/5");
    let damaged = it.files();
    let error = try_mend(&it, false).await.unwrap_err();
    assert!(matches!(error, MendError::Unled { size: 5, .. }), "{error}");
    assert_eq!(it.files(), damaged);
}

/// Leaves without postings, as those whose postings are archived.
#[tokio::test]
async fn a_tile_of_a_higher_level_is_made_of_what_is_below_it() {
    const SIZE: u64 = 65_536 + 300;
    let it = Fixture::new().await;
    let all = format!("from generate_series(0, {SIZE} - 1) as number");
    it.tamper(&format!(
        "insert into leaf (leaf_index, kind, commitment) select number, 1, sha256(number::text::bytea) {all};
         insert into lost_leaf select number {all};
         update log_head set size = {SIZE}"
    ))
    .await;
    let (edge, tiles) = Edge::default().extended(&it.leaf_bytes().await);
    for (tile, bytes) in tiles {
        it.folder.write(tile, &bytes).unwrap();
    }
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: SIZE, root: edge.root() };
    let keys = it.keys();
    let note = keys.sign(&checkpoint, &keys.history()).await.unwrap().unwrap().encode();
    it.folder.publish_checkpoint(&note, u64::MAX).unwrap();
    let before = it.files();
    for paths in [
        &["tile/1/000"][..],
        &["tile/0/007", "tile/1/000"],
        &["tile/0/007", "tile/1/000", "tile/entries/007"],
        &["tile/0/255", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"],
    ] {
        paths.iter().for_each(|path| flip(&it, path));
        let told = mended(&it).await;
        let mut put_right: Vec<_> = told.iter().map(|it| it.path.as_str()).collect();
        put_right.sort_unstable();
        assert_eq!(put_right, paths);
        assert!(it.files() == before, "{paths:?}");
    }
}
