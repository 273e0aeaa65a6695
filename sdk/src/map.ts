import { type Bytes, bytesOfBase64, concat, cursorOf, finish, type Hex, hex, Malformed, take, takeU16, takeU64, utf8 } from "./bytes.js";
import { sha256, tag } from "./crypto.js";
import { type Balances, takeBalances, takeHash, takeUuid } from "./parts.js";
import { type Policy } from "./policy.js";
import { parseProofLines } from "./receipt.js";
import { leafHash, rootOfPath } from "./tree.js";
import { RECEIPT_BYTES_MAX, type Refusal, verifyReceipt } from "./verify.js";

/** What the log's account map says of one account: its last entry below a size of the log, and the balances after it. */
export interface MapRow {
  readonly accountId: string;
  readonly unit: number;
  readonly logSize: bigint;
  readonly sequence: bigint;
  readonly balances: Balances;
  readonly leafIndex: bigint;
  readonly commitment: Hex;
}

export type MapRefusal = Refusal | "malformed_map" | "not_this_map" | "not_in_map";

export type MapVerdict =
  /** `receipt` is that of the map's leaf, for whoever asks a contract about it. */
  | { readonly verdict: "valid"; readonly row: MapRow; readonly receipt: string }
  | { readonly verdict: "refused"; readonly code: MapRefusal; readonly reason: string }
  | { readonly verdict: "could_not_check"; readonly reason: string };

/** Says what a map proof proves to whoever trusts this policy. The receipt in it is refused as `verifyReceipt` refuses it. */
export async function verifyMapProof(proof: Uint8Array | string, policy: Policy): Promise<MapVerdict> {
  const parsed = parse(typeof proof === "string" ? utf8(proof) : new Uint8Array(proof));
  if (parsed instanceof Malformed) return refused("malformed_map", parsed.message);
  const { lines, opened, row } = parsed;
  const receipt = await verifyReceipt(lines.rest, policy);
  if (receipt.verdict !== "valid") return receipt;
  const { body, leafIndex } = receipt.verified;
  const map = body?.state === "opened" ? body.value : null;
  // A map of leaves that come after it would promise what nobody knows yet.
  if (map?.kind !== "map" || map.logSize !== row.logSize || leafIndex < map.logSize) {
    return refused("not_this_map", "the receipt is not of a map of this log size, at or after it, with its body opened");
  }
  const key = await sha256(tag("map-key"), opened.logSize, opened.account, opened.unit);
  const value = await sha256(tag("map-value"), opened.salt, opened.value);
  const root = await rootOfPath(await leafHash(concat(key, value)), lines.index, map.accounts, lines.path);
  if (root === null || hex(root) !== map.mapRoot) {
    return refused("not_in_map", "the account does not stand in the map with this value");
  }
  return { verdict: "valid", row, receipt: lines.rest };
}

function refused(code: MapRefusal, reason: string): MapVerdict {
  return { verdict: "refused", code, reason };
}

function parse(bytes: Bytes) {
  try {
    if (bytes.length > RECEIPT_BYTES_MAX) throw new Malformed("the map proof is longer than 64 KiB");
    const lines = parseProofLines(bytes, "daftari/map-proof@v1", "row ");
    const opened = openRow(bytesOfBase64(lines.opened));
    return { lines, opened, row: decodeRow(opened) };
  } catch (error) {
    if (error instanceof Malformed) return error;
    throw error;
  }
}

/** The row's fields, as the map hashes them. */
interface OpenedRow {
  readonly account: Bytes;
  readonly unit: Bytes;
  readonly logSize: Bytes;
  readonly salt: Bytes;
  readonly value: Bytes;
}

function openRow(bytes: Bytes): OpenedRow {
  const cursor = cursorOf(bytes);
  const row = { account: take(cursor, 16), unit: take(cursor, 2), logSize: take(cursor, 8), salt: take(cursor, 32), value: take(cursor, 72) };
  finish(cursor);
  return row;
}

function decodeRow({ account, unit, logSize, value }: OpenedRow): MapRow {
  const cursor = cursorOf(value);
  const row = {
    accountId: takeUuid(cursorOf(account)),
    unit: takeU16(cursorOf(unit)),
    logSize: takeU64(cursorOf(logSize)),
    sequence: takeU64(cursor),
    balances: takeBalances(cursor),
    leafIndex: takeU64(cursor),
    commitment: takeHash(cursor),
  };
  if (row.sequence === 0n) throw new Malformed("an account in the map has no entry");
  if (row.logSize <= row.leafIndex) throw new Malformed("the account's last entry lies beyond the map");
  return row;
}
