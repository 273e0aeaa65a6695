// The tree by the RFC's recursion, with made-up nodes where nobody looks.
import { draw, sha256 } from "./chain.mjs";

export const node = (left, right) => sha256(Buffer.from([1]), left, right);
const split = (n) => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};

function subproofNodes(m, n, whole) {
  if (m === n) return whole ? 0 : 1;
  const k = split(n);
  return 1 + (m <= k ? subproofNodes(m, k, whole) : subproofNodes(m - k, n - k, false));
}

export function climbBoth(m, n, oldRoot, proof, whole) {
  if (m === n) {
    const both = whole ? oldRoot : proof.at(-1);
    return { old: both, new: both, hashes: 0 };
  }
  const k = split(n);
  const sibling = proof.at(-1);
  if (m <= k) {
    const part = climbBoth(m, k, oldRoot, proof.slice(0, -1), whole);
    return { old: part.old, new: node(part.new, sibling), hashes: part.hashes + 1 };
  }
  const part = climbBoth(m - k, n - k, oldRoot, proof.slice(0, -1), false);
  return { old: node(sibling, part.old), new: node(sibling, part.new), hashes: part.hashes + 2 };
}

/// Two sizes between 1 and 10 million, the second up to 1,000 larger, whose proof has this many nodes and takes this many hashes.
export function sizes(count, hashes) {
  let state = 1;
  const random = (below) => (state = (state * 48_271) % 2_147_483_647) % below;
  const zero = Buffer.alloc(32);
  for (let tries = 0; tries < 1_000_000; tries++) {
    const oldSize = 1_000_000 + random(9_000_000);
    const newSize = oldSize + 1 + random(1_000);
    if (subproofNodes(oldSize, newSize, true) !== count) continue;
    if (climbBoth(oldSize, newSize, zero, Array(count).fill(zero), true).hashes === hashes) return [oldSize, newSize];
  }
  throw new Error(`no sizes with ${count} nodes and ${hashes} hashes`);
}

/// The root of a tree of 2^levels leaves, up from one of them.
export function climb(index, levels, hash, proof) {
  for (let level = 0, at = index; level < levels; ++level, at >>= 1) {
    hash = at & 1 ? node(proof[level], hash) : node(hash, proof[level]);
  }
  return hash;
}

/// The root of a tree of 2^levels leaves of which only these are known, and the path of each.
export function sparseTree(levels, leaves) {
  const proofs = leaves.map(() => []);
  let row = new Map(leaves.map(({ index, hash }) => [index, hash]));
  for (let level = 0; level < levels; ++level) {
    const made = new Map();
    const at = (index) => row.get(index) ?? made.get(index) ?? made.set(index, draw()).get(index);
    leaves.forEach(({ index }, n) => proofs[n].push(at((index >> level) ^ 1)));
    const parents = new Set([...row.keys()].map((index) => index >> 1));
    row = new Map([...parents].map((index) => [index, node(at(2 * index), at(2 * index + 1))]));
  }
  return { root: row.get(0), proofs };
}
