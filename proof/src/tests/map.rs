use proptest::prelude::*;

use super::samples::{self, ORIGIN, plain_node, plain_root, signer};
use crate::*;

type Row = (MapAccount, [u8; 32], MapValue);

fn row(number: u8, unit: u16, log_size: u64) -> Row {
    let value = MapValue {
        sequence: u64::from(number) + 1,
        balances: Balances { available: i64::from(number) * 100, held: 7, pending: -1 },
        leaf_index: u64::from(number) % log_size,
        commitment: [number; 32],
    };
    (MapAccount { account: [number; 16], unit, log_size }, [number ^ 0x5a; 32], value)
}

pub(super) fn tree(rows: &[Row]) -> MapTree {
    MapTree::new(
        rows.iter().map(|(account, secret, value)| account.row(&account.salt(secret), value)).collect(),
    )
    .unwrap()
}

/// The receipt of a `map` leaf at this index, the last of its log.
fn receipt(tree: &MapTree, log_size: u64, leaf_index: u64) -> String {
    let header = Header {
        posting_id: [9; 16],
        posting_kind: PostingKind::NONE,
        program: Id::default(),
        recorded_at_us: 1,
        effective_at_us: 1,
        rule_set_hash: Hash::default(),
        event_hash: Hash::default(),
        reverses: Id::default(),
    };
    let body = Body::Map { log_size, accounts: tree.accounts(), root: tree.root() };
    let leaf = OpenedLeaf {
        kind: LeafKind::Map,
        log_id: samples::log(),
        header: Part::Opened { salt: [1; 32], value: header },
        details: Part::Opened { salt: [2; 32], value: Details::default() },
        body: Some(Part::Opened { salt: Hash::default(), value: body }),
        entries: Vec::new(),
        hints: Vec::new(),
    };
    let mut hashes: Vec<Hash> = (0..leaf_index).map(|it| [it as u8; 32]).collect();
    hashes.push(leaf_hash(&leaf.leaf(leaf_index).encode()));
    let (size, root) = (leaf_index + 1, plain_root(&hashes));
    let node = |node| Ok::<_, ()>(plain_node(&hashes, node));
    let path = inclusion_proof(leaf_index, size, node).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&signer()).encode();
    Receipt { leaf, leaf_index, path, checkpoint }.encode()
}

fn prove(rows: &[Row], at: usize) -> MapProof {
    let (tree, (account, secret, value)) = (tree(rows), rows[at]);
    let (index, path) = tree.proof(&account).unwrap();
    let receipt = receipt(&tree, account.log_size, account.log_size);
    MapProof { account, salt: account.salt(&secret), value, index, path, receipt }
}

pub(super) fn sample() -> (Vec<Row>, MapProof) {
    let rows: Vec<Row> = [(1, 1), (2, 1), (2, 7), (3, 1), (200, 1)].map(|(n, unit)| row(n, unit, 50)).into();
    let proof = prove(&rows, 0);
    (rows, proof)
}

fn policy() -> Policy {
    Policy::of_log(signer().verifier_key())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_account_of_a_map_is_proven_and_no_other(size in 1_u8..120, pick in any::<prop::sample::Index>()) {
        let rows: Vec<Row> = (0..size).map(|it| row(it, 1, 99)).collect();
        let tree = tree(&rows);
        let mut closed: Vec<MapRow> = rows.iter().map(|(a, s, v)| a.row(&a.salt(s), v)).collect();
        closed.sort_unstable();
        let hashes: Vec<Hash> = closed.iter().map(|it| leaf_hash(&it.encode())).collect();
        prop_assert_eq!(tree.root(), plain_root(&hashes), "the map's tree is RFC 6962's");

        let at = pick.index(usize::from(size));
        let proof = prove(&rows, at);
        prop_assert_eq!(MapProof::parse(proof.encode().as_bytes()).unwrap(), proof.clone());
        prop_assert!(proof.verify(&policy()).is_ok());
        let other = MapProof { value: MapValue { sequence: 999, ..proof.value }, ..proof.clone() };
        prop_assert_eq!(other.verify(&policy()), Err(MapRefusal::NotIncluded));
        let other = MapProof { account: MapAccount { account: [0xee; 16], ..proof.account }, ..proof.clone() };
        prop_assert_eq!(other.verify(&policy()), Err(MapRefusal::NotIncluded));
        let other = MapProof { account: MapAccount { log_size: 100, ..proof.account }, ..proof.clone() };
        prop_assert_eq!(other.verify(&policy()), Err(MapRefusal::NotThisMap));
        prop_assert_eq!(tree.proof(&MapAccount { account: [0xee; 16], ..proof.account }), None);
    }
}

/// Rows that ascend, as many as the parts of a map that has more than one need.
fn many_rows(count: u64) -> Vec<MapRow> {
    let hash = |number: u64| rule_set_hash(&number.to_be_bytes());
    let mut rows: Vec<_> = (0..count).map(|it| MapRow { key: hash(it), value: hash(it + count) }).collect();
    let account = MapAccount { account: [1; 16], unit: 1, log_size: 50 };
    rows.push(MapRow { key: account.key(), value: [7; 32] });
    rows.sort_unstable();
    rows
}

