// What the token and the gateway cost, from receipts of whole transactions on anvil: gas-points.mjs <build output> [--json]
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [out, flag] = process.argv.slice(2);
const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const hex = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;
const number = (value, bytes) => Buffer.from(BigInt(value).toString(16).padStart(bytes * 2, "0"), "hex");
const bytesOf = (text) => Buffer.from(text.slice(2), "hex");

/// 32 bytes that look random, the same in every run, and none of them 0: calldata is priced by its zeros.
let drawn = 0;
const draw = () => sha256(number(++drawn, 32)).map((byte) => byte || 1);
const address = () => hex(draw().subarray(0, 20));

// --- the chain

const anvil = spawn("anvil", ["--port", "0", "--hardfork", "prague", "--steps-tracing", "--code-size-limit", "24576"], {
  stdio: ["ignore", "pipe", "inherit"],
});
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
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/// A literal of cast's: arrays and tuples as they nest.
const literal = (value) =>
  Array.isArray(value) ? `[${value.map(literal)}]` : value?.tuple ? `(${value.tuple.map(literal)})` : Buffer.isBuffer(value) ? hex(value) : String(value);

function cast(...args) {
  const { status, stdout, stderr } = spawnSync("cast", args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`cast ${args[0]}: ${stderr}`);
  return stdout.trim();
}
const call = (signature, ...args) => cast("calldata", signature, ...args.map(literal));

const [operator, second] = await rpc("eth_accounts");

async function send(transaction) {
  const hash = await rpc("eth_sendTransaction", { from: operator, gas: "0xf42400", ...transaction });
  for (;;) {
    const receipt = await rpc("eth_getTransactionReceipt", hash);
    if (receipt === null) continue;
    if (receipt.status !== "0x1") throw new Error("a transaction was reverted");
    return receipt;
  }
}

// PIP-88: a first SLOAD of a slot costs 5,460 instead of 2,100, a first SSTORE a surcharge of 2,940 instead of 2,100.
const POLYGON_COLD = { SLOAD: 5_460 - 2_100, SSTORE: 2_940 - 2_100 };

/// Slots are told apart by contract: the trace says at which depth a step is, and which address was called to get there.
async function measure(transaction) {
  const receipt = await send(transaction);
  const { structLogs } = await rpc("debug_traceTransaction", receipt.transactionHash, { disableStorage: true });
  const storages = [transaction.to.toLowerCase()];
  const seen = new Set();
  let polygon = 0;
  for (const { op, stack, depth } of structLogs) {
    storages.length = depth;
    if (op === "CALL" || op === "STATICCALL") storages.push(`0x${stack.at(-2).slice(2).padStart(40, "0").slice(-40)}`);
    else if (op === "DELEGATECALL") storages.push(storages.at(-1));
    if (!(op in POLYGON_COLD)) continue;
    const slot = `${storages.at(-1)} ${BigInt(stack.at(-1))}`;
    if (seen.has(slot)) continue;
    seen.add(slot);
    polygon += POLYGON_COLD[op];
  }
  const gas = Number(receipt.gasUsed);
  return { gas, polygon: gas + polygon };
}

async function deploy(name, types = "", ...args) {
  const { bytecode } = JSON.parse(readFileSync(`${out}/${name}.sol/${name}.json`, "utf8"));
  const encoded = types === "" ? "" : cast("abi-encode", `constructor(${types})`, ...args.map(literal)).slice(2);
  return (await send({ data: bytecode.object + encoded })).contractAddress;
}

const figures = [];
const figure = (name, about, { gas, polygon }, goal) => figures.push({ name, about, gas, polygon, goal });

// --- the contracts: months that last a year, and a token minted by the gateway and, for batches, by the operator

