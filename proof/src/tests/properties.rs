use std::convert::Infallible;

use proptest::prelude::*;

use super::samples::{self, plain_node, plain_root};
use crate::*;

fn hashes(size: usize) -> Vec<Hash> {
    (0..size).map(|it| leaf_hash(&(it as u16).to_be_bytes())).collect()
}

fn nodes(leaves: &[Hash]) -> impl FnMut(Node) -> Result<Hash, Infallible> {
    |node| Ok(plain_node(leaves, node))
}

/// Every way to spoil a proof by one step.
fn spoiled(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[[9; 32]]].concat()];
    for at in 0..proof.len() {
        let mut dropped = proof.to_vec();
        dropped.remove(at);
        let mut flipped = proof.to_vec();
        flipped[at][at % 32] ^= 1;
        let mut twice = proof.to_vec();
        twice.insert(at, proof[at]);
        all.extend([dropped, flipped, twice]);
        if at != 0 && proof[at] != proof[at - 1] {
            let mut swapped = proof.to_vec();
            swapped.swap(at, at - 1);
            all.push(swapped);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_inclusion_proof_verifies_and_no_spoiled_one_does(size in 1_usize..600, pick in any::<prop::sample::Index>()) {
        let leaves = hashes(size);
        let index = pick.index(size) as u64;
        let root = plain_root(&leaves);
        let leaf = leaves[index as usize];
        let path = inclusion_proof(index, size as u64, nodes(&leaves)).unwrap();
        prop_assert!(verify_inclusion(index, size as u64, &leaf, &path, &root));
        for bad in spoiled(&path) {
            prop_assert!(!verify_inclusion(index, size as u64, &leaf, &bad, &root));
        }
        if size > 1 {
            prop_assert!(!verify_inclusion((index + 1) % size as u64, size as u64, &leaf, &path, &root));
        }
        prop_assert!(!verify_inclusion(index, size as u64, &leaf, &path, &[3; 32]));
        prop_assert!(!verify_inclusion(index, index, &leaf, &path, &root));
    }

    #[test]
    fn a_consistency_proof_verifies_and_no_spoiled_one_does(new in 1_usize..600, pick in any::<prop::sample::Index>()) {
        let leaves = hashes(new);
        let old = pick.index(new + 1);
        let (old_root, new_root) = (plain_root(&leaves[..old]), plain_root(&leaves));
        let proof = consistency_proof(old as u64, new as u64, nodes(&leaves)).unwrap();
        let verify = |proof: &[Hash], old_root, new_root| verify_consistency(old as u64, old_root, new as u64, new_root, proof);
        prop_assert!(verify(&proof, &old_root, &new_root));
        for bad in spoiled(&proof) {
            prop_assert!(!verify(&bad, &old_root, &new_root));
        }
        prop_assert!(!verify(&proof, &[3; 32], &new_root));
        if old != 0 {
            prop_assert!(!verify(&proof, &old_root, &[3; 32]));
        }
        if old != new {
            prop_assert!(!verify_consistency(new as u64, &new_root, old as u64, &old_root, &proof));
        }
    }

    #[test]
    fn the_frontier_is_the_plain_root_and_so_is_rs_merkle(size in 0_usize..600) {
        let leaves = hashes(size);
        let mut frontier = Frontier::default();
        for leaf in &leaves {
            frontier.push(*leaf, |node, hash| assert_eq!(*hash, plain_node(&leaves, node)));
        }
        prop_assert_eq!(frontier.root(), plain_root(&leaves));
        prop_assert_eq!(&Frontier::load(size as u64, nodes(&leaves)).unwrap(), &frontier);
        if size != 0 {
            prop_assert_eq!(Rfc6962::root(&leaves), frontier.root());
        }
    }

    #[test]
    fn tiles_written_as_the_log_grows_give_every_node(steps in prop::collection::vec(1_u64..700, 1..5)) {
        let total: u64 = steps.iter().sum();
        let leaves = hashes(total as usize);
        let mut written = std::collections::HashMap::new();
        let mut size = 0;
        for step in steps {
            let new = size + step;
            for tile in tiles_between(size, new) {
                let Some(level) = tile.level else { continue };
                let hash = |i| plain_node(&leaves, Node { level: level * 8, index: tile.index * TILE_WIDTH + i });
                written.insert(tile, (0..u64::from(tile.width)).flat_map(hash).collect::<Vec<u8>>());
            }
            size = new;
            let root = subtree_root(0, size, &mut |node| {
                let tile = TileId::holding(node, size);
                prop_assert_eq!(TileId::parse(&tile.path()), Some(tile));
                TileId::node(&written[&tile], node).ok_or(TestCaseError::fail("the tile is too short"))
            })?;
            prop_assert_eq!(root, plain_root(&leaves[..size as usize]));
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0_u8..9) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Leaf::decode(&bytes);
        let _ = Header::decode(&bytes);
        let _ = Details::decode(&bytes);
        let _ = Entry::decode(&bytes);
        let _ = LeafKind::from_u8(kind).map(|kind| Body::decode(kind, &bytes));
        let _ = OpenedLeaf::decode(&bytes, 5);
        let _ = Receipt::parse(&bytes);
        let _ = SignedNote::parse(&text);
        let _ = Checkpoint::parse(&text);
        let _ = TileId::parse(&text);
        let _ = bundle_leaves(&bytes);
        let _ = Policy::parse(&text);
    }
}

/// `rs_merkle` with RFC 6962's prefixes: an independent oracle for roots.
struct Rfc6962;

impl Rfc6962 {
    fn root(leaves: &[Hash]) -> Hash {
        rs_merkle::MerkleTree::<Self>::from_leaves(leaves).root().expect("the tree is not empty")
    }
}

impl Clone for Rfc6962 {
    fn clone(&self) -> Self {
        Self
    }
}

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = Hash;

    fn hash(data: &[u8]) -> Hash {
        crate::hash::hash(&[data])
    }

    fn concat_and_hash(left: &Hash, right: Option<&Hash>) -> Hash {
        right.map_or(*left, |right| node_hash(left, right))
    }
}

