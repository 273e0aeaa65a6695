import { type Bytes, bytesOfBase64, Malformed, u64OfDecimal } from "./bytes.js";

/** The three lines of a C2SP `tlog-checkpoint`. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: bigint;
  readonly root: Bytes;
}

/** Reads a note's text. Extension lines are allowed and mean nothing to us. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.some((line) => line === "")) throw new Malformed("the checkpoint has an empty line");
  const [origin, size, root] = lines;
  if (origin === undefined || size === undefined || root === undefined) throw new Malformed("the checkpoint is not of three lines");
  const rootHash = bytesOfBase64(root);
  if (rootHash.length !== 32) throw new Malformed("the checkpoint's root is not of 32 bytes");
  return { origin, size: u64OfDecimal(size), root: rootHash };
}
