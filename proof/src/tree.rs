//! The RFC 6962 tree: hashing, the frontier that grows it, and the proofs of RFC 9162, built and verified.

use crate::hash::{Hash, hash};

/// The hash of a leaf's bytes.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    hash(&[&[0x00], leaf])
}

/// The hash of two subtrees.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // In one piece, which the hasher takes as it is: it would gather three first.
    let mut bytes = [0x01; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    hash(&[&bytes])
}

/// The root of the tree without leaves.
pub fn empty_root() -> Hash {
    hash(&[])
}

/// A complete subtree: the `index`-th group of 2^`level` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Its height above the leaves.
    pub level: u8,
    /// Its place among the subtrees of that height.
    pub index: u64,
}

/// The tree's right edge: the roots of its complete subtrees, largest first. O(log n) state, O(1) amortised push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree of this size, whose complete subtrees the caller looks up.
    pub fn load<E>(size: u64, mut node: impl FnMut(Node) -> Result<Hash, E>) -> Result<Self, E> {
        let peaks = complete_subtrees(0, size).map(&mut node).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// How many leaves it holds.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf's hash, telling each complete subtree that it closes, lowest first.
    pub fn push(&mut self, leaf: Hash, mut closed: impl FnMut(Node, &Hash)) {
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        closed(node, &hash);
        while node.index % 2 == 1 {
            let left = self.peaks.pop().expect("an odd subtree has a left neighbour");
            hash = node_hash(&left, &hash);
            node = Node { level: node.level + 1, index: node.index / 2 };
            closed(node, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Hash {
        fold(&self.peaks).unwrap_or_else(empty_root)
    }
}

fn fold(peaks: &[Hash]) -> Option<Hash> {
    peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// The complete subtrees that make up the leaves `begin..end`, left to right, where `begin` is a multiple of the
/// largest of them (as it is for every range that a proof names).
fn complete_subtrees(begin: u64, end: u64) -> impl Iterator<Item = Node> {
    let mut at = begin;
    std::iter::from_fn(move || {
        let level = (end - at).checked_ilog2()?;
        let node = Node { level: level as u8, index: at >> level };
        at += 1 << level;
        Some(node)
    })
}

/// The root of the leaves `begin..end` of a tree, from its complete subtrees.
pub fn subtree_root<E>(
    begin: u64,
    end: u64,
    node: &mut impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let peaks = complete_subtrees(begin, end).map(node).collect::<Result<Vec<_>, _>>()?;
    Ok(fold(&peaks).unwrap_or_else(empty_root))
}

/// The inclusion proof of one leaf in the tree of this size, leaf's sibling first.
///
/// # Panics
/// If the leaf is not in a tree of this size.
pub fn inclusion_proof<E>(
    leaf_index: u64,
    size: u64,
    mut node: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    assert!(leaf_index < size, "leaf {leaf_index} is not in a tree of {size}");
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, size);
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        let (sibling, rest) = if leaf_index < middle {
            ((middle, end), (begin, middle))
        } else {
            ((begin, middle), (middle, end))
        };
        path.push(subtree_root(sibling.0, sibling.1, &mut node)?);
        (begin, end) = rest;
    }
    path.reverse();
    Ok(path)
}

/// The consistency proof from a tree of `old` leaves to one of `new`: RFC 6962's PROOF(old, D[new]).
///
/// # Panics
/// If `old` is above `new`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut node: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    assert!(old <= new, "a tree of {new} leaves does not extend one of {old}");
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut begin, mut end) = (0, new);
    while end != old {
        let middle = begin + split(end - begin);
        let (sibling, rest) =
            if old <= middle { ((middle, end), (begin, middle)) } else { ((begin, middle), (middle, end)) };
        proof.push(subtree_root(sibling.0, sibling.1, &mut node)?);
        (begin, end) = rest;
    }
    // The old tree is a subtree of the new one from leaf 0 on: the verifier has its root already.
    if begin != 0 {
        proof.push(subtree_root(begin, end, &mut node)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two strictly below `n`, for `n` > 1.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Whether the path leads from this leaf hash to the root of the tree of this size (RFC 9162, 2.1.3.2). The size must
/// come from a signed checkpoint or a contract, never from whoever made the proof.
pub fn verify_inclusion(leaf_index: u64, size: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> bool {
    if size <= leaf_index {
        return false;
    }
    let (mut index, mut last) = (leaf_index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if index % 2 == 1 || index == last {
            hash = node_hash(sibling, &hash);
            while index % 2 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the tree of `new` leaves extends the one of `old` leaves (RFC 9162, 2.1.4.2).
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if new < old {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        match proof.split_first() {
            Some(split) => split,
            None => return false,
        }
    };
    let (mut index, mut last) = (old - 1, new - 1);
    while index % 2 == 1 {
        index >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if index % 2 == 1 || index == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while index % 2 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}