const log = draw();
const audit = await deploy("AuditLog");
const place = cast("keccak", cast("abi-encode", "f(bytes32,address)", literal(log), operator));
await send({ to: audit, data: call("register(bytes32,address,address,address,uint64)", log, operator, operator, operator, 86_400) });
const settings = { tuple: ["Points", "PTS", 2, 30 * 86_400, 0, 12, 2n ** 60n, second, operator, address()] };
const initialize = call("initialize((string,string,uint8,uint32,uint32,uint8,uint64,address,address,address))", settings);
const points = await deploy("ERC1967Proxy", "address,bytes", await deploy("LoyaltyPoints"), initialize);
const gateway = await deploy(
  "PointsGateway",
  "address,bytes32,address,address,uint64,uint256,int32",
  audit, place, points, operator, 0, 100, 0,
);
const mintRole = cast("keccak", "MINT_ROLE");
await send({ from: second, to: points, data: call("grantRole(bytes32,address)", mintRole, gateway) });
const epoch = BigInt(await rpc("eth_call", { to: points, data: call("currentEpoch()") }, "latest"));

// --- batches

function batchOf(holders) {
  const items = holders.map((holder) => ({ tuple: [holder, epoch, 12_345] }));
  return { to: points, data: call("mintBatch(bytes32,(address,uint256,uint256)[])", draw(), items) };
}
const batch = (holders) => measure(batchOf(holders));
const holders = (count) => Array.from({ length: count }, address);
const per = (whole, less, count) => ({
  gas: Math.round((whole.gas - less.gas) / count),
  polygon: Math.round((whole.polygon - less.polygon) / count),
});

await batch(holders(1));
const one = holders(1);
const fifty = holders(50);
const firstOne = await batch(one);
const firstFifty = await batch(fifty);
const againOne = await batch(one);
const againFifty = await batch(fifty);
figure("batch_mint_1", "batch mint, 1 holder who has the epoch already", againOne);
figure("batch_mint_50", "batch mint, 50 of them", againFifty);
// 1,000 do not fit into a transaction of 16.7 million with new holders; with those who have the epoch they do. The trace of so many
// steps does not fit into a string, but each of them touches what each of the fifty does.
const thousand = holders(1000);
for (let i = 0; i < 1000; i += 250) await send(batchOf(thousand.slice(i, i + 250)));
const gasOf1000 = Number((await send(batchOf(thousand))).gasUsed);
const touchOf1000 = Math.round(((againFifty.polygon - againFifty.gas - againOne.polygon + againOne.gas) * 999) / 49);
figure("batch_mint_1000", "batch mint, 1,000 of them", {
  gas: gasOf1000,
  polygon: gasOf1000 + againOne.polygon - againOne.gas + touchOf1000,
});
figure("batch_mint_marginal", "batch mint, one holder more who has the epoch already", per(againFifty, againOne, 49), 12_000);
figure("batch_mint_new_holder", "batch mint, one new holder more", per(firstFifty, firstOne, 49), 32_000);

// --- transfers

const transfer = (to) => ({ to: points, data: call("transfer(address,uint256)", to, 1000) });
const mint = (to, at) => send({ to: points, data: call("mint(address,uint256,uint256)", to, at, 100_000) });
// Points of the window's first word are met at once; for those of its last, the words before are looked at.
await mint(operator, epoch - 11n);
await mint(one[0], epoch - 11n);
figure("transfer", "transfer between holders, one epoch, the earliest", await measure(transfer(one[0])), 45_000);
figure("transfer_new_holder", "the same to a new holder", await measure(transfer(address())));
await mint(second, epoch);
figure("transfer_latest", "transfer between holders, one epoch, the latest", await measure({ from: second, ...transfer(one[0]) }));
for (let at = epoch - 11n; at < epoch; ++at) {
  await mint(operator, at);
  await mint(one[0], at);
}
const all = BigInt(await rpc("eth_call", { to: points, data: call("balanceOf(address)", operator) }, "latest"));
figure(
  "transfer_12_epochs",
  "transfer of everything, all 12 epochs",
  await measure({ to: points, data: call("transfer(address,uint256)", one[0], all) }),
);

