import { type Bytes, bytesOfBase64, type Hex, hex, Malformed, sameBytes, utf8 } from "./bytes.js";
import { type Checkpoint, parseCheckpoint } from "./checkpoint.js";
import { CouldNotCheck, ed25519Verifies } from "./crypto.js";
import { type AnchorHint, type Commitments, commitmentsOf, decodeOpenedLeaf, logIdOf, type OpenedLeaf, type RawPart, rebuildLeaf, saltIsRight } from "./leaf.js";
import { type Note, names, type NoteSignature, parseNote, type VerifierKey } from "./note.js";
import { type Body, decodeBody, decodeDetails, decodeEntry, decodeHeader, type Details, type Entry, type Header, type LeafKind } from "./parts.js";
import { type Policy, quorumIsMet, stands } from "./policy.js";
import { parseReceiptLines } from "./receipt.js";
import { leafHash, rootOfPath } from "./tree.js";

/** Every reason to refuse a receipt, in the order in which they are looked for. */
export const REFUSALS = [
  "too_long", "malformed_receipt", "malformed_extra", "malformed_part", "malformed_checkpoint", "unknown_log",
  "wrong_log", "unsigned", "bad_signature", "retired_key", "quorum_missing", "index_beyond_size", "not_included",
] as const;
export type Refusal = (typeof REFUSALS)[number];

/** A part of the leaf: opened, so that everyone can read it, or closed, so that only its commitment shows. */
export type Part<T> =
  | { readonly state: "closed"; readonly commitment: Hex }
  | { readonly state: "opened"; readonly commitment: Hex; readonly value: T };

/** What a valid receipt proves: this leaf stands in this log, under this checkpoint. */
export interface Verified {
  readonly origin: string;
  readonly logId: Hex;
  readonly kind: LeafKind;
  readonly leafIndex: bigint;
  /** The 74 bytes that stand in the log. */
  readonly leaf: Hex;
  readonly leafHash: Hex;
  readonly header: Part<Header>;
  readonly details: Part<Details>;
  /** Null where the leaf's kind has no body. */
  readonly body: Part<Body> | null;
  readonly entries: readonly Part<Entry>[];
  readonly path: readonly Hex[];
  readonly size: bigint;
  readonly root: Hex;
  /** How many of the policy's keys for this log have signed. */
  readonly logSignatures: number;
  /** The policy's witnesses that have cosigned, and when (Unix seconds). */
  readonly cosignatures: readonly { readonly witness: string; readonly time: bigint }[];
  /** Not proved: where the receipt says that its checkpoint is anchored. */
  readonly hints: readonly AnchorHint[];
}

export type Verdict =
  | { readonly verdict: "valid"; readonly verified: Verified }
  | { readonly verdict: "refused"; readonly code: Refusal; readonly reason: string }
  | { readonly verdict: "could_not_check"; readonly reason: string };

/** How a refusal travels from where it is found to `verifyReceipt`. */
class Refused extends Error {
  override name = "Refused";
  readonly code: Refusal;

  constructor(code: Refusal, reason: string) {
    super(reason);
    this.code = code;
  }
}

/** A receipt is never longer, and neither is a map proof. */
export const RECEIPT_BYTES_MAX = 65_536;

/**
 * Says what a receipt proves to whoever trusts this policy, or the first reason to refuse it.
 *
 * Pure: no network and no clock. `could_not_check` means that this runtime lacks the cryptography.
 */
export async function verifyReceipt(receipt: Uint8Array | string, policy: Policy): Promise<Verdict> {
  try {
    return { verdict: "valid", verified: await verified(receipt, policy) };
  } catch (error) {
    if (error instanceof Refused) return { verdict: "refused", code: error.code, reason: error.message };
    if (error instanceof CouldNotCheck) return { verdict: "could_not_check", reason: error.message };
    throw error;
  }
}

async function verified(receipt: Uint8Array | string, policy: Policy): Promise<Verified> {
  if (receipt.length > RECEIPT_BYTES_MAX) throw new Refused("too_long", "the receipt is longer than 64 KiB");
  const bytes = typeof receipt === "string" ? utf8(receipt) : new Uint8Array(receipt);
  if (bytes.length > RECEIPT_BYTES_MAX) throw new Refused("too_long", "the receipt is longer than 64 KiB");

  const lines = refusing("malformed_receipt", () => parseReceiptLines(bytes));
  const opened = refusing("malformed_extra", () => decodeOpenedLeaf(bytesOfBase64(lines.extra)));
  const parts = refusing("malformed_part", () => decodeParts(opened, lines.index));
  const { note, checkpoint } = refusing("malformed_checkpoint", () => parseSignedCheckpoint(lines.note));

  const logKeys = policy.logs.filter((key) => key.name === checkpoint.origin);
  const [firstKey] = logKeys;
  if (firstKey === undefined) throw new Refused("unknown_log", `the policy has no key for ${checkpoint.origin}`);
  const logId = await logIdOf(checkpoint.origin, firstKey.publicKey);
  if (!sameBytes(logId, opened.logId)) throw new Refused("wrong_log", "the leaf belongs to another log than the policy's");

  const signed = logKeys.filter((key) => note.signatures.some((signature) => names(signature, key)));
  if (signed.length === 0) throw new Refused("unsigned", "no key that the policy has for this log has signed the checkpoint");
  const cosignatures = await checkSignatures(note, policy);
  if (!signed.some((key) => stands(policy, key, checkpoint.size, cosignatures))) {
    throw new Refused(
      "retired_key",
      "only a key that has retired has signed the checkpoint, and no witnesses of the policy have cosigned it before that: ask the chain, or fetch the receipt again",
    );
  }
  if (!quorumIsMet(policy, new Set(cosignatures.map((it) => it.witness)))) {
    throw new Refused("quorum_missing", "too few of the policy's witnesses have cosigned the checkpoint");
  }

  if (lines.index >= checkpoint.size) throw new Refused("index_beyond_size", "the leaf's index is not below the checkpoint's size");
  const commitments = await commitmentsOf(opened);
  const leaf = await rebuildLeaf(opened, lines.index, commitments);
  const hash = await leafHash(leaf);
  const root = await rootOfPath(hash, lines.index, checkpoint.size, lines.path);
  if (root === null || !sameBytes(root, checkpoint.root)) {
    throw new Refused("not_included", "the leaf, with this path, does not give the checkpoint's root");
  }

  return {
    origin: checkpoint.origin,
    logId: hex(logId),
    kind: opened.kind,
    leafIndex: lines.index,
    leaf: hex(leaf),
    leafHash: hex(hash),
    ...withCommitments(opened.kind, parts, commitments),
    path: lines.path.map(hex),
    size: checkpoint.size,
    root: hex(checkpoint.root),
    logSignatures: signed.length,
    cosignatures,
    hints: opened.hints,
  };
}

