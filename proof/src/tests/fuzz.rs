//! Every parser against bytes that are almost right: the corpus is `vectors/`, and each seed is changed again and again,
//! the same way on every run. What is still read must be written back byte for byte: there is one spelling.

use std::path::PathBuf;

use serde_json::Value;

use crate::*;

const CHANGES: u64 = 3000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// One to four changes: a bit, a byte, a piece dropped, doubled, or moved.
fn change(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let (at, length) = (random.below(bytes.len()), 1 + random.below(40));
        let end = (at + length).min(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => bytes.insert(at, b"\n 0+x/=\0\xff"[random.below(9)]),
            _ => bytes.truncate(end),
        }
    }
    bytes
}

/// Changes each seed, reads what came of it, and checks that what is read is written back as it was.
fn fuzz(seeds: &[Vec<u8>], read: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    assert!(!seeds.is_empty(), "a corpus is not empty");
    for (number, seed) in seeds.iter().enumerate() {
        assert_eq!(read(seed).as_deref(), Some(&seed[..]), "seed {number} is sound");
        let mut random = Random(number as u64);
        for round in 0..CHANGES / seeds.len() as u64 {
            let bytes = change(seed, &mut random);
            if let Some(written) = read(&bytes) {
                assert!(written == bytes, "seed {number}, round {round}: {bytes:?} is read as {written:?}");
            }
        }
    }
}

fn vectors(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every text of a vector file that this reads.
fn texts(value: &Value, is_one: &impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    match value {
        Value::String(text) if is_one(text) => vec![text.clone().into_bytes()],
        Value::Array(all) => all.iter().flat_map(|it| texts(it, is_one)).collect(),
        Value::Object(all) => all.values().flat_map(|it| texts(it, is_one)).collect(),
        _ => Vec::new(),
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

#[test]
fn what_is_almost_a_receipt_is_read_in_one_spelling_or_not() {
    let seeds = texts(&vectors("receipt.json"), &|it| Receipt::parse(it.as_bytes()).is_ok());
    fuzz(&seeds, |bytes| Receipt::parse(bytes).ok().map(|it| it.encode().into_bytes()));
    let opened: Vec<Vec<u8>> =
        seeds.iter().map(|it| Receipt::parse(it).unwrap()).map(|it| it.leaf.encode()).collect();
    fuzz(&opened, |bytes| OpenedLeaf::decode(bytes, u64::MAX - 1).ok().map(|it| it.encode()));
    let seeds = texts(&vectors("map.json"), &|it| MapProof::parse(it.as_bytes()).is_ok());
    fuzz(&seeds, |bytes| MapProof::parse(bytes).ok().map(|it| it.encode().into_bytes()));
}

#[test]
fn what_is_almost_a_checkpoint_is_read_in_one_spelling_or_not() {
    let seeds = texts(&vectors("checkpoint.json"), &|it| SignedNote::parse(it).is_ok());
    fuzz(&seeds, |bytes| SignedNote::parse(text(bytes)?).ok().map(|it| it.encode().into_bytes()));
    let requests: Vec<Vec<u8>> = seeds
        .iter()
        .map(|it| AddCheckpoint {
            old_size: 3,
            proof: vec![[7; 32]; 2],
            checkpoint: text(it).unwrap().to_owned(),
        })
        .map(|it| it.encode().into_bytes())
        .collect();
    fuzz(&requests, |bytes| AddCheckpoint::parse(bytes).ok().map(|it| it.encode().into_bytes()));
    let keys = texts(&vectors("checkpoint.json"), &|it| VerifierKey::parse(it).is_ok());
    fuzz(&keys, |bytes| VerifierKey::parse(text(bytes)?).ok().map(|it| it.encode().into_bytes()));
}

#[test]
fn what_is_almost_a_tile_or_a_bundle_is_read_in_one_spelling_or_not() {
    let seeds = texts(&vectors("tile.json"), &|it| TileId::parse(it).is_some());
    fuzz(&seeds, |bytes| TileId::parse(text(bytes)?).map(|it| it.path().into_bytes()));
    let leaf = Leaf { kind: LeafKind::Posting, log_id: [1; 32], leaf_index: 7, commitment: [2; 32] }.encode();
    fuzz(&[leaf.to_vec()], |bytes| Leaf::decode(bytes).ok().map(|it| it.encode().to_vec()));
    // A bundle may hold entries of any length: what is read is what was there.
    fuzz(&[bundle([&leaf, &leaf, &leaf])], |bytes| {
        let leaves = bundle_leaves(bytes).ok()?;
        let rows = leaves.iter().flat_map(|it| [&(it.len() as u16).to_be_bytes()[..], it].concat());
        Some(rows.collect())
    });
}
