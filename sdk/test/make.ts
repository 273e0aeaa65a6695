// Receipts written straight from docs/formats.md: a second implementation, for tests only, which shares no code with the verifier.
import { createHash, createHmac, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";

export const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash("sha256").update(Buffer.concat(parts)).digest();
export const tag = (name: string): Buffer => Buffer.from(`daftari/v1/${name}`.padEnd(32, "\0"), "latin1");
export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

const fixed = (length: number) => (value: bigint | number): Buffer => {
  const wrapped = BigInt.asUintN(8 * length, BigInt(value));
  return Buffer.from(wrapped.toString(16).padStart(2 * length, "0"), "hex");
};
export const u8 = fixed(1);
export const u16 = fixed(2);
export const i32 = fixed(4);
export const u64 = fixed(8);

/** An id or hash whose bytes are all this one. */
export const id = (byte: number): Buffer => Buffer.alloc(16, byte);
export const hash = (byte: number): Buffer => Buffer.alloc(32, byte);

export interface Key {
  readonly name: string;
  readonly secret: KeyObject;
  readonly publicKey: Buffer;
}

export function makeKey(name: string, seed: number): Key {
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), hash(seed)]);
  const secret = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(-32);
  return { name, secret, publicKey };
}

const keyId = (key: Key, type: number): Buffer => sha256(Buffer.from(`${key.name}\n`), u8(type), key.publicKey).subarray(0, 4);

export function vkey(key: Key, type = 1): string {
  return `${key.name}+${keyId(key, type).toString("hex")}+${base64(Buffer.concat([u8(type), key.publicKey]))}`;
}

export function signatureLine(key: Key, text: string): string {
  return `\u2014 ${key.name} ${base64(Buffer.concat([keyId(key, 1), sign(null, Buffer.from(text), key.secret)]))}\n`;
}

