// What the contracts cost, from receipts of whole transactions on anvil: gas.mjs <artifact> [--json]
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

// --- the tree: which nodes a proof has, by the RFC's recursion. Proofs are made-up nodes, and the roots are what they lead to.

const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const node = (left, right) => sha256(Buffer.from([1]), left, right);
const split = (n) => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};

const subproofNodes = (m, n, whole) =>
  m === n ? (whole ? 0 : 1) : 1 + (m <= split(n) ? subproofNodes(m, split(n), whole) : subproofNodes(m - split(n), n - split(n), false));

function climbBoth(m, n, oldRoot, proof, whole) {
  if (m === n) {
    const both = whole ? oldRoot : proof.at(-1);
    return { old: both, new: both, hashes: 0 };
  }
  const k = split(n);
  const sibling = proof.at(-1);
  if (m <= k) {
    const part = climbBoth(m, k, oldRoot, proof.slice(0, -1), whole);
    return { old: part.old, new: node(part.new, sibling), hashes: part.hashes + 1 };
  }
  const part = climbBoth(m - k, n - k, oldRoot, proof.slice(0, -1), false);
  return { old: node(sibling, part.old), new: node(sibling, part.new), hashes: part.hashes + 2 };
}

const pathNodes = (index, size) =>
  size === 1 ? 0 : 1 + (index < split(size) ? pathNodes(index, split(size)) : pathNodes(index - split(size), size - split(size)));

function climb(index, size, hash, proof) {
  if (size === 1) return hash;
  const k = split(size);
  const rest = proof.slice(0, -1);
  return index < k ? node(climb(index, k, hash, rest), proof.at(-1)) : node(proof.at(-1), climb(index - k, size - k, hash, rest));
}

/// 32 bytes that look random, the same in every run, and none of them 0: calldata is priced by its zeros.
let drawn = 0;
const draw = () => sha256(word(++drawn)).map((byte) => byte || 1);
const nodes = (count) => Array.from({ length: count }, draw);

/// Two sizes between 1 and 10 million, the second up to 1,000 larger, whose proof has this many nodes and takes this many hashes.
function sizes(count, hashes) {
  let state = 1;
  const random = (below) => (state = (state * 48_271) % 2_147_483_647) % below;
  const zero = Buffer.alloc(32);
  for (let tries = 0; tries < 1_000_000; tries++) {
    const oldSize = 1_000_000 + random(9_000_000);
    const newSize = oldSize + 1 + random(1_000);
    if (subproofNodes(oldSize, newSize, true) !== count) continue;
    if (climbBoth(oldSize, newSize, zero, Array(count).fill(zero), true).hashes === hashes) return [oldSize, newSize];
  }
  throw new Error(`no sizes with ${count} nodes and ${hashes} hashes`);
}

// --- calls, encoded by hand: a word each, dynamic ones at the end

