//! A second implementation, written from RFC 6962's text as plainly as it stands there, and trees up to 2^20 leaves.

use std::convert::Infallible;
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::*;

/// k, the largest power of two smaller than n.
fn k(n: usize) -> usize {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    k
}

/// MTH(D[n]), section 2.1.
fn mth(d: &[Hash]) -> Hash {
    match d {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => node_hash(&mth(&d[..k(d.len())]), &mth(&d[k(d.len())..])),
    }
}

/// PATH(m, D[n]), section 2.1.1.
fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
    let n = d.len();
    if n == 1 {
        return Vec::new();
    }
    let k = k(n);
    if m < k {
        let mut path = path(m, &d[..k]);
        path.push(mth(&d[k..]));
        path
    } else {
        let mut path = path(m - k, &d[k..]);
        path.push(mth(&d[..k]));
        path
    }
}

/// SUBPROOF(m, D[n], b), section 2.1.2.
fn subproof(m: usize, d: &[Hash], b: bool) -> Vec<Hash> {
    let n = d.len();
    if m == n {
        return if b { Vec::new() } else { vec![mth(d)] };
    }
    let k = k(n);
    if m <= k {
        let mut proof = subproof(m, &d[..k], b);
        proof.push(mth(&d[k..]));
        proof
    } else {
        let mut proof = subproof(m - k, &d[k..], false);
        proof.push(mth(&d[..k]));
        proof
    }
}

fn small(size: usize) -> Vec<Hash> {
    (0..size as u64).map(|it| leaf_hash(&it.to_be_bytes())).collect()
}

#[test]
fn proofs_are_those_of_the_rfcs_text() {
    for size in 1..=70 {
        let d = small(size);
        let node = |node: Node| {
            let width = 1 << node.level;
            Ok::<_, Infallible>(mth(&d[node.index as usize * width..(node.index as usize + 1) * width]))
        };
        for m in 0..size {
            assert_eq!(
                inclusion_proof(m as u64, size as u64, node).unwrap(),
                path(m, &d),
                "PATH({m}, D[{size}])"
            );
        }
        for m in 1..=size {
            let proof = consistency_proof(m as u64, size as u64, node).unwrap();
            assert_eq!(proof, subproof(m, &d, true), "PROOF({m}, D[{size}])");
        }
    }
}

const LARGEST: u64 = 1 << 20;

/// Every node of a tree of 2^20 leaves: those of each smaller tree are among them.
static NODES: LazyLock<Vec<Vec<Hash>>> = LazyLock::new(|| {
    let mut levels = vec![small(LARGEST as usize)];
    while let Some(row) = levels.last().filter(|it| 1 < it.len()) {
        let above = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        levels.push(above);
    }
    levels
});

fn node(node: Node) -> Result<Hash, Infallible> {
    Ok(NODES[usize::from(node.level)][node.index as usize])
}

fn root(size: u64) -> Hash {
    subtree_root(0, size, &mut node).unwrap()
}

/// Every single change of a proof: one hash dropped, added, swapped, or with a byte flipped.
fn changed(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[[0; 32]]].concat()];
    for at in 0..proof.len() {
        let mut change = |change: fn(&mut Vec<Hash>, usize)| {
            let mut proof = proof.to_vec();
            change(&mut proof, at);
            all.push(proof);
        };
        change(|proof, at| {
            proof.remove(at);
        });
        change(|proof, at| proof.insert(at, proof[at]));
        change(|proof, at| proof[at][at % 32] ^= 1);
        if at != 0 {
            change(|proof, at| proof.swap(at, at - 1));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_proof_of_a_large_tree_verifies(
        size in 2..=LARGEST,
        pick in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let index = pick.index(size as usize) as u64;
        let leaf = NODES[0][index as usize];
        let path = inclusion_proof(index, size, node).unwrap();
        prop_assert!(verify_inclusion(index, size, &leaf, &path, &root(size)));
        for path in changed(&path) {
            prop_assert!(!verify_inclusion(index, size, &leaf, &path, &root(size)));
        }
        let elsewhere = other.index(size as usize) as u64;
        prop_assert!(elsewhere == index || !verify_inclusion(elsewhere, size, &leaf, &path, &root(size)));
        prop_assert!(!verify_inclusion(index, size, &leaf, &path, &root(size - 1)));

        let old = 1 + other.index(size as usize - 1) as u64;
        let proof = consistency_proof(old, size, node).unwrap();
        prop_assert!(verify_consistency(old, &root(old), size, &root(size), &proof));
        for proof in changed(&proof) {
            prop_assert!(!verify_consistency(old, &root(old), size, &root(size), &proof));
        }
        prop_assert!(!verify_consistency(old, &root(size), size, &root(size), &proof));
        prop_assert!(!verify_consistency(old, &root(old), size, &root(old), &proof));
    }
}
