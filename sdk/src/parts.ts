import {
  type Bytes, type Cursor, cursorOf, finish, type Hex, hex, isZero, Malformed, take, takeI32, takeI64, takeU16, takeU64, takeU8, textOf,
} from "./bytes.js";

/** The leaf kinds, by their number in the leaf less one. */
export const LEAF_KINDS = ["posting", "withdrawal", "map", "key", "incident", "orphan", "succession"] as const;
export type LeafKind = (typeof LEAF_KINDS)[number];

/** The posting kinds, by their number less one. More may come, and are not refused. */
export const POSTING_KINDS = [
  "earn", "redeem", "transfer", "expire", "adjust", "reverse", "hold", "capture", "void", "withdraw",
  "deposit", "lapse", "mature", "cancel", "extend", "increase", "merge", "import", "act",
] as const;

export interface Header {
  readonly postingId: string;
  /** The number of the posting kind; 0 where the leaf is no posting. */
  readonly postingKind: number;
  /** Null where the leaf concerns the whole log. */
  readonly program: string | null;
  /** Microseconds since 1970-01-01T00:00:00Z. */
  readonly recordedAt: bigint;
  readonly effectiveAt: bigint;
  readonly ruleSetHash: Hex | null;
  readonly eventHash: Hex | null;
  /** The posting that this one reverses. */
  readonly reverses: string | null;
}

export interface Details {
  readonly merchantReference: string | null;
  readonly actor: string | null;
  readonly reason: string | null;
  readonly description: string | null;
  readonly rate: string | null;
}

export interface Balances {
  readonly available: bigint;
  readonly held: bigint;
  readonly pending: bigint;
}

export interface Entry {
  readonly accountId: string;
  /** 1 is the program's points. */
  readonly unit: number;
  /** Counts the account's entries from 1, without holes. */
  readonly sequence: bigint;
  readonly change: Balances;
  readonly after: Balances;
  readonly lotsDigest: Hex | null;
  /** The account's entry before this one; null with sequence 1. */
  readonly previous: { readonly leafIndex: bigint; readonly commitment: Hex } | null;
}

export type Body =
  | {
      readonly kind: "withdrawal";
      readonly chainId: bigint;
      readonly gateway: Hex;
      readonly holder: Hex;
      readonly withdrawalId: Hex;
      /** Unix seconds. */
      readonly claimBefore: bigint;
      /** Days since 1970-01-01, ascending. */
      readonly amounts: readonly { readonly expiryDay: number; readonly amount: bigint }[];
    }
  | { readonly kind: "map"; readonly logSize: bigint; readonly accounts: bigint; readonly mapRoot: Hex }
  | { readonly kind: "key"; readonly action: "introduced" | "retired"; readonly signatureType: number; readonly publicKey: Hex }
  | { readonly kind: "incident"; readonly firstLeafIndex: bigint; readonly leaves: bigint; readonly reason: string }
  | { readonly kind: "orphan"; readonly leaf: Hex }
  | { readonly kind: "succession"; readonly oldLogId: Hex; readonly oldSize: bigint; readonly oldRoot: Hex };

const NO_PREVIOUS = (1n << 64n) - 1n;

/** The posting kind's name, or its number where this verifier is older than the kind. */
export function postingKindName(postingKind: number): string {
  return POSTING_KINDS[postingKind - 1] ?? String(postingKind);
}

/** Whether a leaf of this kind is a posting, and so may have entries. */
export function isPosting(kind: LeafKind): boolean {
  return kind === "posting" || kind === "withdrawal";
}

export function leafKindOf(number: number): LeafKind {
  const kind = LEAF_KINDS[number - 1];
  if (kind === undefined) throw new Malformed(`there is no leaf kind ${number}`);
  return kind;
}

export function decodeHeader(bytes: Bytes, kind: LeafKind): Header {
  const cursor = cursorOf(bytes);
  const header = {
    postingId: takeUuid(cursor),
    postingKind: takeU8(cursor),
    program: takeUuidOrZeros(cursor),
    recordedAt: takeI64(cursor),
    effectiveAt: takeI64(cursor),
    ruleSetHash: takeHashOrZeros(cursor),
    eventHash: takeHashOrZeros(cursor),
    reverses: takeUuidOrZeros(cursor),
  };
  finish(cursor);
  if (header.effectiveAt > header.recordedAt) throw new Malformed("the header takes effect after it was recorded");
  if ((header.postingKind !== 0) !== isPosting(kind)) throw new Malformed("the header's posting kind does not fit the leaf's kind");
  return header;
}

export function decodeDetails(bytes: Bytes): Details {
  const cursor = cursorOf(bytes);
  const present = takeU8(cursor);
  if (present > 0x1f) throw new Malformed("the details have a presence bit that means nothing");
  const details = {
    merchantReference: takeTextIf(cursor, present & 0x01),
    actor: takeTextIf(cursor, present & 0x02),
    reason: takeTextIf(cursor, present & 0x04),
    description: takeTextIf(cursor, present & 0x08),
    rate: takeTextIf(cursor, present & 0x10),
  };
  finish(cursor);
  return details;
}