function refusing<T>(code: Refusal, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Malformed) throw new Refused(code, error.message);
    throw error;
  }
}

interface Parts {
  readonly header: Header | null;
  readonly details: Details | null;
  readonly body: Body | null;
  readonly entries: readonly (Entry | null)[];
}

function decodeParts(leaf: OpenedLeaf, leafIndex: bigint): Parts {
  const header = opened(leaf.header, (bytes) => decodeHeader(bytes, leaf.kind));
  const details = opened(leaf.details, decodeDetails);
  const body = opened(leaf.body, (bytes) => decodeBody(bytes, leaf.kind));
  if (leaf.body.state === "opened" && !saltIsRight(leaf.kind, leaf.body.salt)) {
    throw new Malformed("the body's salt is not zeros, and it concerns nobody in particular");
  }
  const entries = leaf.entries.map((part) => opened(part, (bytes) => decodeEntry(bytes, leafIndex)));
  // Closed entries between opened ones hide their accounts, so only the opened ones can be compared.
  const accounts = entries.flatMap((entry) => (entry === null ? [] : [entry.accountId]));
  if (accounts.some((account, at) => at > 0 && account <= (accounts[at - 1] ?? ""))) {
    throw new Malformed("the entries do not stand in ascending order of account");
  }
  return { header, details, body, entries };
}

function opened<T>(part: RawPart, decode: (bytes: Bytes) => T): T | null {
  return part.state === "opened" ? decode(part.bytes) : null;
}

function withCommitments(
  kind: LeafKind,
  parts: Parts,
  commitments: Commitments,
): Pick<Verified, "header" | "details" | "body" | "entries"> {
  return {
    header: partOf(parts.header, commitments.header),
    details: partOf(parts.details, commitments.details),
    body: kind === "posting" ? null : partOf(parts.body, commitments.body),
    entries: commitments.entries.map((commitment, at) => partOf(parts.entries[at] ?? null, commitment)),
  };
}

function partOf<T>(value: T | null, commitment: Bytes): Part<T> {
  return value === null ? { state: "closed", commitment: hex(commitment) } : { state: "opened", commitment: hex(commitment), value };
}

function parseSignedCheckpoint(text: string): { readonly note: Note; readonly checkpoint: Checkpoint } {
  const note = parseNote(text);
  return { note, checkpoint: parseCheckpoint(note.text) };
}

/** Every line that names a key of the policy must verify; the others say nothing. Answers who has cosigned. */
async function checkSignatures(note: Note, policy: Policy): Promise<Verified["cosignatures"]> {
  // Each witness with the earliest time at which it has cosigned.
  const cosigned = new Map<string, bigint>();
  for (const signature of note.signatures) {
    for (const key of policy.logs.filter((it) => names(signature, it))) {
      await demand(key, signature.signature, utf8(note.text));
    }
    for (const witness of policy.witnesses.filter((it) => names(signature, it.key))) {
      const time = await checkCosignature(witness.key, signature, note.text);
      const before = cosigned.get(witness.name);
      cosigned.set(witness.name, before !== undefined && before < time ? before : time);
    }
  }
  return [...cosigned].map(([witness, time]) => ({ witness, time }));
}

async function checkCosignature(key: VerifierKey, { signature }: NoteSignature, text: string): Promise<bigint> {
  const time = signature.length === 72 ? new DataView(signature.buffer, signature.byteOffset).getBigUint64(0) : null;
  // The spec keeps times below 2^63.
  if (time === null || time >> 63n !== 0n) throw new Refused("bad_signature", `the cosignature of ${key.name} is not of its form`);
  await demand(key, signature.subarray(8), utf8(`cosignature/v1\ntime ${time}\n${text}`));
  return time;
}

async function demand(key: VerifierKey, signature: Bytes, message: Bytes): Promise<void> {
  if (signature.length !== 64 || !(await ed25519Verifies(key.publicKey, signature, message))) {
    throw new Refused("bad_signature", `the signature of ${key.name} does not verify`);
  }
}
