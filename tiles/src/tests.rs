use std::collections::BTreeMap;

use proof::{
    Checkpoint, Hash, LEAF_BYTES, Node, Signer, TileId, bundle, empty_root, leaf_hash, node_hash,
    tiles_between, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{Edge, TileError, TileFolder};

fn leaves(count: u64) -> Vec<[u8; LEAF_BYTES]> {
    let leaf = |index: u64| {
        let mut bytes = [7; LEAF_BYTES];
        bytes[..8].copy_from_slice(&index.to_be_bytes());
        bytes
    };
    (0..count).map(leaf).collect()
}

/// RFC 6962's MTH, as its text says it.
fn plain_root(leaves: &[[u8; LEAF_BYTES]]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => leaf_hash(leaf),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&plain_root(left), &plain_root(right))
        }
    }
}

/// A tile or bundle, as tlog-tiles says it.
fn plain_tile(leaves: &[[u8; LEAF_BYTES]], tile: TileId) -> Vec<u8> {
    let rows = tile.index as usize * 256..tile.index as usize * 256 + usize::from(tile.width);
    match tile.level {
        None => bundle(&leaves[rows]),
        Some(level) => {
            let span = 256_usize.pow(u32::from(level));
            rows.flat_map(|row| plain_root(&leaves[row * span..(row + 1) * span])).collect()
        }
    }
}

/// Grows a log by these steps, from a reloaded edge each time, and checks all that stands in the folder against a
/// plain recomputation.
fn check(steps: &[u64]) {
    let home = TempDir::new().unwrap();
    let folder = TileFolder::open(home.path()).unwrap();
    let all = leaves(steps.iter().sum());
    let mut size = 0;
    let mut sizes = vec![0];
    for step in steps {
        let edge = folder.edge(size).unwrap();
        assert_eq!(edge.size(), size);
        let (after, tiles) = edge.extended(&all[size as usize..(size + step) as usize]);
        let ids: Vec<TileId> = tiles.iter().map(|(tile, _)| *tile).collect();
        assert_eq!(ids, tiles_between(size, size + step));
        for (tile, bytes) in &tiles {
            assert_eq!(*bytes, plain_tile(&all, *tile), "{}", tile.path());
            folder.write(*tile, bytes).unwrap();
        }
        size += step;
        sizes.push(size);
        assert_eq!(after.root(), plain_root(&all[..size as usize]));
        assert_eq!(after, folder.edge(size).unwrap(), "what was kept in memory is what stands in the folder");
    }
    let root = plain_root(&all);
    for old in sizes {
        let proof = folder.consistency_proof(old, size).unwrap();
        let old_root = plain_root(&all[..old as usize]);
        assert!(verify_consistency(old, &old_root, size, &root, &proof), "{old} to {size}");
    }
    for leaf_index in [0, size / 3, size.saturating_sub(1)].into_iter().filter(|it| *it < size) {
        let path = folder.inclusion_proof(leaf_index, size).unwrap();
        let leaf = folder.leaf(leaf_index, size).unwrap();
        assert_eq!(leaf, all[leaf_index as usize]);
        assert!(
            verify_inclusion(leaf_index, size, &leaf_hash(&leaf), &path, &root),
            "{leaf_index} in {size}"
        );
    }
}

#[test]
fn a_log_grows_over_every_tile_boundary() {
    check(&[]);
    check(&[1]);
    check(&[255, 1, 1]);
    check(&[256, 256]);
    check(&[600, 1, 500]);
    check(&[65_535, 1, 1]);
    check(&[70_000]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_may_be_cut_anywhere(steps in prop::collection::vec(1_u64..700, 1..5)) {
        check(&steps);
    }

    #[test]
    fn one_batch_or_many_end_at_the_same_edge(steps in prop::collection::vec(1_u64..3000, 1..20)) {
        let all = leaves(steps.iter().sum());
        let (whole, tiles) = Edge::default().extended(&all);
        let mut last = BTreeMap::new();
        let mut edge = Edge::default();
        for step in steps {
            let (after, tiles) = edge.extended(&all[edge.size() as usize..(edge.size() + step) as usize]);
            last.extend(tiles);
            edge = after;
        }
        prop_assert_eq!(&whole, &edge);
        for (tile, bytes) in tiles {
            prop_assert_eq!(last.get(&tile), Some(&bytes), "{}", tile.path());
        }
    }
}

#[test]
fn a_partial_tile_is_cut_from_the_full_one_where_it_is_gone() {
    let home = TempDir::new().unwrap();
    let folder = TileFolder::open(home.path()).unwrap();
    let all = leaves(300);
    for (tile, bytes) in Edge::default().extended(&all).1 {
        folder.write(tile, &bytes).unwrap();
    }
    for level in [None, Some(0)] {
        let tile = TileId { level, index: 0, width: 77 };
        assert_eq!(folder.read(tile).unwrap(), Some(plain_tile(&all, tile)));
        assert_eq!(folder.read(TileId { index: 9, ..tile }).unwrap(), None);
    }
}

#[test]
fn a_missing_or_short_tile_is_named() {
    let home = TempDir::new().unwrap();
    let folder = TileFolder::open(home.path()).unwrap();
    let node = Node { level: 0, index: 5 };
    assert_eq!(folder.node(6, node).unwrap_err().to_string(), {
        "tile/0/000.p/6 is missing, although a checkpoint implies it"
    });
    folder.write(TileId::holding(node, 6), &[0; 100]).unwrap();
    assert!(matches!(folder.node(6, node), Err(TileError::Damaged { .. })));
}

fn note(size: u64) -> String {
    let signer = Signer::new("log.example", &[1; 32]).unwrap();
    Checkpoint { origin: "log.example".into(), size, root: [0; 32] }.sign(&signer).encode()
}

#[test]
fn a_published_checkpoint_never_goes_back() {
    let home = TempDir::new().unwrap();
    let folder = TileFolder::open(home.path()).unwrap();
    assert_eq!(folder.checkpoint().unwrap(), None);
    for (published, stands) in [(5, 5), (9, 9), (7, 9), (10, 10)] {
        folder.publish_checkpoint(&note(published)).unwrap();
        assert_eq!(folder.checkpoint().unwrap(), Some(note(stands)));
    }
    assert!(matches!(folder.publish_checkpoint("nonsense"), Err(TileError::Damaged { .. })));
}

#[test]
fn nothing_is_left_beside_the_log() {
    let home = TempDir::new().unwrap();
    let folder = TileFolder::open(home.path()).unwrap();
    folder.write(TileId { level: Some(0), index: 1_234_067, width: 3 }, &[0; 96]).unwrap();
    folder.publish_checkpoint(&note(1)).unwrap();
    assert!(home.path().join("tile/0/x001/x234/067.p/3").is_file());
    assert_eq!(std::fs::read_dir(home.path().join(".staging")).unwrap().count(), 0);
}

#[test]
fn what_a_crash_left_staged_is_swept_and_what_is_being_written_stays() {
    let home = TempDir::new().unwrap();
    TileFolder::open(home.path()).unwrap();
    let [left, written] = ["left", "written"].map(|it| home.path().join(".staging").join(it));
    std::fs::write(&left, "half a tile").unwrap();
    let writing = std::fs::File::create(&written).unwrap();
    writing.lock().unwrap();
    TileFolder::open(home.path()).unwrap();
    assert!(!left.exists() && written.exists());
    drop(writing);
    TileFolder::open(home.path()).unwrap();
    assert!(!written.exists());
}
