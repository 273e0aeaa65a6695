// An anvil of our own, transactions on it, and what each of them cost.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
export const hex = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;
export const number = (value, bytes) => Buffer.from(BigInt(value).toString(16).padStart(bytes * 2, "0"), "hex");

/// 32 bytes that look random, the same in every run, and none of them 0: calldata is priced by its zeros.
let drawn = 0;
export const draw = () => sha256(number(++drawn, 32)).map((byte) => byte || 1);
export const address = () => hex(draw().subarray(0, 20));

// The chain's time is the same in every run too, a second for each block: amounts, days and epochs are priced by their zeros.
const anvil = spawn("anvil", ["--port", "0", "--hardfork", "prague", "--steps-tracing", "--timestamp", "1800000000"], {
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

export async function rpc(method, ...params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}
await rpc("anvil_setBlockTimestampInterval", 1);
export const [operator, second] = await rpc("eth_accounts");

export function cast(...args) {
  const { status, stdout, stderr } = spawnSync("cast", args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`cast ${args[0]}: ${stderr}`);
  return stdout.trim();
}

/// A literal of cast's: arrays and tuples as they nest.
const literal = (value) => {
  if (Array.isArray(value)) return `[${value.map(literal)}]`;
  if (value?.tuple) return `(${value.tuple.map(literal)})`;
  return Buffer.isBuffer(value) ? hex(value) : String(value);
};
export const call = (signature, ...args) => cast("calldata", signature, ...args.map(literal));
export const encode = (types, ...args) => cast("abi-encode", `f(${types})`, ...args.map(literal));

/// Sends a transaction and waits for its receipt. A reverted one is an error here.
export async function send(transaction) {
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

/// What a transaction cost, `gas` by Prague's rules and `polygon` by PIP-88's, and what of it was execution.
///
/// Slots are told apart by contract: the trace says at which depth a step is, and which address was called to get there.
export async function measure(transaction) {
  const receipt = await send(transaction);
  const { structLogs } = await rpc("debug_traceTransaction", receipt.transactionHash, { disableStorage: true });
  const storages = [transaction.to.toLowerCase()];
  const seen = new Set();
  let dearer = 0;
  for (const { op, stack, depth } of structLogs) {
    storages.length = depth;
    if (op === "CALL" || op === "STATICCALL") storages.push(`0x${stack.at(-2).slice(2).padStart(40, "0").slice(-40)}`);
    else if (op === "DELEGATECALL") storages.push(storages.at(-1));
    if (!(op in POLYGON_COLD)) continue;
    const slot = `${storages.at(-1)} ${BigInt(stack.at(-1))}`;
    if (seen.has(slot)) continue;
    seen.add(slot);
    dearer += POLYGON_COLD[op];
  }
  const gas = Number(receipt.gasUsed);
  const last = structLogs.at(-1);
  const execution = structLogs[0].gas - (last.gas - last.gasCost);
  return { gas, polygon: gas + dearer, execution: { gas: execution, polygon: execution + dearer } };
}

/// Deploys a contract from the build's output.
export async function deploy(name, types = "", ...args) {
  const { bytecode } = JSON.parse(readFileSync(`out/${name}.sol/${name}.json`, "utf8"));
  const encoded = types === "" ? "" : encode(types, ...args).slice(2);
  return (await send({ data: bytecode.object + encoded })).contractAddress;
}

/// What was measured, in order.
export const figures = [];
export const figure = (name, about, { gas, polygon }, goal) => figures.push({ name, about, gas, polygon, goal });