/// Flips every byte of every sample receipt in turn. What still verifies must claim exactly the same.
#[test]
fn a_flipped_byte_is_refused_or_no_longer_credited() {
    let policy = Policy::of_log(samples::signer().verifier_key());
    let leaves = samples::leaves();
    for index in 0..leaves.len() {
        let mut receipt = samples::receipt(&leaves, index);
        receipt.leaf.hints.push(AnchorHint {
            chain_id: 137,
            contract: [1; 20],
            registrant: [2; 20],
            block: 3,
            transaction: [4; 32],
        });
        receipt.checkpoint.push_str("\u{2014} somebody.else/witness AQIDBAUGBwgJCgsMDQ4PEA==\n");
        let bytes = receipt.encode().into_bytes();
        let sound = verify(&bytes, &policy).unwrap();
        for at in 0..bytes.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut flipped = bytes.clone();
                flipped[at] ^= bit;
                if let Ok(mut verified) = verify(&flipped, &policy) {
                    verified.leaf.hints.clone_from(&sound.leaf.hints);
                    assert_eq!(verified, sound, "byte {at} of receipt {index}, bit {bit:#x}");
                }
            }
        }
        let longer = [&bytes[..], b"\n"].concat();
        assert!(verify(&longer, &policy).is_err(), "a trailing byte");
    }
}

#[test]
fn a_size_is_never_taken_from_the_prover() {
    // The proof of leaf 0 among 8 also leads to the same root for sizes 5, 6 and 7: only the signed size decides.
    let leaves = hashes(8);
    let root = plain_root(&leaves);
    let path = inclusion_proof(0, 8, nodes(&leaves)).unwrap();
    assert!(verify_inclusion(0, 5, &leaves[0], &path, &root));
    let mut receipt = samples::receipt(&samples::leaves(), 0);
    receipt.checkpoint = receipt.checkpoint.replacen("\n8\n", "\n7\n", 1);
    let policy = Policy::of_log(samples::signer().verifier_key());
    assert_eq!(verify(receipt.encode().as_bytes(), &policy), Err(Refusal::BadSignature));
}

#[track_caller]
fn check_policy(lines: &str, problem: Option<&str>) {
    let parsed = Policy::parse(lines).map_err(|error| error.problem);
    assert_eq!(parsed.err(), problem, "{lines}");
}

#[test]
fn a_policy_is_read_whole_or_refused() {
    let log = samples::signer().verifier_key().encode();
    let witness = "witness.example/one+e5ef5ac8+BNVCB9oZSXfc9Grb/sK8LnW1LVqKQhhP7f3AACTw4+ja";
    check_policy(&format!("# a comment\n\nlog {log}\n"), None);
    check_policy(&format!("# a comment\r\n\r\n\tlog \t {log} \r\nquorum none\r\n"), None);
    for control in ["\r", "\u{b}", "\u{c}", "\0", "\u{7f}"] {
        check_policy(&format!("log{control} {log}"), Some("it holds a control character"));
        check_policy(&format!("log {log}{control}"), Some("it holds a control character"));
    }
    check_policy(&format!("log {log}\nlog {log}"), Some("a key is named once"));
    check_policy("log nonsense", Some("a vkey has a name, an id and a key"));
    check_policy(
        "logs x",
        Some("it is not one of log, retired, witness, group, quorum, anchor with its words"),
    );
    let stranger = "a key that has retired is a log's, named above, and retires once";
    check_policy(&format!("log {log}\nretired {log} 7 1770000000"), None);
    check_policy(&format!("retired {log} 7 1770000000\nlog {log}"), Some(stranger));
    check_policy(&format!("log {log}\nretired {log} 7 1\nretired {log} 7 1"), Some(stranger));
    let terms = "a key retires at a leaf index and a time in Unix seconds";
    check_policy(&format!("log {log}\nretired {log} 07 1"), Some(terms));
    check_policy("quorum nobody", Some("the quorum is not defined above"));
    check_policy("quorum none\nquorum none", Some("there is exactly one quorum"));
    check_policy("group g all", Some("a group's threshold is all, any, or a number of its members"));
    check_policy("group g 1 w", Some("a group's members are defined above, each in one group once"));
    check_policy("anchor 137 0x12 0x34", Some("an anchor is a chain id, a contract and a registrant"));
    let [contract, registrant] = ["11", "aB"].map(|it| it.repeat(20));
    check_policy(&format!("anchor 137 0x{contract} 0x{registrant}"), None);
    let forgotten = "it names witnesses and no quorum: say how many are enough, or quorum none";
    check_policy(&format!("log {log}\nwitness w {witness}"), Some(forgotten));
    check_policy(&format!("log {log}\nwitness w {witness}\nquorum w"), None);
    check_policy(&format!("witness w {witness}\nwitness v {witness}"), Some("a key is named once"));
    check_policy(&format!("log {witness}"), Some("a log's key is Ed25519, type 0x01"));
    // The same key under another name is the same key.
    let [one, other] =
        ["one", "other"].map(|it| Cosigner::new(it, &[9; 32]).unwrap().verifier_key().encode());
    let twice = format!("witness w {one}\nwitness v {other}\nquorum none");
    check_policy(&twice, Some("a key is named once"));
    let [one, other] = ["one", "other"].map(|it| Signer::new(it, &[9; 32]).unwrap().verifier_key().encode());
    check_policy(&format!("log {one}\nlog {other}"), Some("a key is named once"));
}