export function cosignatureLine(key: Key, text: string, time: bigint): string {
  const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`), key.secret);
  return `\u2014 ${key.name} ${base64(Buffer.concat([keyId(key, 4), u64(time), signature]))}\n`;
}

export function saltOf(secret: Uint8Array, postingId: Uint8Array, part: number): Buffer {
  return createHmac("sha256", secret).update(Buffer.concat([tag("salt"), postingId, u8(part)])).digest();
}

/** A part of the leaf: opened where it has a salt. */
export type MadePart = { readonly salt: Buffer; readonly bytes: Buffer } | { readonly commitment: Buffer } | null;

export function partCommitment(name: string, part: MadePart): Buffer {
  if (part === null) return hash(0);
  return "commitment" in part ? part.commitment : sha256(tag(name), part.salt, part.bytes);
}

function partBytes(part: MadePart): Buffer {
  if (part === null) return u8(0);
  if ("commitment" in part) return Buffer.concat([u8(1), part.commitment]);
  return Buffer.concat([u8(2), part.salt, u16(part.bytes.length), part.bytes]);
}

export interface MadeLeaf {
  readonly version: number;
  readonly kind: number;
  readonly logId: Buffer;
  readonly index: bigint;
  readonly header: MadePart;
  readonly details: MadePart;
  readonly body: MadePart;
  readonly entries: readonly MadePart[];
  readonly hints: readonly Buffer[];
}

export function leafBytes(leaf: MadeLeaf): Buffer {
  const commitment = sha256(
    tag("commitment"),
    partCommitment("header", leaf.header),
    partCommitment("details", leaf.details),
    partCommitment("body", leaf.body),
    u8(leaf.entries.length),
    ...leaf.entries.map((entry) => partCommitment("entry", entry)),
  );
  return Buffer.concat([u8(1), u8(leaf.kind), leaf.logId, u64(leaf.index), commitment]);
}

export function extraBytes(leaf: MadeLeaf): Buffer {
  return Buffer.concat([
    u8(leaf.version), u8(leaf.kind), leaf.logId, partBytes(leaf.header), partBytes(leaf.details), partBytes(leaf.body),
    u8(leaf.entries.length), ...leaf.entries.map(partBytes), u8(leaf.hints.length), ...leaf.hints,
  ]);
}

export function logIdOf(key: Key): Buffer {
  return sha256(tag("log-id"), u16(Buffer.byteLength(key.name)), Buffer.from(key.name), u8(1), key.publicKey);
}

export function headerBytes(fields: {
  readonly postingId?: Buffer; readonly postingKind?: number; readonly program?: Buffer; readonly recordedAt?: bigint; readonly effectiveAt?: bigint;
  readonly ruleSetHash?: Buffer; readonly eventHash?: Buffer; readonly reverses?: Buffer;
} = {}): Buffer {
  return Buffer.concat([
    fields.postingId ?? id(0x40), u8(fields.postingKind ?? 2), fields.program ?? id(0x22),
    u64(fields.recordedAt ?? 1_760_000_000_123_456n), u64(fields.effectiveAt ?? 1_760_000_000_000_000n),
    fields.ruleSetHash ?? hash(0), fields.eventHash ?? hash(0), fields.reverses ?? id(0),
  ]);
}

export function detailsBytes(texts: readonly (string | null)[]): Buffer {
  const present = texts.reduce((bits, text, at) => (text === null ? bits : bits | (1 << at)), 0);
  const fields = texts.map((text) => (text === null ? Buffer.alloc(0) : Buffer.concat([u16(Buffer.byteLength(text)), Buffer.from(text)])));
  return Buffer.concat([u8(present), ...fields]);
}

export function entryBytes(fields: {
  readonly account?: Buffer; readonly unit?: number; readonly sequence?: bigint; readonly change?: readonly bigint[]; readonly after?: readonly bigint[];
  readonly lotsDigest?: Buffer; readonly previousIndex?: bigint; readonly previousCommitment?: Buffer;
} = {}): Buffer {
  const sequence = fields.sequence ?? 2n;
  return Buffer.concat([
    fields.account ?? id(0x51), u16(fields.unit ?? 1), u64(sequence),
    ...(fields.change ?? [-250n, 0n, 0n]).map(u64), ...(fields.after ?? [750n, 0n, 0n]).map(u64),
    fields.lotsDigest ?? hash(0), u64(fields.previousIndex ?? (sequence === 1n ? -1n : 1n)),
    fields.previousCommitment ?? (sequence === 1n ? hash(0) : hash(0x77)),
  ]);
}

export function hintBytes(chainId: bigint, contract: Uint8Array, registrant: Uint8Array, block: bigint, transaction: Uint8Array): Buffer {
  return Buffer.concat([u64(chainId), contract, registrant, u64(block), transaction]);
}

/** MTH of RFC 6962, 2.1, as plainly as it is written there. */
export function treeRoot(leaves: readonly Uint8Array[]): Buffer {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return sha256(u8(0), leaves[0]!);
  const split = splitOf(leaves.length);
  return sha256(u8(1), treeRoot(leaves.slice(0, split)), treeRoot(leaves.slice(split)));
}

/** PATH of RFC 6962, 2.1.1. */
export function treePath(index: number, leaves: readonly Uint8Array[]): Buffer[] {
  if (leaves.length <= 1) return [];
  const split = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return index < split ? [...treePath(index, left), treeRoot(right)] : [...treePath(index - split, right), treeRoot(left)];
}

function splitOf(length: number): number {
  let split = 1;
  while (2 * split < length) split *= 2;
  return split;
}

/** Everything that a receipt is made of, so that a test can change one thing and leave the rest right. */
export interface Recipe {
  readonly key: Key;
  readonly leaf: MadeLeaf;
  readonly size: number;
  readonly path?: readonly Buffer[];
  readonly text?: string;
  readonly signatures?: (text: string) => string;
  readonly extra?: string;
  /** The log's other leaves that are not fill. */
  readonly beside?: readonly MadeLeaf[];
}

export const LOG = makeKey("daftari.example/test", 7);
export const WITNESSES = [makeKey("witness.example/one", 11), makeKey("witness.example/two", 12), makeKey("witness.example/three", 13)] as const;
export const POLICY = `log ${vkey(LOG)}\nquorum none\n`;

export function redeemLeaf(changes: Partial<MadeLeaf> = {}): MadeLeaf {
  return {
    version: 1,
    kind: 1,
    logId: logIdOf(LOG),
    index: 5n,
    header: { salt: hash(0xa1), bytes: headerBytes() },
    details: { salt: hash(0xa2), bytes: detailsBytes(["order-4711", "partner:cafe", null, null, null]) },
    body: null,
    entries: [{ salt: hash(0xb1), bytes: entryBytes() }, { commitment: hash(0xb2) }],
    hints: [hintBytes(31_337n, Buffer.alloc(20, 0xc0), Buffer.alloc(20, 0xde), 42n, hash(0x99))],
    ...changes,
  };
}

/** Leaves of a log in which these stand at their indexes, and the others are fill. */
export function logOf(leaf: MadeLeaf, size: number, beside: readonly MadeLeaf[] = []): Buffer[] {
  return Array.from({ length: size }, (_, at) => {
    const found = [leaf, ...beside].find((it) => it.index === BigInt(at));
    return found === undefined ? Buffer.alloc(74, at) : leafBytes(found);
  });
}

export function makeReceipt(recipe: Partial<Recipe> = {}): string {
  const { key, leaf, size }: Recipe = { key: LOG, leaf: redeemLeaf(), size: 11, ...recipe };
  const leaves = logOf(leaf, size, recipe.beside);
  const path = recipe.path ?? treePath(Number(leaf.index), leaves);
  const text = recipe.text ?? `${key.name}\n${size}\n${base64(treeRoot(leaves))}\n`;
  const signatures = recipe.signatures ?? ((signed: string) => signatureLine(key, signed));
  const lines = ["c2sp.org/tlog-proof@v1", `extra ${recipe.extra ?? base64(extraBytes(leaf))}`, `index ${leaf.index}`, ...path.map(base64)];
  return `${lines.join("\n")}\n\n${text}\n${signatures(text)}`;
}

/** An account's receipts, oldest first, and its proof of a map of all leaves before the map's own. */
export interface MadeHistory {
  readonly receipts: readonly string[];
  readonly map: string;
  readonly size: number;
  readonly root: Buffer;
}

/**
 * A log in which one account has these balances, one after the other; each change but the first takes 250. The map may tell
 * another last balance than the entry does.
 */
export function makeHistory(balances: readonly bigint[] = [1_000n, 750n, 500n], mapBalance = balances.at(-1) ?? 0n): MadeHistory {
  const account = id(0x51);
  const leaves: MadeLeaf[] = [];
  let previous = { previousIndex: -1n, previousCommitment: hash(0) };
  for (const [at, balance] of balances.entries()) {
    const change = [at === 0 ? balance : -250n, 0n, 0n];
    const bytes = entryBytes({ account, sequence: BigInt(at + 1), change, after: [balance, 0n, 0n], ...previous });
    const entry = { salt: hash(0xb1 + at), bytes };
    const header = { salt: hash(0xa1), bytes: headerBytes({ postingId: id(0x40 + at), postingKind: at === 0 ? 1 : 2 }) };
    const leaf = redeemLeaf({ index: BigInt(2 * at + 1), header, entries: [entry, { commitment: hash(0xb2) }] });
    previous = { previousIndex: leaf.index, previousCommitment: partCommitment("entry", entry) };
    leaves.push(leaf);
  }
  const logSize = u64(2 * balances.length);
  const value = Buffer.concat([u64(balances.length), u64(mapBalance), u64(0), u64(0), u64(previous.previousIndex), previous.previousCommitment]);
  const salt = hash(0xc1);
  const row = Buffer.concat([sha256(tag("map-key"), logSize, account, u16(1)), sha256(tag("map-value"), salt, value)]);
  const rows = [row, Buffer.alloc(64, 0x80)].sort(Buffer.compare);
  const mapLeaf: MadeLeaf = {
    version: 1, kind: 3, logId: logIdOf(LOG), index: BigInt(2 * balances.length + 1),
    header: { salt: hash(0), bytes: headerBytes({ postingKind: 0, program: id(0) }) },
    details: { salt: hash(0), bytes: detailsBytes([null, null, null, null, null]) },
    body: { salt: hash(0), bytes: Buffer.concat([logSize, u64(rows.length), treeRoot(rows)]) },
    entries: [], hints: [],
  };
  const size = 2 * balances.length + 3;
  const receiptOf = (leaf: MadeLeaf) => makeReceipt({ leaf, size, beside: [...leaves, mapLeaf] });
  const opened = Buffer.concat([account, u16(1), logSize, salt, value]);
  const lines = ["daftari/map-proof@v1", `row ${base64(opened)}`, `index ${rows.indexOf(row)}`, ...treePath(rows.indexOf(row), rows).map(base64)];
  return {
    receipts: leaves.map(receiptOf),
    map: `${lines.join("\n")}\n\n${receiptOf(mapLeaf)}`,
    size,
    root: treeRoot(logOf(mapLeaf, size, leaves)),
  };
}

/** PROOF of RFC 6962, 2.1.2: that the log of these leaves extends the log of the first ones. */
export function treeExtension(oldSize: number, leaves: readonly Uint8Array[]): Buffer[] {
  return subproof(oldSize, leaves, true);
}

function subproof(oldSize: number, leaves: readonly Uint8Array[], isWhole: boolean): Buffer[] {
  if (oldSize === leaves.length) return isWhole ? [] : [treeRoot(leaves)];
  const split = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return oldSize <= split ? [...subproof(oldSize, left, isWhole), treeRoot(right)] : [...subproof(oldSize - split, right, false), treeRoot(left)];
}
