// What the log costs. Its proofs are made-up nodes, and its roots are what they lead to.
import { call, deploy, draw, figure, hex, measure, number, operator, rpc, send, sha256 } from "./chain.mjs";
import { climb, climbBoth, node, sizes } from "./tree.mjs";

export const audit = await deploy("AuditLog");

let logs = 0;
export async function register() {
  const log = number(++logs, 32);
  const data = call("register(bytes32,address,address,address,uint64)", log, operator, `0x${"0".repeat(40)}`, operator, 86_400);
  const place = Buffer.from((await rpc("eth_call", { from: operator, to: audit, data }, "latest")).slice(2), "hex");
  return { log, place, cost: await measure({ to: audit, data }) };
}

const anchor = (place, size, root, proof) => ({
  to: audit,
  data: call("anchor(bytes32,uint64,bytes32,bytes32[])", place, size, root, proof),
});

async function measureAnchor(count, hashes) {
  const [oldSize, newSize] = sizes(count, hashes);
  const { place } = await register();
  const proof = Array.from({ length: count }, draw);
  const roots = climbBoth(oldSize, newSize, draw(), proof, true);
  await send(anchor(place, oldSize, roots.old, []));
  return measure(anchor(place, newSize, roots.new, proof));
}

export async function measureAuditLog() {
  const { place, cost } = await register();
  figure("register", "a new log with its roles", cost);
  figure("anchor_first", "the first checkpoint, no proof", await measure(anchor(place, 1000, draw(), [])));
  figure("pin", "the head kept for ever", await measure({ to: audit, data: call("pin(bytes32)", place) }));

  // For every node a hash to the new root, and one more to the old root where the node stands to the left: of 17 nodes 22 to 30
  // hashes, on average 26.6, over random sizes from 1 to 10 million that grow by up to 1,000; of 22 nodes 33 to 40, 36.2.
  for (const [name, count, hashes, goal] of [
    ["anchor_17_least", 17, 22],
    ["anchor_17", 17, 27, { gas: 50_000, polygon: 57_000 }],
    ["anchor_17_most", 17, 30],
    ["anchor_22_least", 22, 33],
    ["anchor_22", 22, 36, { gas: 56_000, polygon: 63_000 }],
    ["anchor_22_most", 22, 40],
  ]) {
    figure(name, `anchor, ${count} proof nodes, ${hashes} hashes`, await measureAnchor(count, hashes), goal);
  }
  await measureInclusion();
}

async function measureInclusion() {
  // A power of two, so that one leaf more has a proof of one node.
  const [levels, index] = [20, 765_432];
  const { log, place } = await register();
  const leaf = Buffer.concat([Buffer.from([1, 1]), log, number(index, 8), draw()]);
  const proof = Array.from({ length: levels }, draw);
  const root = climb(index, levels, sha256(Buffer.from([0]), leaf), proof);
  await send(anchor(place, 2 ** levels, root, []));
  const ask = { to: audit, data: call("includes(bytes32,address,uint64,bytes,bytes32[])", log, operator, 2 ** levels, leaf, proof) };
  const included = await rpc("eth_call", ask, "latest");
  if (BigInt(included) !== 1n) throw new Error("the leaf is not included");
  const head = await measure(ask);
  figure("inclusion_1m_head", "inclusion of 1 in 1 million, at the head, execution only", head.execution);
  await send({ to: audit, data: call("pin(bytes32)", place) });
  const next = draw();
  await send(anchor(place, 2 ** levels + 1, node(root, next), [next]));
  const pinned = await measure(ask);
  figure("inclusion_1m", "the same where the size is pinned, not the head's", pinned.execution, { gas: 10_000 });
}

/// Puts a head where `anchor` would need the whole log to lead to.
export async function setHead(place, size, root) {
  const heads = BigInt(await rpc("web3_sha3", hex(Buffer.concat([place, number(0, 32)]))));
  const set = (slot, value) => rpc("anvil_setStorageAt", audit, hex(number(slot, 32)), hex(value));
  await set(heads, root);
  await set(heads + 1n, number((BigInt(operator) << 64n) | BigInt(size), 32));
}