// --- claims, against heads of a million leaves

const tag = (text) => Buffer.concat([Buffer.from(text), Buffer.alloc(32 - text.length)]);
const chainId = BigInt(await rpc("eth_chainId"));
const size = 2 ** 20;
const later = (await rpc("eth_getBlockByNumber", "latest", false)).timestamp;

/// A withdrawal of one amount for this holder, in a tree of that size with these siblings.
function withdrawal(holder, index) {
  const day = Math.floor(Number(later) / 86_400) + 700;
  const body = Buffer.concat([
    number(chainId, 8), bytesOf(gateway), bytesOf(holder), draw(), number(BigInt(later) + 864_000n, 8),
    number(1, 1), number(day, 4), number(12_345, 8),
  ]);
  const salt = draw();
  const parts = { header: draw(), details: draw(), body: sha256(tag("daftari/v1/body"), salt, body), entries: [draw(), draw()] };
  const { header, details, entries } = parts;
  const commitment = sha256(tag("daftari/v1/commitment"), header, details, parts.body, number(entries.length, 1), ...entries);
  const leaf = sha256(Buffer.from([0, 1, 2]), log, number(index, 8), commitment);
  const proof = Array.from({ length: 20 }, draw);
  let root = leaf;
  for (let level = 0, at = index; level < 20; ++level, at >>= 1) {
    root = at & 1 ? sha256(Buffer.from([1]), proof[level], root) : sha256(Buffer.from([1]), root, proof[level]);
  }
  return { root, claim: { tuple: [log, size, root, index, { tuple: [header, details, parts.body, entries] }, salt, body, proof] } };
}

const CLAIM = "claim((bytes32,uint64,bytes32,uint64,(bytes32,bytes32,bytes32,bytes32[]),bytes32,bytes,bytes32[]))";
async function claimed(holder) {
  const { root, claim } = withdrawal(holder, 765_432);
  // Each in a log of its own would need a gateway of its own: the audit contract's head is set instead.
  const heads = cast("keccak", cast("abi-encode", "f(bytes32,uint256)", place, "0"));
  await rpc("anvil_setStorageAt", audit, heads, hex(root));
  const tip = `0x${(BigInt(heads) + 1n).toString(16).padStart(64, "0")}`;
  await rpc("anvil_setStorageAt", audit, tip, hex(number((BigInt(operator) << 64n) | BigInt(size), 32)));
  const settle = await measure({ to: gateway, data: call("settle(bytes32)", place) });
  await rpc("evm_increaseTime", 3600);
  await rpc("evm_mine");
  return { settle, claim: await measure({ to: gateway, data: call(CLAIM, claim) }) };
}

const existing = await claimed(one[0]);
const fresh = await claimed(address());
figure("settle", "a head settled", existing.settle);
figure("claim_1m", "claim of one withdrawal, tree of 1 million, holder exists", existing.claim, 95_000);
figure("claim_1m_new_holder", "the same, new holder", fresh.claim);

await send({ to: points, data: call("approve(address,uint256)", gateway, 2n ** 256n - 1n) });
await mint(operator, epoch);
await send({ to: gateway, data: call("burn(uint256,bytes32)", 100, draw()) });
figure("burn_for_credit", "burn for credit, one epoch", await measure({ to: gateway, data: call("burn(uint256,bytes32)", 100, draw()) }));

anvil.kill();
if (flag === "--json") {
  console.log(JSON.stringify(Object.fromEntries(figures.flatMap(({ name, gas, polygon }) => [[name, gas], [`${name}_polygon`, polygon]]))));
} else {
  for (const { name, about, gas, polygon, goal } of figures) {
    const column = (value) => (value ?? "").toLocaleString("en").padStart(10);
    console.log(`${name.padEnd(22)} ${column(gas)} ${column(polygon)} ${column(goal)}   ${about}`);
  }
}
process.exit();
