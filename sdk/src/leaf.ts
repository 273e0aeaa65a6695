import { type Bytes, concat, type Cursor, cursorOf, finish, type Hex, hex, isZero, Malformed, take, takeU16, takeU64, takeU8, u16Bytes, u64Bytes, utf8 } from "./bytes.js";
import { sha256, tag } from "./crypto.js";
import { isPosting, LEAF_KINDS, type LeafKind, leafKindOf } from "./parts.js";

/** A part of a leaf as the receipt carries it: its commitment alone, or what gives the commitment. */
export type RawPart =
  | { readonly state: "absent" }
  | { readonly state: "closed"; readonly commitment: Bytes }
  | { readonly state: "opened"; readonly salt: Bytes; readonly bytes: Bytes };

/** Where an anchor may be found. Never a reason to believe that there is one. */
export interface AnchorHint {
  readonly chainId: bigint;
  readonly contract: Hex;
  readonly registrant: Hex;
  readonly block: bigint;
  readonly transaction: Hex;
}

/** What stands in a receipt's `extra`, its parts not yet decoded. */
export interface OpenedLeaf {
  readonly kind: LeafKind;
  readonly logId: Bytes;
  readonly header: RawPart;
  readonly details: RawPart;
  readonly body: RawPart;
  readonly entries: readonly RawPart[];
  readonly hints: readonly AnchorHint[];
}

const HINTS_MAX = 8;

/** Reads the layout of `extra`. What the opened parts say is not looked at here. */
export function decodeOpenedLeaf(bytes: Bytes): OpenedLeaf {
  const cursor = cursorOf(bytes);
  if (takeU8(cursor) !== 1) throw new Malformed("the opened leaf is of an unknown version");
  const kind = leafKindOf(takeU8(cursor));
  const logId = take(cursor, 32);
  const header = takePart(cursor);
  const details = takePart(cursor);
  const body = takePart(cursor);
  if (header.state === "absent" || details.state === "absent") throw new Malformed("the header or the details are absent");
  if ((body.state === "absent") !== (kind === "posting")) throw new Malformed("a body is there exactly where the leaf's kind has one");
  const entries = Array.from({ length: takeU8(cursor) }, () => takePart(cursor));
  if (entries.some((entry) => entry.state === "absent")) throw new Malformed("an entry is absent");
  if (entries.length > 0 && !isPosting(kind)) throw new Malformed("a leaf that is no posting has entries");
  const hintCount = takeU8(cursor);
  if (hintCount > HINTS_MAX) throw new Malformed("there are more than 8 anchor hints");
  const hints = Array.from({ length: hintCount }, () => takeHint(cursor));
  finish(cursor);
  return { kind, logId, header, details, body, entries, hints };
}

function takePart(cursor: Cursor): RawPart {
  const state = takeU8(cursor);
  switch (state) {
    case 0:
      return { state: "absent" };
    case 1:
      return { state: "closed", commitment: take(cursor, 32) };
    case 2:
      return { state: "opened", salt: take(cursor, 32), bytes: take(cursor, takeU16(cursor)) };
    default:
      throw new Malformed(`there is no part state ${state}`);
  }
}

function takeHint(cursor: Cursor): AnchorHint {
  return {
    chainId: takeU64(cursor),
    contract: hex(take(cursor, 20)),
    registrant: hex(take(cursor, 20)),
    block: takeU64(cursor),
    transaction: hex(take(cursor, 32)),
  };
}

/** The parts' commitments, as the leaf's commitment joins them. */
export interface Commitments {
  readonly header: Bytes;
  readonly details: Bytes;
  readonly body: Bytes;
  readonly entries: readonly Bytes[];
}

export async function commitmentsOf(leaf: OpenedLeaf): Promise<Commitments> {
  return {
    header: await commitmentOf("header", leaf.header),
    details: await commitmentOf("details", leaf.details),
    body: await commitmentOf("body", leaf.body),
    entries: await Promise.all(leaf.entries.map((entry) => commitmentOf("entry", entry))),
  };
}

async function commitmentOf(name: "header" | "details" | "body" | "entry", part: RawPart): Promise<Bytes> {
  switch (part.state) {
    case "absent":
      return new Uint8Array(32);
    case "closed":
      return part.commitment;
    case "opened":
      return sha256(tag(name), part.salt, part.bytes);
  }
}

/** The 74 bytes that the tree hashes, rebuilt from what the receipt opens and where it says the leaf stands. */
export async function rebuildLeaf(leaf: OpenedLeaf, index: bigint, commitments: Commitments): Promise<Bytes> {
  const { header, details, body, entries } = commitments;
  const commitment = await sha256(tag("commitment"), header, details, body, Uint8Array.of(entries.length), ...entries);
  return concat(Uint8Array.of(1, LEAF_KINDS.indexOf(leaf.kind) + 1), leaf.logId, u64Bytes(index), commitment);
}

/** The log's name for ever: its origin and its first key. */
export function logIdOf(origin: string, firstKey: Bytes): Promise<Bytes> {
  const name = utf8(origin);
  return sha256(tag("log-id"), u16Bytes(name.length), name, Uint8Array.of(1), firstKey);
}

/** The body of a leaf that is no posting concerns nobody, so its salt is zeros. */
export function saltIsRight(kind: LeafKind, salt: Bytes): boolean {
  return isPosting(kind) || isZero(salt);
}
