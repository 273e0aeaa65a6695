import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ANCHORED_TOPIC, type AnchorVerdict, checkAnchor, SELECTORS } from "../src/anchor.js";
import { parsePolicy } from "../src/policy.js";
import { type Verified, verifyReceipt } from "../src/verify.js";
import { anchor, type Chain, deploy, pin, register, selectorOf, signaturesOf, startAnvil, topicOf } from "./chain.js";
import { answerJson, type ScriptedChain, scriptedChain } from "./endpoint.js";
import { keccak256 } from "./keccak.js";
import { hash, hintBytes, LOG, logIdOf, logOf, type MadeLeaf, makeReceipt, redeemLeaf, sha256, treeExtension, treeRoot, vkey } from "./make.js";

test("the constants are keccak256 of what the contract's ABI calls", () => {
  assert.equal(keccak256(Buffer.alloc(0)).toString("hex"), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  assert.equal(selectorOf("transfer(address,uint256)"), "0xa9059cbb");
  for (const [signature, selector] of Object.entries(SELECTORS)) {
    assert.ok(signaturesOf("function").includes(signature), signature);
    assert.equal(selector, selectorOf(signature));
  }
  const event = "Anchored(bytes32,uint64,bytes32,uint64)";
  assert.ok(signaturesOf("event").includes(event));
  assert.equal(ANCHORED_TOPIC, topicOf(event));
});

/** A verified receipt of the log at this size; the leaf may differ, which makes another history. */
async function verifiedAt(size: number, leaf: MadeLeaf = redeemLeaf()): Promise<Verified> {
  const verdict = await verifyReceipt(makeReceipt({ leaf, size }), await parsePolicy(`log ${vkey(LOG)}`));
  assert.ok(verdict.verdict === "valid");
  return verdict.verified;
}

function check(verdict: AnchorVerdict, expected: AnchorVerdict["verdict"], says = /./): AnchorVerdict {
  assert.equal(verdict.verdict, expected, "reason" in verdict ? verdict.reason : "");
  if ("reason" in verdict) assert.match(verdict.reason, says);
  return verdict;
}

// The log grows over these sizes; each is anchored, and the third pinned.
const SIZES = [6, 8, 11, 14, 21] as const;
const PINNED = 11;
const LEAF = redeemLeaf();
const LEAVES = logOf(LEAF, 40);
const rootAt = (size: number): Buffer => treeRoot(LEAVES.slice(0, size));

let chain: Chain;
let contract: string;
const mined = new Map<number, { readonly blockNumber: string; readonly transactionHash: string }>();

before(async () => {
  chain = await startAnvil();
  contract = await deploy(chain);
  const place = await register(chain, contract, logIdOf(LOG));
  let before = 0;
  for (const size of SIZES) {
    const proof = before === 0 ? [] : treeExtension(before, LEAVES.slice(0, size));
    mined.set(size, await anchor(chain, contract, place, size, rootAt(size), proof));
    if (size === PINNED) await pin(chain, contract, place);
    before = size;
  }
});

after(() => chain.stop());

const policyFor = (address = contract, chainId = 31_337n, registrant = chain.account) =>
  parsePolicy(`log ${vkey(LOG)}\nanchor ${chainId} ${address} ${registrant}`);

async function onAnvil(size: number, leaf = LEAF): Promise<AnchorVerdict> {
  return checkAnchor(await verifiedAt(size, leaf), await policyFor(), chain.url);
}

test("on anvil: the head, a pin and an event each show the anchor, and the first two confirm the leaf", async () => {
  const cases = [[21, "head", true], [PINNED, "pin", true], [14, "event", false], [6, "event", false]] as const;
  for (const [size, shownBy, confirms] of cases) {
    const verdict = check(await onAnvil(size), "anchored");
    assert.ok(verdict.verdict === "anchored");
    const { proof } = verdict;
    assert.deepEqual([proof.shownBy, proof.contractConfirmsLeaf, proof.headSize, proof.halted], [shownBy, confirms, 21n, false]);
    assert.equal(proof.mined?.block, BigInt(mined.get(size)?.blockNumber ?? 0));
    assert.equal(proof.mined.transaction, mined.get(size)?.transactionHash);
  }
});

test("on anvil: a hint leads to the event, and a wrong one does no harm", async () => {
  const address = (hex: string) => Buffer.from(hex.slice(2), "hex");
  for (const block of [BigInt(mined.get(14)?.blockNumber ?? 0), 1n, 1n << 40n]) {
    const leaf = redeemLeaf({ hints: [hintBytes(31_337n, address(contract), address(chain.account), block, hash(1))] });
    check(await onAnvil(14, leaf), "anchored");
  }
});

test("on anvil: another history of the same size is refused, whichever way the contract knows the size", async () => {
  const other = redeemLeaf({ details: { commitment: hash(3) } });
  for (const size of [21, PINNED, 14, 6]) {
    const verdict = check(await onAnvil(size, other), "refused", /the contract knows size/);
    assert.ok(verdict.verdict === "refused" && verdict.code === "anchor_disagrees");
  }
});

test("on anvil: a size that was never anchored is not anchored", async () => {
  for (const [size, reason] of [[30, "not_yet"], [12, "passed_over"]] as const) {
    const verdict = check(await onAnvil(size), "not_anchored");
    assert.ok(verdict.verdict === "not_anchored" && verdict.headSize === 21n && verdict.reason === reason);
  }
  const unregistered = await policyFor(contract, 31_337n, `0x${"01".repeat(20)}`);
  check(await checkAnchor(await verifiedAt(21), unregistered, chain.url), "could_not_check", /registrant/);
});

test("on anvil: a block becomes final", async () => {
  const before = check(await onAnvil(21), "anchored");
  assert.ok(before.verdict === "anchored" && before.proof.mined?.depthBlocks === 0n);
  await chain.rpc("anvil_mine", ["0x100"]);
  const later = check(await onAnvil(21), "anchored");
  assert.ok(later.verdict === "anchored" && later.proof.mined?.depthBlocks === null);
});

test("what is no answer is no verdict", async () => {
  const verified = await verifiedAt(21);
  check(await checkAnchor(verified, await policyFor(contract, 137n), chain.url), "could_not_check", /serves chain 31337/);
  check(await checkAnchor(verified, await policyFor(chain.account), chain.url), "could_not_check", /no such contract/);
  check(await checkAnchor(verified, await parsePolicy(`log ${vkey(LOG)}`), chain.url), "could_not_check", /names no contract/);
  check(await checkAnchor(verified, await policyFor(), "http://127.0.0.1:1/"), "could_not_check", /did not answer eth_chainId/);
});

/** Asks an endpoint of our own making about a receipt of size 11. */
async function scripted(changes: Partial<ScriptedChain>, respond = answerJson): Promise<{ readonly verdict: AnchorVerdict; readonly state: ScriptedChain }> {
  const state = scriptedChain({ headSize: 11n, headRoot: rootAt(11), events: [{ size: 11n, root: rootAt(11), block: 42n }], ...changes });
  const fetchScripted: typeof fetch = async (_, init) => new Response(respond(state, String(init?.body)));
  const policy = await policyFor(state.contract, state.chainId, `0x${"de".repeat(20)}`);
  return { verdict: await checkAnchor(await verifiedAt(11), policy, { url: "http://scripted/", fetch: fetchScripted }), state };
}

test("the chain's state counts where its events are not to be had, and an event counts where they are all there is", async () => {
  const broken = new Set(["eth_getLogs"]);
  const byHead = (await scripted({ broken })).verdict;
  assert.ok(byHead.verdict === "anchored" && byHead.proof.mined === null && byHead.proof.contractConfirmsLeaf);
  check((await scripted({ broken, headSize: 12n })).verdict, "could_not_check", /eth_getLogs/);
  const unconfirmed = (await scripted({ broken: new Set(["0xf8788555"]) })).verdict;
  assert.ok(unconfirmed.verdict === "anchored" && !unconfirmed.proof.contractConfirmsLeaf);
  check((await scripted({ includes: false })).verdict, "could_not_check", /contradicts itself/);
  check((await scripted({ events: [{ size: 11n, root: hash(1), block: 42n }] })).verdict, "refused");
  check((await scripted({ pins: new Map([[11n, hash(1)]]) })).verdict, "refused");
  check((await scripted({ headSize: 12n, events: [] })).verdict, "not_anchored");
  check((await scripted({ headSize: 12n, events: [{ size: 11n, root: rootAt(11), block: 42n, removed: true }] })).verdict, "not_anchored");
});

test("the hinted block is searched first, and everything only when it holds nothing", async () => {
  const searches = async (block: bigint) =>
    (await scripted({ headSize: 12n, events: [{ size: 11n, root: rootAt(11), block }] })).state.asked.filter((it) => it === "eth_getLogs").length;
  assert.equal(await searches(42n), 1);
  assert.equal(await searches(41n), 2);
});

test("finality is what the chain says, and depth where it says nothing", async () => {
  const depth = async (finalized: bigint | null) => {
    const { verdict } = await scripted({ finalized });
    assert.ok(verdict.verdict === "anchored");
    return verdict.proof.mined?.depthBlocks;
  };
  assert.equal(await depth(42n), null);
  assert.equal(await depth(41n), 58n);
  assert.equal(await depth(null), 58n);
});

test("an endpoint that talks nonsense is no verdict, and nothing is thrown", async () => {
  const nonsense = ["", "null", "[]", "{}", '{"result":null}', '{"result":"0x"}', '{"result":"0xzz"}', '{"result":7}', '{"error":"no"}', `{"result":"0x${"f".repeat(64)}"}`];
  for (const said of nonsense) check((await scripted({}, () => said)).verdict, "could_not_check");
  // The right chain, and nonsense for everything else, at each later question in turn.
  for (let right = 1; right <= 5; right += 1) {
    for (const said of nonsense) {
      let asked = 0;
      const { verdict } = await scripted({ headSize: 12n }, (state, body) => {
        asked += 1;
        return asked <= right ? answerJson(state, body) : said;
      });
      assert.ok(["could_not_check", "not_anchored", "anchored", "refused"].includes(verdict.verdict));
      if (right < 4) assert.notEqual(verdict.verdict, "anchored");
    }
  }
});

test("a different log in the same contract does not vouch for this one", async () => {
  const foreign = { ...(await verifiedAt(21)), logId: `0x${sha256().toString("hex")}` as const };
  check(await checkAnchor(foreign, await policyFor(), chain.url), "could_not_check", /no log of this id/);
});