export function decodeEntry(bytes: Bytes, leafIndex: bigint): Entry {
  const cursor = cursorOf(bytes);
  const accountId = takeUuid(cursor);
  const unit = takeU16(cursor);
  const sequence = takeU64(cursor);
  const change = takeBalances(cursor);
  const after = takeBalances(cursor);
  const lotsDigest = takeHashOrZeros(cursor);
  const previousIndex = takeU64(cursor);
  const previousCommitment = take(cursor, 32);
  finish(cursor);
  if (sequence === 0n) throw new Malformed("an entry's sequence number is 0");
  if (sequence === 1n) {
    if (previousIndex !== NO_PREVIOUS || !isZero(previousCommitment)) throw new Malformed("an account's first entry names one before it");
    if (!sameBalances(change, after)) throw new Malformed("an account's first entry ends with other balances than it changes");
    return { accountId, unit, sequence, change, after, lotsDigest, previous: null };
  }
  if (previousIndex >= leafIndex) throw new Malformed("an entry's previous entry does not stand before it");
  return { accountId, unit, sequence, change, after, lotsDigest, previous: { leafIndex: previousIndex, commitment: hex(previousCommitment) } };
}

export function decodeBody(bytes: Bytes, kind: LeafKind): Body {
  const cursor = cursorOf(bytes);
  const body = takeBody(cursor, kind);
  finish(cursor);
  return body;
}

function takeBody(cursor: Cursor, kind: LeafKind): Body {
  switch (kind) {
    case "posting":
      throw new Malformed("a posting has no body");
    case "withdrawal":
      return takeWithdrawal(cursor);
    case "map":
      return { kind, logSize: takeU64(cursor), accounts: takeU64(cursor), mapRoot: takeHash(cursor) };
    case "key":
      return takeKey(cursor);
    case "incident":
      return { kind, firstLeafIndex: takeU64(cursor), leaves: takeU64(cursor), reason: takeText(cursor) };
    case "orphan":
      return { kind, leaf: hex(take(cursor, 74)) };
    case "succession":
      return { kind, oldLogId: takeHash(cursor), oldSize: takeU64(cursor), oldRoot: takeHash(cursor) };
  }
}

function takeWithdrawal(cursor: Cursor): Body {
  const chainId = takeU64(cursor);
  const gateway = hex(take(cursor, 20));
  const holder = hex(take(cursor, 20));
  const withdrawalId = takeHash(cursor);
  const claimBefore = takeU64(cursor);
  const count = takeU8(cursor);
  if (count < 1 || count > 64) throw new Malformed("a withdrawal has not 1 to 64 amounts");
  const amounts: { expiryDay: number; amount: bigint }[] = [];
  for (let at = 0; at < count; at += 1) {
    const expiryDay = takeI32(cursor);
    const amount = takeU64(cursor);
    if (amount === 0n) throw new Malformed("a withdrawal has an amount of 0");
    const before = amounts[at - 1];
    if (before !== undefined && before.expiryDay >= expiryDay) throw new Malformed("a withdrawal's days do not ascend");
    amounts.push({ expiryDay, amount });
  }
  return { kind: "withdrawal", chainId, gateway, holder, withdrawalId, claimBefore, amounts };
}

function takeKey(cursor: Cursor): Body {
  const action = takeU8(cursor);
  if (action !== 1 && action !== 2) throw new Malformed("a key is neither introduced nor retired");
  const signatureType = takeU8(cursor);
  const publicKey = hex(take(cursor, takeU16(cursor)));
  return { kind: "key", action: action === 1 ? "introduced" : "retired", signatureType, publicKey };
}

export function takeBalances(cursor: Cursor): Balances {
  return { available: takeI64(cursor), held: takeI64(cursor), pending: takeI64(cursor) };
}

export function sameBalances(left: Balances, right: Balances): boolean {
  return left.available === right.available && left.held === right.held && left.pending === right.pending;
}

function takeTextIf(cursor: Cursor, present: number): string | null {
  return present === 0 ? null : takeText(cursor);
}

function takeText(cursor: Cursor): string {
  const length = takeU16(cursor);
  if (length < 1 || length > 2000) throw new Malformed("a text is not of 1 to 2,000 bytes");
  return textOf(take(cursor, length));
}

export function takeHash(cursor: Cursor): Hex {
  return hex(take(cursor, 32));
}

function takeHashOrZeros(cursor: Cursor): Hex | null {
  const hash = take(cursor, 32);
  return isZero(hash) ? null : hex(hash);
}

export function takeUuid(cursor: Cursor): string {
  return uuidOf(take(cursor, 16));
}

function takeUuidOrZeros(cursor: Cursor): string | null {
  const id = take(cursor, 16);
  return isZero(id) ? null : uuidOf(id);
}

function uuidOf(bytes: Bytes): string {
  return hex(bytes).replace(/^0x(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
