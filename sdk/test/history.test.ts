// Receipts held against each other, and against the map of their log.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { verifyHistory } from "../src/history.js";
import { type MapRow, verifyMapProof } from "../src/map.js";
import { parsePolicy } from "../src/policy.js";
import { type Verified, verifyReceipt } from "../src/verify.js";
import { LOG, type MadeHistory, makeHistory, makeKey, POLICY, vkey } from "./make.js";

async function receiptsOf({ receipts }: MadeHistory): Promise<Verified[]> {
  const policy = await parsePolicy(POLICY);
  return Promise.all(receipts.map(async (receipt) => {
    const verdict = await verifyReceipt(receipt, policy);
    assert.ok(verdict.verdict === "valid", verdict.verdict === "refused" ? verdict.reason : verdict.verdict);
    return verdict.verified;
  }));
}

async function mapOf({ map }: MadeHistory): Promise<MapRow> {
  const verdict = await verifyMapProof(map, await parsePolicy(POLICY));
  assert.ok(verdict.verdict === "valid", verdict.verdict === "refused" ? verdict.reason : verdict.verdict);
  return verdict.row;
}

function check(receipts: readonly Verified[], maps: readonly MapRow[], expected: string): void {
  const verdict = verifyHistory(receipts, maps);
  assert.equal(verdict.verdict === "valid" ? "valid" : verdict.code, expected);
}

test("receipts of one account are a chain, complete up to the map", async () => {
  const made = makeHistory();
  const [receipts, map] = [await receiptsOf(made), await mapOf(made)];
  const verdict = verifyHistory([...receipts].reverse(), [map]);
  assert.ok(verdict.verdict === "valid");
  const [history] = verdict.histories;
  assert.deepEqual(history?.links.map(({ entry }) => [entry.sequence, entry.after.available]), [[1n, 1_000n], [2n, 750n], [3n, 500n]]);
  assert.equal(history?.completeTo, 6n);
  check([...receipts, ...receipts], [map], "valid");
  check(receipts.slice(1), [map], "valid");
  check(receipts, [], "valid");
});

test("a history with a hole, a jump, a double or a missing end is refused", async () => {
  const made = makeHistory();
  const [receipts, map] = [await receiptsOf(made), await mapOf(made)];
  check([], [map], "no_entry");
  check([...receipts.slice(0, 1), ...receipts.slice(2)], [map], "missing_entry");
  check(receipts.slice(0, 2), [map], "behind_map");
  check(receipts.slice(0, 2), [], "valid");
  check(await receiptsOf(makeHistory([1_000n, 750n, 501n])), [], "broken_chain");
  const other = await receiptsOf(makeHistory([2_000n, 1_750n, 1_500n]));
  check([...receipts, ...other.slice(2)], [], "two_histories");
  check([...receipts.slice(0, 1), ...other.slice(1)], [], "broken_chain");
  check(receipts, [await mapOf(makeHistory([1_000n, 750n, 500n], 501n))], "map_disagrees");
  check(receipts, [{ ...map, sequence: 2n }], "map_disagrees");
});

test("a map proof is read exactly, and its receipt is judged as any other", async () => {
  const policy = await parsePolicy(POLICY);
  const { map, receipts } = makeHistory();
  const answer = async (proof: string, by = policy) => {
    const verdict = await verifyMapProof(proof, by);
    return verdict.verdict === "refused" ? verdict.code : verdict.verdict;
  };
  const cut = map.indexOf("\n\n") + 2;
  assert.equal(await answer(map), "valid");
  for (const wrong of [map.replace("@v1", "@v2"), map.replace("row ", "rows "), map.replace("row ", "row AAAA"), "x".repeat(70_000)]) {
    assert.equal(await answer(wrong), "malformed_map");
  }
  assert.equal(await answer(map.slice(0, cut) + (receipts[0] ?? "")), "not_this_map");
  const short = makeHistory([1_000n]).map;
  assert.equal(await answer(short.slice(0, short.indexOf("\n\n") + 2) + map.slice(cut)), "not_this_map");
  assert.equal(await answer(makeHistory([1_000n, 750n, 500n], 501n).map.slice(0, cut) + map.slice(cut)), "not_in_map");
  assert.equal(await answer(map, await parsePolicy(`log ${vkey(makeKey(LOG.name, 9))}\nquorum none\n`)), "wrong_log");

  const vector = JSON.parse(readFileSync(new URL("../../vectors/map.json", import.meta.url), "utf8")) as { readonly map_proof: string; readonly vkey: string };
  assert.equal(await answer(vector.map_proof, await parsePolicy(`log ${vector.vkey}\n`)), "valid");
});