const hex = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;
const word = (value) => Buffer.from(BigInt(value).toString(16).padStart(64, "0"), "hex");
const bytesArgument = (bytes) => Buffer.concat([word(bytes.length), bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);
const wordsArgument = (words) => Buffer.concat([word(words.length), ...words]);

function encode(selector, ...values) {
  const tails = [];
  let offset = values.length * 32;
  const heads = values.map((value) => {
    if (!(value?.tail instanceof Buffer)) return Buffer.isBuffer(value) ? value : word(value);
    const at = word(offset);
    tails.push(value.tail);
    offset += value.tail.length;
    return at;
  });
  return hex(Buffer.concat([Buffer.from(selector, "hex"), ...heads, ...tails]));
}

// --- the chain

const [artifactPath, flag] = process.argv.slice(2);
const { bytecode, methodIdentifiers } = JSON.parse(readFileSync(artifactPath, "utf8"));
const selector = (name) => Object.entries(methodIdentifiers).find(([key]) => key.startsWith(`${name}(`))[1];

const anvil = spawn("anvil", ["--port", "0", "--hardfork", "prague", "--steps-tracing"], { stdio: ["ignore", "pipe", "inherit"] });
process.on("exit", () => anvil.kill());
const url = await new Promise((resolve, reject) => {
  anvil.on("error", reject);
  anvil.on("exit", () => reject(new Error("anvil ended")));
  createInterface({ input: anvil.stdout }).on("line", (line) => {
    const found = /^Listening on (\S+)/.exec(line);
    if (found) resolve(`http://${found[1]}`);
  });
});

async function rpc(method, ...params) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

const [from] = await rpc("eth_accounts");

async function send(transaction) {
  const hash = await rpc("eth_sendTransaction", { from, gas: hex(word(16_000_000)).replace(/^0x0+/, "0x"), ...transaction });
  for (;;) {
    const receipt = await rpc("eth_getTransactionReceipt", hash);
    if (receipt === null) continue;
    if (receipt.status !== "0x1") throw new Error("a measured transaction was reverted");
    return receipt;
  }
}

// PIP-88: a first SLOAD of a slot costs 5,460 instead of 2,100, a first SSTORE a surcharge of 2,940 instead of 2,100.
const POLYGON_COLD_SLOAD = 5_460 - 2_100;
const POLYGON_COLD_SSTORE = 2_940 - 2_100;

async function measure(transaction) {
  const receipt = await send(transaction);
  const { structLogs } = await rpc("debug_traceTransaction", receipt.transactionHash, {});
  const seen = new Set();
  let polygon = 0;
  for (const { op, stack } of structLogs) {
    if (op !== "SLOAD" && op !== "SSTORE") continue;
    const slot = BigInt(stack.at(-1));
    if (seen.has(slot)) continue;
    seen.add(slot);
    polygon += op === "SLOAD" ? POLYGON_COLD_SLOAD : POLYGON_COLD_SSTORE;
  }
  const last = structLogs.at(-1);
  const execution = structLogs[0].gas - (last.gas - last.gasCost);
  return { transaction: Number(receipt.gasUsed), execution, polygon };
}

const audit = (await send({ data: bytecode.object })).contractAddress;
const to = audit;
const figures = [];
const figure = (name, about, gas, polygon, goal) => figures.push({ name, about, gas, polygon, goal });

let logs = 0;
const writer = word(from);
async function register() {
  const log = word(++logs);
  const data = encode(selector("register"), log, writer, word(0), writer, 86_400);
  const place = Buffer.from((await rpc("eth_call", { from, to, data }, "latest")).slice(2), "hex");
  return { log, place, cost: await measure({ to, data }) };
}
const anchor = (place, size, root, proof) => ({
  to,
  data: encode(selector("anchor"), place, size, root, { tail: wordsArgument(proof) }),
});

async function measureAnchor(count, hashes) {
  const [oldSize, newSize] = sizes(count, hashes);
  const { place } = await register();
  const proof = nodes(count);
  const roots = climbBoth(oldSize, newSize, draw(), proof, true);
  await send(anchor(place, oldSize, roots.old, []));
  return measure(anchor(place, newSize, roots.new, proof));
}

{
  const { place, cost } = await register();
  figure("register", "a new log with its roles", cost.transaction, cost.transaction + cost.polygon);
  const first = await measure(anchor(place, 1000, draw(), []));
  figure("anchor_first", "the first checkpoint, no proof", first.transaction, first.transaction + first.polygon);
  const pin = await measure({ to, data: encode(selector("pin"), place) });
  figure("pin", "the head kept for ever", pin.transaction, pin.transaction + pin.polygon);
}

// For every node a hash to the new root, and one more to the old root where the node stands to the left: of 17 nodes 22 to 30
// hashes, on average 26.6, over random sizes from 1 to 10 million that grow by up to 1,000; of 22 nodes 33 to 40, 36.2.
for (const [name, count, hashes, goal] of [
  ["anchor_17_least", 17, 22],
  ["anchor_17", 17, 27, 50_000],
  ["anchor_17_most", 17, 30],
  ["anchor_22_least", 22, 33],
  ["anchor_22", 22, 36, 56_000],
  ["anchor_22_most", 22, 40],
]) {
  const { transaction, polygon } = await measureAnchor(count, hashes);
  figure(name, `anchor, ${count} proof nodes, ${hashes} hashes`, transaction, transaction + polygon, goal);
}

{
  // A power of two, so that one leaf more has a proof of one node.
  const size = 2 ** 20;
  const index = 765_432;
  const { log, place } = await register();
  const leaf = Buffer.concat([Buffer.from([1, 1]), log, word(index).subarray(24), draw()]);
  const proof = nodes(pathNodes(index, size));
  const root = climb(index, size, sha256(Buffer.from([0]), leaf), proof);
  await send(anchor(place, size, root, []));
  const ask = { to, data: encode(selector("includes"), place, size, { tail: bytesArgument(leaf) }, { tail: wordsArgument(proof) }) };
  const included = await rpc("eth_call", ask, "latest");
  if (BigInt(included) !== 1n) throw new Error("the leaf is not included");
  const head = await measure(ask);
  figure("inclusion_1m_head", "inclusion of 1 in 1 million, at the head, execution only", head.execution, head.execution + head.polygon);
  await send({ to, data: encode(selector("pin"), place) });
  const next = draw();
  await send(anchor(place, size + 1, node(root, next), [next]));
  const pinned = await measure(ask);
  figure("inclusion_1m", "the same where the size is pinned, not the head's", pinned.execution, pinned.execution + pinned.polygon, 10_000);
}

anvil.kill();
if (flag === "--json") {
  console.log(JSON.stringify(Object.fromEntries(figures.flatMap(({ name, gas, polygon }) => [[name, gas], [`${name}_polygon`, polygon]]))));
} else {
  for (const { name, about, gas, polygon, goal } of figures) {
    const number = (value) => (value ?? "").toLocaleString("en").padStart(8);
    console.log(`${name.padEnd(18)} ${number(gas)} ${number(polygon)} ${number(goal)}   ${about}`);
  }
}
process.exit();
