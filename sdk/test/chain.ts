// A real chain for tests: anvil, with the contract deployed from its ABI file by plain JSON-RPC.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { keccak256 } from "./keccak.js";
import { u64 } from "./make.js";

const ANVIL_WAIT_MS = 60_000;
const MINED_WAIT_MS = 60_000;
const repository = new URL("../../", import.meta.url);

interface AbiItem {
  readonly type: string;
  readonly name?: string;
  readonly inputs?: readonly { readonly type: string }[];
}

export const AUDIT_LOG = JSON.parse(readFileSync(new URL("chain/abi/AuditLog.json", repository), "utf8")) as {
  readonly abi: readonly AbiItem[];
  readonly bytecode: string;
};

/** `name(type,…)` of every function or event of the contract. */
export function signaturesOf(type: "function" | "event"): string[] {
  return AUDIT_LOG.abi.filter((it) => it.type === type).map((it) => `${it.name}(${(it.inputs ?? []).map((input) => input.type).join(",")})`);
}

export const topicOf = (signature: string): string => `0x${keccak256(Buffer.from(signature)).toString("hex")}`;
export const selectorOf = (signature: string): string => topicOf(signature).slice(0, 10);

export interface Chain {
  readonly url: string;
  readonly account: string;
  readonly rpc: (method: string, params: readonly unknown[]) => Promise<unknown>;
  /** Sends to the contract, or deploys where there is none, and waits for the receipt. */
  readonly send: (to: string | null, data: string) => Promise<{ readonly contractAddress: string | null; readonly blockNumber: string; readonly transactionHash: string }>;
  readonly stop: () => void;
}

export async function startAnvil(): Promise<Chain> {
  const program = new URL(`devstack/node_modules/@foundry-rs/anvil-linux-${process.arch === "x64" ? "amd64" : process.arch}/bin/anvil`, repository).pathname;
  assert.ok(existsSync(program), "anvil is missing: run `devstack/fetch anvil`");
  // The shell ends anvil when our end of its standard input closes, however this process ends.
  const watched = '"$0" "$@" & anvil=$!; trap "kill $anvil; wait" EXIT; cat <&3 >/dev/null';
  const child: ChildProcess = spawn("bash", ["-c", `exec 3<&0; ${watched}`, program, "--port", "0"], { stdio: ["pipe", "pipe", "inherit"] });
  const url = await listeningUrl(child);
  const rpc: Chain["rpc"] = async (method, params) => {
    const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
    const { result, error } = (await response.json()) as { result?: unknown; error?: unknown };
    assert.equal(error, undefined, `${method}: ${JSON.stringify(error)}`);
    return result;
  };
  const [account] = (await rpc("eth_accounts", [])) as string[];
  assert.ok(account !== undefined);
  const send: Chain["send"] = async (to, data) => {
    const transaction = await rpc("eth_sendTransaction", [{ from: account, data, ...(to === null ? {} : { to }) }]);
    for (const deadline = Date.now() + MINED_WAIT_MS; Date.now() < deadline; ) {
      const receipt = (await rpc("eth_getTransactionReceipt", [transaction])) as (Awaited<ReturnType<Chain["send"]>> & { status: string }) | null;
      if (receipt === null) continue;
      assert.equal(receipt.status, "0x1");
      return receipt;
    }
    throw new Error("a transaction was not mined in time");
  };
  return { url, account, rpc, send, stop: () => child.stdin?.end() };
}

function listeningUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("anvil does not listen")), ANVIL_WAIT_MS);
    let said = "";
    child.stdout?.on("data", (part: Buffer) => {
      said += part.toString();
      const address = /Listening on ([\d.:]+)/.exec(said)?.[1];
      if (address === undefined) return;
      clearTimeout(timer);
      resolve(`http://${address}`);
    });
    child.on("exit", (code) => reject(new Error(`anvil ended with ${code}: ${said}`)));
  });
}

export const deploy = async (chain: Chain): Promise<string> => {
  const { contractAddress } = await chain.send(null, AUDIT_LOG.bytecode);
  assert.ok(contractAddress !== null);
  return contractAddress;
};

const word = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex").padStart(64, "0");
const addressWord = (address: string): string => address.slice(2).padStart(64, "0");

/** Registers the log with the chain's account in every role, and answers its place. */
export async function register(chain: Chain, contract: string, logId: Uint8Array): Promise<Buffer> {
  const roles = addressWord(chain.account).repeat(3);
  await chain.send(contract, `${selectorOf("register(bytes32,address,address,address,uint64)")}${word(logId)}${roles}${word(u64(86_400n))}`);
  return keccak256(Buffer.from(word(logId) + addressWord(chain.account), "hex"));
}

export function anchor(chain: Chain, contract: string, place: Uint8Array, size: number, root: Uint8Array, proof: readonly Uint8Array[]): ReturnType<Chain["send"]> {
  const words = [place, u64(size), root, u64(4 * 32), u64(proof.length), ...proof].map(word).join("");
  return chain.send(contract, `${selectorOf("anchor(bytes32,uint64,bytes32,bytes32[])")}${words}`);
}

export function pin(chain: Chain, contract: string, place: Uint8Array): ReturnType<Chain["send"]> {
  return chain.send(contract, `${selectorOf("pin(bytes32)")}${word(place)}`);
}
