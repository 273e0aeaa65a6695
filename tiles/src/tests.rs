mod places;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{BucketConfig, Edge, TileError, TileStore, stored_form};
use places::{Place, places};
use proof::{
    Checkpoint, Hash, LEAF_BYTES, Node, SignedNote, Signer, TILE_WIDTH, TileId, bundle, empty_root,
    leaf_hash, node_hash, tiles_between, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

fn leaves(count: u64) -> Vec<[u8; LEAF_BYTES]> {
    let leaf = |index: u64| {
        let mut bytes = [7; LEAF_BYTES];
        bytes[34..42].copy_from_slice(&index.to_be_bytes());
        bytes[42..].copy_from_slice(&leaf_hash(&index.to_be_bytes()));
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

fn check(steps: &[u64]) {
    for place in places() {
        check_in(&place, steps);
    }
}

/// Grows a log by these steps, from a reloaded edge each time, and checks all that stands in the place against a plain
/// recomputation.
fn check_in(place: &Place, steps: &[u64]) {
    let folder = place.open();
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
            assert_eq!(std::fs::read(place.file(&tile.path())).unwrap(), stored_form(*tile, bytes));
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
    let [folder, _] = places();
    check_in(&folder, &[65_535, 1, 1]);
    let [folder, _] = places();
    check_in(&folder, &[70_000]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_may_be_cut_anywhere(steps in prop::collection::vec(1_u64..700, 1..5)) {
        let [folder, _] = places();
        check_in(&folder, &steps);
    }

    /// However it is kept, read once or again: a hash is the one of the definition, or its tile is named.
    #[test]
    fn every_hash_is_the_right_one_or_its_tile_is_named(
        size in 257_u64..1500,
        picks in prop::collection::vec((0_u8..11, any::<prop::sample::Index>()), 40),
        rotten in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let all = leaves(size);
        let rotten = rotten.index((size / 256 * 256) as usize) as u64;
        let picked = picks.into_iter().map(|(level, index)| {
            let level = level.min(size.ilog2() as u8);
            Node { level, index: index.index((size >> level) as usize) as u64 }
        });
        let nodes = (0..8).map(|level| Node { level, index: rotten >> level }).chain(picked);
        let first = |node: Node| (node.index << node.level) as usize;
        let plain = |node: Node| plain_root(&all[first(node)..first(node) + (1 << node.level)]);
        let nodes: Vec<(Node, Hash)> = nodes.map(|it| (it, plain(it))).collect();
        let below = TileId { level: Some(0), index: rotten / 256, width: 256 };
        for place in places() {
            let known = place.open();
            for (tile, bytes) in Edge::default().extended(&all).1 {
                known.write(tile, &bytes).unwrap();
            }
            let mut answers = known.nodes(size);
            for (node, hash) in nodes.iter().rev().chain(&nodes) {
                prop_assert_eq!(answers(*node).unwrap(), *hash);
            }
            // The leaf's own hash has rotted, or that of its tile in the tile above.
            let above = TileId::holding(below.root().unwrap(), size);
            for (tile, at) in [(below, rotten % 256), (above, rotten / 256)] {
                let file = place.file(&tile.path());
                let sound = std::fs::read(&file).unwrap();
                let mut bytes = sound.clone();
                bytes[at as usize * 32 + 7] ^= 1 << bit;
                std::fs::write(&file, bytes).unwrap();
                let new = place.open();
                let is_named = |answer: &Result<Hash, TileError>| {
                    matches!(answer, Err(TileError::Damaged { path, .. }) if *path == below.path())
                };
                for (node, hash) in &nodes {
                    let is_below = node.level < 8 && node.index >> (8 - node.level) == below.index;
                    let answer = new.nodes(size)(*node);
                    prop_assert_eq!(is_named(&answer), is_below, "{:?}", node);
                    // What is kept is right still, and what is read again is held against it.
                    let answer = known.nodes(size)(*node);
                    prop_assert!(is_named(&answer) || answer.unwrap() == *hash, "{:?}", node);
                }
                let leaf = Node { level: 0, index: rotten };
                let is_read_again = tile == below && matches!(place, Place::Folder(_));
                prop_assert_eq!(is_named(&known.nodes(size)(leaf)), is_read_again);
                // Once it is put right, nobody has to start again.
                std::fs::write(&file, sound).unwrap();
                for (node, hash) in nodes.iter().filter(|(it, _)| it.level < 8) {
                    prop_assert_eq!(new.nodes(size)(*node).unwrap(), *hash);
                }
            }
        }
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

/// A log of 300 leaves in this place.
fn grown(place: &Place) -> (TileStore, Vec<[u8; LEAF_BYTES]>) {
    let store = place.open();
    let all = leaves(300);
    for (tile, bytes) in Edge::default().extended(&all).1 {
        store.write(tile, &bytes).unwrap();
    }
    (store, all)
}

#[test]
fn a_partial_tile_is_cut_from_the_full_one_where_it_is_gone() {
    for place in places() {
        let (store, all) = grown(&place);
        for level in [None, Some(0)] {
            let tile = TileId { level, index: 0, width: 77 };
            assert_eq!(store.read(tile).unwrap(), Some(plain_tile(&all, tile)));
            let stored = store.read_stored(tile).unwrap().unwrap();
            assert_eq!((stored.bytes, stored.is_gzip), (plain_tile(&all, tile), false));
            assert_eq!(store.read(TileId { index: 9, ..tile }).unwrap(), None);
            assert_eq!(store.read_stored(TileId { index: 9, ..tile }).unwrap(), None);
            let full = tile.full();
            let stored = store.read_stored(full).unwrap().unwrap();
            assert_eq!(stored.is_gzip, level.is_none());
            assert_eq!(stored.bytes, stored_form(full, &plain_tile(&all, full)));
        }
        store.publish_checkpoint(&note(300), 0).unwrap();
        for level in [None, Some(0)] {
            let tile = TileId { level, index: 1, width: 7 };
            assert_eq!(store.read(tile).unwrap(), Some(plain_tile(&all, tile)), "the widest has it");
            assert_eq!(store.read(TileId { width: 45, ..tile }).unwrap(), None);
        }
    }
}

/// A full tile that is only written may be another history's.
#[test]
fn partial_tiles_go_once_the_full_one_is_held() {
    for place in places() {
        let store = place.open();
        let all = leaves(300);
        let mut edge = Edge::default();
        let mut grow = |to: u64| {
            let (after, tiles) = edge.extended(&all[edge.size() as usize..to as usize]);
            tiles.iter().for_each(|(tile, bytes)| store.write(*tile, bytes).unwrap());
            edge = after;
            tiles
        };
        let stands = |name: &str| place.file(name).is_file();
        grow(100);
        grow(255);
        assert!(
            ["tile/0/000.p/100", "tile/0/000.p/255", "tile/entries/000.p/100"].iter().all(|it| stands(it))
        );
        let tiles = grow(300);
        assert!(
            ["tile/0/000", "tile/entries/000", "tile/0/001.p/44", "tile/1/000.p/1"]
                .iter()
                .all(|it| stands(it))
        );
        let part = TileId { level: None, index: 0, width: 100 };
        let mut other = plain_tile(&all, part.full());
        other[9] ^= 1;
        place.open().write(part.full(), &other).unwrap();
        assert!(stands("tile/0/000.p/100") && stands("tile/entries/000.p/100"));
        assert_eq!(store.read(part).unwrap(), Some(plain_tile(&all, part)));
        tiles.iter().for_each(|(tile, bytes)| store.hold(*tile, bytes).unwrap());
        assert_eq!(store.read(part).unwrap(), Some(plain_tile(&all, part)));
        assert!(
            !["tile/0/000.p/100", "tile/0/000.p/255", "tile/entries/000.p/255"].iter().any(|it| stands(it))
        );
    }
}

/// The bytes that the library makes of a bundle. Another version of it that makes others is noticed here: what stands
/// already stays readable, but two sealers of two versions would write different bytes under one name.
#[test]
fn compression_is_pinned() {
    let bundle = TileId { level: None, index: 0, width: 256 };
    let packed = stored_form(bundle, &plain_tile(&leaves(256), bundle));
    let hash: String = leaf_hash(&packed).iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!((packed.len(), hash.as_str()), (PACKED_BYTES, PACKED_HASH));
}

const PACKED_BYTES: usize = 9545;
const PACKED_HASH: &str = "5946c862d034ed2902c6c8da136f944ea48600d5b766a61ed89c341086dd8ed0";

#[test]
fn hashes_that_begin_as_a_gzip_file_does_are_hashes() {
    let tile = TileId { level: Some(0), index: 7, width: TILE_WIDTH as u16 };
    let mut hashes = vec![7; 32 * TILE_WIDTH as usize];
    hashes[..2].copy_from_slice(&[0x1f, 0x8b]);
    for place in places() {
        let store = place.open();
        store.write(tile, &hashes).unwrap();
        assert_eq!(store.read(tile).unwrap().unwrap(), hashes);
        let kept = store.read_stored(tile).unwrap().unwrap();
        assert!(!kept.is_gzip && kept.bytes == hashes);
    }
}

/// A smaller tree's proofs are made of the newest one's tiles: those of its own size may have rotted since, or be gone.
#[test]
fn proofs_of_an_old_size_come_from_the_newest_tiles() {
    for place in places() {
        let store = place.open();
        let all = leaves(200);
        let mut edge = Edge::default();
        let mut roots = Vec::new();
        for size in [100, 150, 200] {
            let (after, tiles) = edge.extended(&all[edge.size() as usize..size]);
            tiles.iter().for_each(|(tile, bytes)| store.write(*tile, bytes).unwrap());
            edge = after;
            roots.push(edge.root());
            store.publish_checkpoint(&note(size as u64), u64::MAX).unwrap();
        }
        for width in [100, 150] {
            std::fs::write(place.file(&format!("tile/0/000.p/{width}")), vec![7; 32 * width]).unwrap();
        }
        let path = store.inclusion_proof(17, 100).unwrap();
        assert!(verify_inclusion(17, 100, &leaf_hash(&all[17]), &path, &roots[0]));
        let path = store.consistency_proof(100, 150).unwrap();
        assert!(verify_consistency(100, &roots[0], 150, &roots[1], &path));
        assert_eq!((store.newest(150), store.newest(201)), (200, 201));
    }
}

#[test]
fn a_missing_or_short_tile_is_named() {
    for place in places() {
        let store = place.open();
        let node = Node { level: 0, index: 5 };
        assert_eq!(store.nodes(6)(node).unwrap_err().to_string(), {
            "tile/0/000.p/6 is missing, although a checkpoint implies it"
        });
        store.write(TileId::holding(node, 6), &[0; 100]).unwrap();
        assert!(matches!(store.nodes(6)(node), Err(TileError::Damaged { .. })));
        store.write(TileId::holding(node, 6), &[0; 7 * 32]).unwrap();
        assert!(matches!(store.nodes(6)(node), Err(TileError::Damaged { .. })), "what is too long is, too");
        // A bundle that unpacks to more than a bundle can hold, or not at all.
        let bundle = TileId { level: None, index: 0, width: 256 };
        store.write(bundle, &vec![0; 1 << 20]).unwrap();
        assert!(matches!(store.read(bundle), Err(TileError::Damaged { .. })));
        std::fs::write(place.file(&bundle.path()), [0x1f, 0x8b, 0]).unwrap();
        assert!(matches!(store.read(bundle), Err(TileError::Damaged { .. })));
    }
}

fn note(size: u64) -> String {
    note_of(size, 0, 1)
}

fn note_of(size: u64, root: u8, signatures: usize) -> String {
    let checkpoint = Checkpoint { origin: "log.example".into(), size, root: [root; 32] };
    let text = checkpoint.encode();
    let signers = (1..=signatures as u8).map(|it| Signer::new("log.example", &[it; 32]).unwrap());
    SignedNote { signatures: signers.map(|it| it.sign(&text)).collect(), text }.encode()
}

#[test]
fn a_published_checkpoint_never_goes_back() {
    for place in places() {
        let store = place.open();
        assert_eq!(store.checkpoint().unwrap(), None);
        assert_eq!(store.greatest_checkpoint().unwrap(), None);
        for (published, stands) in [(5, 5), (9, 9), (7, 9), (10, 10)] {
            store.publish_checkpoint(&note(published), u64::MAX).unwrap();
            assert_eq!(place.open().checkpoint().unwrap(), Some(note(stands)));
            assert_eq!(place.open().greatest_checkpoint().unwrap(), Some(note(stands)));
        }
        assert!(matches!(store.publish_checkpoint("nonsense", u64::MAX), Err(TileError::Damaged { .. })));
        // Cosigned later, it takes its own place; what has fewer signatures does not.
        store.publish_checkpoint(&note_of(10, 0, 3), u64::MAX).unwrap();
        store.publish_checkpoint(&note_of(10, 0, 2), u64::MAX).unwrap();
        assert_eq!(store.checkpoint().unwrap(), Some(note_of(10, 0, 3)));
        // Another tree of the same size never does.
        let fork = store.publish_checkpoint(&note_of(10, 1, 4), u64::MAX);
        assert!(matches!(fork, Err(TileError::Forked { size: 10 })), "{fork:?}");
        assert_eq!(store.checkpoint().unwrap(), Some(note_of(10, 0, 3)));
    }
}

/// What a publisher has not seen may be of another history than its own.
#[test]
fn nothing_is_published_over_what_its_publisher_has_not_seen() {
    for place in places() {
        let store = place.open();
        store.publish_checkpoint(&note(5), 0).unwrap();
        for size in [4, 6] {
            let blind = store.publish_checkpoint(&note_of(size, 1, 1), 3).unwrap_err();
            assert!(matches!(blind, TileError::Moved { size: 5 }) && blind.is_passing(), "{blind}");
        }
        assert_eq!(place.open().greatest_checkpoint().unwrap(), Some(note(5)));
        store.publish_checkpoint(&note(5), 0).unwrap();
        store.publish_checkpoint(&note(6), 5).unwrap();
        assert_eq!(place.open().greatest_checkpoint().unwrap(), Some(note(6)));
    }
}

/// Whoever is late, with tiles of another history, writes over nothing that is published. What a seal left that ended before
/// it published makes room, also where it is half a tile, as a power cut may leave one in a store that did not sync it.
#[test]
fn what_is_published_is_not_written_over() {
    for place in places() {
        let (store, all) = grown(&place);
        let full = TileId { level: Some(0), index: 0, width: 256 };
        let above = TileId { level: Some(1), index: 0, width: 1 };
        let last = TileId { level: Some(0), index: 1, width: 44 };
        let tiles = [full, TileId { level: None, ..full }, above, last];
        let is_sound = |tile: TileId| {
            std::fs::read(place.file(&tile.path())).unwrap() == stored_form(tile, &plain_tile(&all, tile))
        };
        for tile in tiles {
            let stored = stored_form(tile, &plain_tile(&all, tile));
            std::fs::write(place.file(&tile.path()), &stored[..stored.len() / 2]).unwrap();
            store.write(tile, &plain_tile(&all, tile)).unwrap();
            assert!(is_sound(tile), "{}", tile.path());
        }
        for (size, covered) in [(299, 3), (300, 4)] {
            store.publish_checkpoint(&note(size), u64::MAX).unwrap();
            for (at, tile) in tiles.into_iter().enumerate() {
                let mut other = plain_tile(&all, tile);
                other[9] ^= 1;
                let late = place.open().write(tile, &other);
                match late {
                    Ok(()) => assert!(covered <= at, "{}", tile.path()),
                    Err(TileError::Otherwise { size: known, .. }) => assert!(at < covered && known == size),
                    Err(error) => panic!("{error}"),
                }
                store.write(tile, &plain_tile(&all, tile)).unwrap();
                assert!(is_sound(tile), "{}", tile.path());
            }
        }
        let write = |leaf_index, word: &str| {
            store.write_beside(crate::Beside::Declaration(leaf_index), word.as_bytes())
        };
        for leaf_index in [299, 300] {
            write(leaf_index, "one").unwrap();
            write(leaf_index, "one").unwrap();
        }
        let late = write(299, "another").unwrap_err();
        assert!(matches!(late, TileError::Otherwise { size: 300, .. }) && !late.is_passing(), "{late}");
        write(300, "another").unwrap();
    }
}

/// Of two histories neither is published yet, and each makes room for the other. Whoever publishes first has its own again, also
/// a partial tile that is cut from a full one of the other's.
#[test]
fn what_is_published_is_what_its_publisher_wrote() {
    for place in places() {
        let (store, all) = grown(&place);
        let full = |level| TileId { level, index: 0, width: 256 };
        let part = TileId { level: None, index: 0, width: 77 };
        for tile in [full(None), full(Some(0))] {
            let mut other = plain_tile(&all, tile);
            other[9] ^= 1;
            place.open().write(tile, &other).unwrap();
            assert_eq!(store.read(tile).unwrap(), Some(other));
        }
        store.publish_checkpoint(&note(300), 0).unwrap();
        for tile in [part, full(None), full(Some(0))] {
            store.hold(tile, &plain_tile(&all, tile)).unwrap();
            let stored = stored_form(tile, &plain_tile(&all, tile));
            assert_eq!(std::fs::read(place.file(&tile.path())).unwrap(), stored, "{}", tile.path());
        }
    }
}

/// What has rotted is published, so that nobody writes over it but whoever has seen what it was.
#[test]
fn what_has_rotted_is_put_right() {
    for place in places() {
        let (store, all) = grown(&place);
        let beside = crate::Beside::Declaration(9);
        store.write_beside(beside, b"told").unwrap();
        store.publish_checkpoint(&note(300), 0).unwrap();
        let full = TileId { level: Some(0), index: 0, width: 256 };
        for tile in [full, TileId { level: None, ..full }] {
            let (path, plain) = (tile.path(), plain_tile(&all, tile));
            let mut rotten = plain.clone();
            rotten[9] ^= 1;
            std::fs::write(place.file(&path), stored_form(tile, &rotten)).unwrap();
            assert!(matches!(store.write(tile, &plain), Err(TileError::Otherwise { .. })), "{path}");
            store.hold(tile, &plain).unwrap();
            assert_eq!(std::fs::read(place.file(&path)).unwrap(), stored_form(tile, &plain), "{path}");
        }
        std::fs::write(place.file(&beside.path()), b"rots").unwrap();
        assert!(matches!(store.write_beside(beside, b"told"), Err(TileError::Otherwise { .. })));
        store.hold_beside(beside, b"told").unwrap();
        assert_eq!(store.read_beside(beside).unwrap().unwrap(), b"told");
    }
}

/// A bucket has no lock: whoever finds, once it has written over something, that this was published meanwhile, puts it back.
#[test]
fn what_was_published_while_it_was_written_over_is_put_back() {
    let [_, place] = places();
    let bucket = place.bucket().unwrap();
    let path = "tile/0/000.p/3";
    bucket.put(path, b"left".to_vec(), false).unwrap();
    let looks = Cell::new(0);
    let late = bucket.replace(path, b"late", false, || {
        looks.set(looks.get() + 1);
        match looks.get() {
            // What stands is another's by the time that it is written over: the look is taken again.
            1 => bucket.put(path, b"published".to_vec(), false),
            2 => Ok(()),
            _ => Err(TileError::Otherwise { path: path.to_owned(), size: 3 }),
        }
    });
    assert!(matches!(late, Err(TileError::Otherwise { size: 3, .. })), "{late:?}");
    assert_eq!((looks.get(), bucket.get(path).unwrap()), (3, Some(b"published".to_vec())));
}

/// What a bucket leaves open: the late one ends before it has put it back, and what was published was held before that.
#[test]
fn what_a_late_one_that_ended_left_is_put_right_when_it_is_held_again() {
    let [_, place] = places();
    let (store, all) = grown(&place);
    let tile = TileId { level: Some(0), index: 0, width: 256 };
    let (sound, bucket, looks) = (plain_tile(&all, tile), place.bucket().unwrap(), Cell::new(0));
    let replace = || {
        bucket.replace(&tile.path(), &[7; 256 * 32], false, || {
            looks.set(looks.get() + 1);
            assert_eq!(looks.get(), 1, "it ends here");
            store.publish_checkpoint(&note(300), 0)?;
            store.hold(tile, &sound)
        })
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(replace)).unwrap_err();
    assert_eq!(store.read(tile).unwrap(), Some(vec![7; 256 * 32]));
    store.hold(tile, &sound).unwrap();
    assert_eq!(store.read(tile).unwrap(), Some(sound));
}

#[test]
fn of_many_that_publish_at_once_the_greatest_stands() {
    for place in places() {
        std::thread::scope(|scope| {
            for first in 0..4 {
                let place = &place;
                scope.spawn(move || {
                    let store = place.open();
                    for step in 0..6 {
                        store.publish_checkpoint(&note(1 + first + step * 4), u64::MAX).unwrap();
                    }
                });
            }
        });
        assert_eq!(place.open().checkpoint().unwrap(), Some(note(24)));
    }
}

/// Whoever opens a folder sweeps it, and may find a file that its writer has not locked yet.
#[test]
fn a_folder_that_others_open_is_published_in() {
    let [place, _] = places();
    let (store, published) = (place.open(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (place, published) = (&place, &published);
        for _ in 0..4 {
            scope.spawn(move || {
                while !published.load(Ordering::Relaxed) {
                    place.open();
                }
            });
        }
        scope.spawn(move || {
            let done = (1..300).try_for_each(|size| store.publish_checkpoint(&note(size), u64::MAX));
            published.store(true, Ordering::Relaxed);
            done.unwrap();
        });
    });
    assert_eq!(place.open().checkpoint().unwrap(), Some(note(299)));
}

/// A folder that is lost, or put back from a backup, is not all that remembers.
#[test]
fn what_was_published_is_remembered_beside_the_folder() {
    let [place, _] = places();
    place.open().publish_checkpoint(&note(9), u64::MAX).unwrap();
    std::fs::write(place.file("checkpoint"), note(5)).unwrap();
    assert_eq!(place.open().greatest_checkpoint().unwrap(), Some(note(9)));
    std::fs::remove_dir_all(place.file("")).unwrap();
    let store = place.open();
    assert_eq!((store.checkpoint().unwrap(), store.greatest_checkpoint().unwrap()), (None, Some(note(9))));
    let fork = store.publish_checkpoint(&note_of(9, 1, 1), u64::MAX);
    assert!(matches!(fork, Err(TileError::Forked { size: 9 })), "{fork:?}");
}

#[test]
fn a_folder_may_be_named_by_one_word() {
    let home = tempfile::tempdir_in(".").unwrap();
    let word = home.path().file_name().unwrap();
    let store = TileStore::open(word).unwrap();
    store.publish_checkpoint(&note(1), u64::MAX).unwrap();
    assert_eq!(TileStore::view(word).greatest_checkpoint().unwrap(), Some(note(1)));
    let beside = format!("{}.published", word.to_str().unwrap());
    std::fs::remove_file(&beside).unwrap();
    store.publish_checkpoint(&note(2), u64::MAX).unwrap();
    std::fs::remove_file(&beside).unwrap();
}

#[test]
fn nothing_is_left_beside_the_log() {
    for place in places() {
        let store = place.open();
        store.write(TileId { level: Some(0), index: 1_234_067, width: 3 }, &[0; 96]).unwrap();
        store.publish_checkpoint(&note(1), u64::MAX).unwrap();
        assert!(place.file("tile/0/x001/x234/067.p/3").is_file());
        if matches!(place, Place::Folder(_)) {
            assert_eq!(std::fs::read_dir(place.file(".staging")).unwrap().count(), 0);
        }
    }
}

/// A sealer that is behind writes partial tiles while one that is ahead takes them away.
#[test]
fn partial_tiles_are_written_while_the_full_one_takes_them_away() {
    for place in places() {
        let bundle = |width| TileId { level: None, index: 0, width };
        let bytes = |width| vec![0; usize::from(width) * (2 + LEAF_BYTES)];
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let store = place.open();
                    for width in 1..100 {
                        store.write(bundle(width), &bytes(width)).unwrap();
                        assert_eq!(store.read(bundle(width)).unwrap(), Some(bytes(width)));
                    }
                });
            }
            scope.spawn(|| {
                let store = place.open();
                for _ in 0..200 {
                    store.write(bundle(256), &bytes(256)).unwrap();
                    store.hold(bundle(256), &bytes(256)).unwrap();
                }
            });
        });
        assert_eq!(place.open().read(bundle(256)).unwrap(), Some(bytes(256)));
    }
}

#[test]
fn a_folder_that_is_only_viewed_stays_as_it_is() {
    let [place, _] = places();
    let (_, all) = grown(&place);
    std::fs::remove_dir_all(place.file(".staging")).unwrap();
    let view = TileStore::view(place.file(""));
    assert_eq!(view.leaf(7, 300).unwrap(), all[7]);
    assert_eq!(view.checkpoint().unwrap(), None);
    assert!(!place.file(".staging").exists());
}

#[test]
fn what_a_crash_left_staged_is_swept_and_what_is_being_written_stays() {
    let [place, _] = places();
    place.open();
    let [left, written] = ["left", "written"].map(|it| place.file(".staging").join(it));
    std::fs::write(&left, "half a tile").unwrap();
    let writing = std::fs::File::create(&written).unwrap();
    writing.lock().unwrap();
    // Partial tiles that were on their way out.
    let removed = place.file(".staging").join("removed");
    std::fs::create_dir(&removed).unwrap();
    std::fs::write(removed.join("7"), "a partial tile").unwrap();
    place.open();
    assert!(!left.exists() && !removed.exists() && written.exists());
    drop(writing);
    place.open();
    assert!(!written.exists());
}

/// Writing is tried again for as long as it takes: a try that fails takes up no room.
#[test]
fn what_cannot_have_its_name_leaves_nothing_behind() {
    let [place, _] = places();
    let store = place.open();
    let tile = TileId { level: Some(0), index: 0, width: 3 };
    std::fs::create_dir_all(place.file(&tile.path())).unwrap();
    for _ in 0..3 {
        let error = store.write(tile, &[7; 96]).unwrap_err();
        assert!(error.is_passing(), "{error}");
    }
    assert_eq!(std::fs::read_dir(place.file(".staging")).unwrap().count(), 0);
}

/// A store that does not answer, or does not let us in, is worth asking again.
#[test]
fn a_bucket_that_does_not_answer_passes() {
    let [_, place] = places();
    let Place::Bucket(config) = &place else { unreachable!("the second is a bucket") };
    let stranger = BucketConfig { secret_access_key: Some("guessed".to_owned()), ..config.clone() };
    let error = Place::Bucket(stranger).open().checkpoint().unwrap_err();
    assert!(error.is_passing(), "{error}");
    assert!(!format!("{error}{config:?}").contains("guessed"));
    assert!(!format!("{config:?}").contains("test-secret"));
}
