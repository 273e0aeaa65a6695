// The golden vectors that Rust writes and every verifier reads.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { bytesOfHex, hex, utf8 } from "../src/bytes.js";
import { parseCheckpoint } from "../src/checkpoint.js";
import { logIdOf } from "../src/leaf.js";
import { names, parseNote, parseVerifierKey } from "../src/note.js";
import { decodeBody, decodeDetails, decodeEntry, decodeHeader, LEAF_KINDS, type LeafKind } from "../src/parts.js";
import { parsePolicy } from "../src/policy.js";
import { leafHash, rootOfPath } from "../src/tree.js";
import { type Verdict, type Verified, verifyReceipt } from "../src/verify.js";
import { hash, leafBytes, partCommitment, saltOf, u16 } from "./make.js";

function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8")) as T;
}

interface ReceiptCase {
  readonly name: string;
  readonly policy: string;
  readonly receipt: string;
  readonly verdict: string;
}
const receipts = vectors<{ readonly cases: readonly ReceiptCase[] }>("receipt").cases;

const answerOf = (verdict: Verdict): string => (verdict.verdict === "refused" ? verdict.code : verdict.verdict);

for (const { name, policy, receipt, verdict } of receipts) {
  test(`receipt vector: ${name}`, async () => {
    assert.equal(answerOf(await verifyReceipt(receipt, await parsePolicy(policy))), verdict);
  });
}

/** What a verdict credits: all that is proved. Hints are not, and a witness that is no longer there is not. */
function credited({ hints: _hints, cosignatures: _cosignatures, logSignatures: _signatures, ...proved }: Verified): string {
  return JSON.stringify(proved, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

test("every flipped byte of every valid receipt vector is refused or no longer credited", async () => {
  for (const { name, policy: text, receipt } of receipts.filter((it) => it.verdict === "valid")) {
    const policy = await parsePolicy(text);
    const right = await verifyReceipt(receipt, policy);
    assert.ok(right.verdict === "valid");
    const bytes = utf8(receipt);
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      const verdict = await verifyReceipt(flipped, policy);
      assert.notEqual(verdict.verdict, "could_not_check");
      if (verdict.verdict === "valid") assert.equal(credited(verdict.verified), credited(right.verified), `${name}, byte ${at}`);
    }
  }
});

interface VectorPart {
  readonly bytes: string;
  readonly salt: string;
  readonly commitment: string;
}
interface VectorLeaf {
  readonly index: number;
  readonly kind: LeafKind;
  readonly header: VectorPart;
  readonly details: VectorPart;
  readonly body: VectorPart | null;
  readonly entries: readonly VectorPart[];
  readonly leaf: string;
  readonly leaf_hash: string;
}

test("leaf vectors: the decoder reads them, and the second encoder gives the same commitments, leaves and hashes", async () => {
  const { origin, first_key, log_id, leaves, secrets } = vectors<{
    readonly origin: string; readonly first_key: string; readonly log_id: string; readonly leaves: readonly VectorLeaf[];
    readonly secrets: { readonly program: string };
  }>("leaf");
  assert.equal(hex(await logIdOf(origin, bytesOfHex(first_key))), log_id);
  const buffer = (text: string) => Buffer.from(bytesOfHex(text));
  for (const leaf of leaves) {
    const part = (it: VectorPart) => ({ salt: buffer(it.salt), bytes: buffer(it.bytes) });
    for (const [name, it] of [["header", leaf.header], ["details", leaf.details], ["body", leaf.body], ...leaf.entries.map((entry) => ["entry", entry] as const)] as const) {
      if (it !== null) assert.equal(hex(partCommitment(name, part(it))), it.commitment);
    }
    const header = decodeHeader(bytesOfHex(leaf.header.bytes), leaf.kind);
    const postingId = buffer(`0x${header.postingId.replaceAll("-", "")}`);
    assert.equal(hex(saltOf(buffer(secrets.program), postingId, 1)), leaf.header.salt);
    decodeDetails(bytesOfHex(leaf.details.bytes));
    if (leaf.body !== null) decodeBody(bytesOfHex(leaf.body.bytes), leaf.kind);
    for (const entry of leaf.entries) decodeEntry(bytesOfHex(entry.bytes), BigInt(leaf.index));
    const bytes = leafBytes({
      version: 1, kind: LEAF_KINDS.indexOf(leaf.kind) + 1, logId: buffer(log_id), index: BigInt(leaf.index), header: part(leaf.header),
      details: part(leaf.details), body: leaf.body === null ? null : part(leaf.body), entries: leaf.entries.map(part), hints: [],
    });
    assert.equal(hex(bytes), leaf.leaf);
    assert.equal(hex(await leafHash(bytesOfHex(leaf.leaf))), leaf.leaf_hash);
  }
});

test("tree vectors: every path leads to the root of its size, and to no other", async () => {
  const { roots, inclusion } = vectors<{
    readonly roots: readonly { readonly size: number; readonly root: string }[];
    readonly inclusion: readonly { readonly index: number; readonly size: number; readonly path: readonly string[] }[];
  }>("tree");
  const rootOf = new Map(roots.map(({ size, root }) => [size, root]));
  for (const { index, size, path } of inclusion) {
    const leaf = await leafHash(new Uint8Array(u16(index)));
    const hashes = path.map(bytesOfHex);
    const root = await rootOfPath(leaf, BigInt(index), BigInt(size), hashes);
    assert.ok(root !== null && rootOf.has(size));
    assert.equal(hex(root), rootOf.get(size));
    for (const wrong of [[...hashes, new Uint8Array(hash(1))], hashes.slice(1)]) {
      if (wrong.length !== hashes.length) assert.equal(await rootOfPath(leaf, BigInt(index), BigInt(size), wrong), null);
    }
  }
});

test("checkpoint vectors: the notes parse and name their keys", async () => {
  const { text, note, cosigned, vkey, witness_vkey } = vectors<Record<"text" | "note" | "cosigned" | "vkey" | "witness_vkey", string>>("checkpoint");
  assert.equal(parseCheckpoint(text).size, 8n);
  assert.equal(parseNote(note).text, text);
  const [log, witness] = [await parseVerifierKey(vkey), await parseVerifierKey(witness_vkey)];
  const { signatures } = parseNote(cosigned);
  assert.deepEqual(signatures.map((line) => [names(line, log), names(line, witness)]), [[true, false], [false, true]]);
});
