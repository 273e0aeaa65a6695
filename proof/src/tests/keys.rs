//! Keys that come and go.

use crate::{Body, KeyHistory, Leaf, LeafKind, OpenedLeaf, Policy, Signer, VerifierKey, declaration};

const ORIGIN: &str = "log.example/keys";
const LOG: [u8; 32] = [7; 32];

fn key(seed: u8) -> VerifierKey {
    Signer::new(ORIGIN, &[seed; 32]).unwrap().verifier_key()
}

fn said(body: Body) -> OpenedLeaf {
    declaration(LOG, [1; 16], 1_770_000_000_500_000, body)
}

fn about(seed: u8, retired: bool) -> OpenedLeaf {
    said(Body::Key { retired, signature_type: 1, public_key: key(seed).public_key().to_vec() })
}

fn check(history: &KeyHistory, size: u64, seeds: &[u8]) {
    let standing: Vec<_> = history.standing_at(size).cloned().collect();
    assert_eq!(standing, seeds.iter().map(|it| key(*it)).collect::<Vec<_>>(), "at {size} leaves");
}

#[test]
fn a_key_signs_from_the_leaf_that_introduces_it_to_the_one_that_retires_it() {
    let mut history = KeyHistory::new(key(1));
    history.read(4, &about(2, false));
    history.read(9, &about(1, true));
    for (size, seeds) in [(0, &[1][..]), (4, &[1]), (5, &[1, 2]), (9, &[1, 2]), (10, &[2])] {
        check(&history, size, seeds);
    }
    let (first, next) = (key(1).encode(), key(2).encode());
    let lines = history.policy_lines();
    assert_eq!(lines, format!("log {first}\nlog {next}\nretired {first} 9 1770000000\n"));
    let policy = Policy::parse(&lines).unwrap();
    assert_eq!((policy.retired[0].leaf_index, policy.log_id(ORIGIN)), (9, Some(log_id(1))));
}

fn log_id(seed: u8) -> [u8; 32] {
    crate::log_id(ORIGIN, key(seed).public_key())
}

#[test]
fn what_cannot_be_has_no_effect() {
    let mut history = KeyHistory::new(key(1));
    // The only key, a stranger's, one of an unknown type, one that is none.
    history.read(1, &about(1, true));
    history.read(2, &about(3, true));
    history.read(3, &said(Body::Key { retired: false, signature_type: 6, public_key: vec![1; 32] }));
    history.read(4, &said(Body::Key { retired: false, signature_type: 1, public_key: vec![1; 31] }));
    history.read(5, &said(Body::Map { log_size: 5, accounts: 0, root: [0; 32] }));
    check(&history, 6, &[1]);
    history.read(6, &about(2, false));
    history.read(7, &about(1, true));
    // One that has retired does not come back, and the one that is left stays.
    history.read(8, &about(1, false));
    history.read(9, &about(2, true));
    check(&history, 10, &[2]);
}

#[test]
fn a_lost_leaf_that_came_back_has_no_effect() {
    let mut history = KeyHistory::new(key(1));
    history.read(1, &about(2, false));
    history.read(2, &about(1, true));
    let lost = |leaf_index| Leaf { kind: LeafKind::Key, log_id: LOG, leaf_index, commitment: [0; 32] };
    history.read(3, &said(Body::Orphan(lost(2).encode())));
    check(&history, 4, &[1, 2]);
    history.read(4, &said(Body::Orphan(lost(1).encode())));
    check(&history, 5, &[1]);
}
