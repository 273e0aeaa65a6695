import { type Bytes } from "./bytes.js";
import { sha256 } from "./crypto.js";

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** RFC 6962's hash of a leaf. */
export function leafHash(leaf: Bytes): Promise<Bytes> {
  return sha256(LEAF_PREFIX, leaf);
}

/**
 * The root that this path gives the leaf, or null where the path has a wrong length (RFC 9162, 2.1.3.2).
 *
 * A path does not bind the tree's size, so the size has to come from a signed checkpoint, never from the prover.
 */
export async function rootOfPath(hash: Bytes, index: bigint, size: bigint, path: readonly Bytes[]): Promise<Bytes | null> {
  if (index >= size) return null;
  let node = index;
  let last = size - 1n;
  let root = hash;
  for (const sibling of path) {
    if (last === 0n) return null;
    if ((node & 1n) === 1n || node === last) {
      root = await sha256(NODE_PREFIX, sibling, root);
      while ((node & 1n) === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      root = await sha256(NODE_PREFIX, root, sibling);
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? root : null;
}