#[test]
fn a_map_in_parts_has_the_root_and_the_proofs_of_the_whole() {
    let part = MAP_PART_ROWS as u64;
    for count in [0, 5, part - 1, part, 2 * part - 1, 2 * part + 70] {
        let rows = many_rows(count);
        let whole = MapTree::new(rows.clone()).unwrap();
        let mut index = MapIndex::default();
        let parts: Vec<&[MapRow]> = rows.chunks(MAP_PART_ROWS).collect();
        for part in &parts {
            index.push(&MapTree::new(part.to_vec()).unwrap(), part[0].key);
        }
        assert_eq!((index.root(), index.accounts()), (whole.root(), whole.accounts()), "{count}");
        assert_eq!(MapIndex::decode(&index.encode()).unwrap(), index);
        assert!(MapIndex::decode(&index.encode()[..index.encode().len() - 1]).is_err());

        let account = MapAccount { account: [1; 16], unit: 1, log_size: 50 };
        let at = index.part_of(&account).unwrap();
        let proof = index.proof(&account, at, &MapTree::new(parts[at].to_vec()).unwrap());
        assert_eq!(proof, whole.proof(&account), "{count}");
        for (at, part) in parts.iter().enumerate() {
            assert!(index.is_part(at, part), "{count}");
            assert!(!index.is_part(at, &part[1..]) && !index.is_part(at + 1, part), "{count}");
            let mut swapped = part.to_vec();
            swapped.reverse();
            assert!(part.len() == 1 || !index.is_part(at, &swapped), "{count}");
            let mut changed = part.to_vec();
            changed[part.len() / 2].value[3] ^= 1;
            assert!(!index.is_part(at, &changed), "{count}");
        }
    }
    let empty = MapIndex::default();
    assert_eq!((empty.root(), MapIndex::decode(&empty.encode()).unwrap()), (empty_root(), empty));
}

#[test]
fn a_flipped_byte_of_a_map_proof_is_refused() {
    let (_, proof) = sample();
    let bytes = proof.encode().into_bytes();
    let sound = proof.verify(&policy()).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        if let Ok(read) = MapProof::parse(&flipped) {
            // The receipt's own bytes are the receipt's to refuse; the row's are never credited otherwise.
            assert!(
                read.verify(&policy()).is_err()
                    || (read.value, &read.account) == (proof.value, &proof.account)
            );
        }
    }
    assert_eq!(sound.leaf.kind, LeafKind::Map);
}

/// A log that will be larger cannot say today that nothing will come: a map leaf speaks of the leaves before it.
#[test]
fn a_map_of_leaves_that_come_after_it_is_refused() {
    let (rows, proof) = sample();
    let at = |leaf_index| MapProof { receipt: receipt(&tree(&rows), 50, leaf_index), ..proof.clone() };
    for leaf_index in [0, 1, 49] {
        assert_eq!(at(leaf_index).verify(&policy()).unwrap_err(), MapRefusal::NotThisMap, "{leaf_index}");
    }
    for leaf_index in [50, 51, 200] {
        assert_eq!(at(leaf_index).verify(&policy()).unwrap().leaf_index, leaf_index);
    }
}

#[test]
fn an_account_stands_in_a_map_once() {
    let (account, secret, value) = row(1, 1, 50);
    let twice = [value, MapValue { sequence: 9, ..value }].map(|it| account.row(&account.salt(&secret), &it));
    assert!(MapTree::new(twice.into()).is_none());
    assert_eq!(MapTree::new(Vec::new()).unwrap().root(), empty_root());
    // Another map has it under another key and another salt.
    let later = MapAccount { log_size: 51, ..account };
    assert!(later.key() != account.key() && later.salt(&secret) != account.salt(&secret));
}

#[test]
fn what_is_no_map_proof_says_why() {
    let (_, proof) = sample();
    let text = proof.encode();
    let check = |text: &str, problem| {
        assert_eq!(MapProof::parse(text.as_bytes()).unwrap_err(), MapRefusal::Malformed(problem), "{text}");
    };
    check("", "it has no empty line");
    check(&text.replacen("map-proof@v1", "map-proof@v2", 1), "it does not begin with daftari/map-proof@v1");
    check(&text.replacen("row ", "line ", 1), "it has no row line");
    check(&text.replacen("index ", "index 0", 1), "it has no canonical index line");
    let beyond = MapProof { value: MapValue { leaf_index: 50, ..proof.value }, ..proof.clone() };
    check(&beyond.encode(), "the account's last entry lies beyond the map");
    let empty = MapProof { value: MapValue { sequence: 0, ..proof.value }, ..proof.clone() };
    check(&empty.encode(), "an account in the map has an entry");
    let closed = proof.receipt.clone();
    let receipt = samples::receipt(&samples::leaves(), 0).encode();
    assert_eq!(MapProof { receipt, ..proof.clone() }.verify(&policy()).unwrap_err(), MapRefusal::NotThisMap);
    assert!(matches!(
        MapProof { receipt: closed[1..].to_owned(), ..proof }.verify(&policy()),
        Err(MapRefusal::Receipt(Refusal::MalformedReceipt(_)))
    ));
}
