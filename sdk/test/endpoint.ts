// A chain's endpoint with one audit contract behind it, for what a real node cannot be made to say: wrong roots, silence, nonsense.
import { hash, sha256, u64 } from "./make.js";

const word = (value: bigint): string => value.toString(16).padStart(64, "0");
const plain = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export interface ScriptedEvent {
  readonly size: bigint;
  readonly root: Uint8Array;
  readonly block: bigint;
  /** The block was reorganised away. */
  readonly removed?: boolean;
}

export interface ScriptedChain {
  chainId: bigint;
  contract: string;
  headSize: bigint;
  headRoot: Uint8Array;
  halted: boolean;
  pins: Map<bigint, Uint8Array>;
  events: ScriptedEvent[];
  includes: boolean;
  latest: bigint;
  finalized: bigint | null;
  /** Answers of this kind fail. */
  broken: Set<string>;
  /** The methods that were asked, in order. */
  asked: string[];
}

export function scriptedChain(changes: Partial<ScriptedChain> = {}): ScriptedChain {
  return {
    chainId: 31_337n, contract: `0x${"c0".repeat(20)}`, headSize: 0n, headRoot: hash(0), halted: false, pins: new Map(), events: [], includes: true,
    latest: 100n, finalized: 90n, broken: new Set(), asked: [], ...changes,
  };
}

const TOPIC = "0x10d64b358a2a34d1aefd3923dfecde63ee095436d398bd873df1fd341db42724";
// The real contract hashes with keccak256; any function of both serves here.
const placeOf = (args: string): string => plain(sha256(Buffer.from(args.slice(0, 128), "hex")));

/** What the endpoint answers, or a thrown error's message. */
export function answer(chain: ScriptedChain, method: string, params: readonly unknown[]): unknown {
  chain.asked.push(method);
  if (chain.broken.has(method)) throw new Error("broken");
  switch (method) {
    case "eth_chainId":
      return `0x${chain.chainId.toString(16)}`;
    case "eth_blockNumber":
      return `0x${chain.latest.toString(16)}`;
    case "eth_getBlockByNumber":
      return chain.finalized === null ? null : { number: `0x${chain.finalized.toString(16)}` };
    case "eth_getLogs": {
      const { fromBlock, toBlock, topics } = params[0] as { fromBlock: string; toBlock: string; topics: string[] };
      const to = toBlock === "latest" ? chain.latest : BigInt(toBlock);
      const [, place, size] = topics;
      return chain.events
        .filter((event) => BigInt(fromBlock) <= event.block && event.block <= to && size === `0x${word(event.size)}`)
        .map((event) => ({
          address: chain.contract, topics: [TOPIC, place, size], data: `0x${plain(event.root)}${word(0n)}`, removed: event.removed === true,
          blockNumber: `0x${event.block.toString(16)}`, transactionHash: `0x${plain(sha256(u64(event.block)))}`,
        }));
    }
    case "eth_call":
      return call(chain, params[0] as { to: string; data: string });
    default:
      throw new Error(`no method ${method}`);
  }
}

function call(chain: ScriptedChain, { to, data }: { readonly to: string; readonly data: string }): string {
  if (to !== chain.contract) return "0x";
  const [selector, args] = [data.slice(0, 10), data.slice(10)];
  if (chain.broken.has(selector)) throw new Error("broken");
  switch (selector) {
    case "0x0c51328f":
      return `0x${placeOf(args)}`;
    case "0xf339e3b2":
      return `0x${word(chain.headSize)}${plain(chain.headRoot)}${word(1n)}${word(chain.halted ? 1n : 0n)}`;
    case "0x011e2a65":
      return `0x${plain(chain.pins.get(BigInt(`0x${args.slice(64, 128)}`)) ?? hash(0))}`;
    case "0xf8788555":
      return `0x${word(chain.includes ? 1n : 0n)}`;
    default:
      throw new Error(`no function ${selector}`);
  }
}

/** The endpoint as JSON-RPC over the body of a request. */
export function answerJson(chain: ScriptedChain, body: string): string {
  const { id, method, params } = JSON.parse(body) as { id: number; method: string; params: unknown[] };
  try {
    return JSON.stringify({ jsonrpc: "2.0", id, result: answer(chain, method, params) });
  } catch (error) {
    return JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32_000, message: error instanceof Error ? error.message : "" } });
  }
}
