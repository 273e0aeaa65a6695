import { type Bytes, bytesOfHex, concat, type Hex, hex, isZero, Malformed, u64Bytes } from "./bytes.js";
import { CouldNotCheck } from "./crypto.js";
import { type Anchor, type Policy } from "./policy.js";
import { type Verified } from "./verify.js";

/** How the chain is reached: any Ethereum JSON-RPC endpoint, best one of your own. */
export interface Rpc {
  readonly url: string;
  /** 10 seconds for each call, unless told. */
  readonly timeoutMs?: number;
  readonly fetch?: typeof fetch;
}

/** What the contract of the policy knows about a receipt's checkpoint. */
export interface AnchorProof {
  readonly chainId: bigint;
  readonly contract: Hex;
  readonly registrant: Hex;
  /** The log's name in the contract: what `placeOf(log id, registrant)` answers. */
  readonly place: Hex;
  /** Where the contract knows this size and root from. */
  readonly shownBy: "head" | "pin" | "event";
  /** Whether the contract itself checked the leaf's inclusion. It can only for its head and its pins. */
  readonly contractConfirmsLeaf: boolean;
  readonly headSize: bigint;
  /** The log was frozen in the contract. What was anchored before stays anchored. */
  readonly halted: boolean;
  /** The block and transaction of the anchor; null where the node would not say. */
  readonly mined: {
    readonly block: bigint;
    readonly transaction: Hex;
    /** Null once the chain's consensus calls the block final, else how many blocks stand on it. */
    readonly depthBlocks: bigint | null;
  } | null;
}

export type AnchorVerdict =
  | { readonly verdict: "anchored"; readonly proof: AnchorProof }
  /** Nothing stands at this size: not yet, so ask again later; or the contract passed over it, so fetch a newer receipt. */
  | { readonly verdict: "not_anchored"; readonly reason: "not_yet" | "passed_over"; readonly contract: Hex; readonly headSize: bigint }
  | { readonly verdict: "refused"; readonly code: "anchor_disagrees"; readonly reason: string }
  | { readonly verdict: "could_not_check"; readonly reason: string };

/** First four bytes of keccak256 of each signature; `anchor.test.ts` derives them again and compares with the contract's ABI. */
export const SELECTORS = {
  "placeOf(bytes32,address)": "0x0c51328f",
  "head(bytes32)": "0xf339e3b2",
  "pinnedRoot(bytes32,uint64)": "0x011e2a65",
  "includes(bytes32,address,uint64,bytes,bytes32[])": "0xf8788555",
} as const;

/** keccak256 of `Anchored(bytes32,uint64,bytes32,uint64)`. */
export const ANCHORED_TOPIC = "0x10d64b358a2a34d1aefd3923dfecde63ee095436d398bd873df1fd341db42724";

/** The contract knows this size with another root. */
class Disagrees extends Error {
  override name = "Disagrees";
}

/**
 * Asks the contracts that the policy names on the endpoint's chain whether they hold the checkpoint of a verified receipt.
 *
 * Believes the endpoint for what the chain says, and the receipt for nothing: its hints only tell in which block to look first.
 */
export async function checkAnchor(verified: Verified, policy: Policy, rpc: Rpc | string): Promise<AnchorVerdict> {
  const endpoint: Rpc = typeof rpc === "string" ? { url: rpc } : rpc;
  try {
    const chainId = asU64(await call(endpoint, "eth_chainId", []));
    const anchors = policy.anchors.filter((it) => it.chainId === chainId);
    if (policy.anchors.length === 0) throw new CouldNotCheck("The policy names no contract.");
    if (anchors.length === 0) throw new CouldNotCheck(`The endpoint serves chain ${chainId}, and the policy names no contract there.`);
    const answers: AnchorVerdict[] = [];
    for (const anchor of anchors) answers.push(await askContract(verified, anchor, endpoint));
    return answers.find((it) => it.verdict === "anchored") ?? answers[0] ?? unreachable();
  } catch (error) {
    if (error instanceof Disagrees) return { verdict: "refused", code: "anchor_disagrees", reason: error.message };
    if (error instanceof CouldNotCheck) return { verdict: "could_not_check", reason: error.message };
    if (error instanceof Malformed) return { verdict: "could_not_check", reason: `The chain's endpoint gave an answer that cannot be read: ${error.message}.` };
    throw error;
  }
}

async function askContract(verified: Verified, anchor: Anchor, rpc: Rpc): Promise<AnchorVerdict> {
  const { size } = verified;
  const root = bytesOfHex(verified.root);
  const [place] = words(await ask(rpc, anchor, "placeOf(bytes32,address)", [bytesOfHex(verified.logId), leftPadded(bytesOfHex(anchor.registrant))]), 1);
  if (place === undefined) return unreachable();
  const [head, pin] = await Promise.all([
    ask(rpc, anchor, "head(bytes32)", [place]),
    ask(rpc, anchor, "pinnedRoot(bytes32,uint64)", [place, word(size)]),
  ]);
  const [headSize, headRoot, writer, halted] = words(head, 4);
  const [pinnedRoot] = words(pin, 1);
  if (headSize === undefined || headRoot === undefined || writer === undefined || halted === undefined || pinnedRoot === undefined) return unreachable();
  // Not a log that is late, but none: asking again would wait for ever.
  if (isZero(writer)) throw new CouldNotCheck("The contract has no log of this id by the policy's registrant.");

  const isHead = numberOf(headSize) === size;
  if (isHead) demandSame(headRoot, root, size);
  const isPin = !isZero(pinnedRoot);
  if (isPin) demandSame(pinnedRoot, root, size);

  const known = isHead || isPin;
  if (!known && numberOf(headSize) < size) {
    return { verdict: "not_anchored", reason: "not_yet", contract: anchor.contract, headSize: numberOf(headSize) };
  }
  const [event, contractConfirmsLeaf] = await Promise.all([
    findEvent(rpc, anchor, place, verified, known),
    known && contractConfirms(verified, anchor, rpc),
  ]);
  if (event !== null) demandSame(event.root, root, size);
  if (!known && event === null) return { verdict: "not_anchored", reason: "passed_over", contract: anchor.contract, headSize: numberOf(headSize) };

  return {
    verdict: "anchored",
    proof: {
      ...anchor,
      place: hex(place),
      shownBy: isHead ? "head" : isPin ? "pin" : "event",
      contractConfirmsLeaf,
      headSize: numberOf(headSize),
      halted: !isZero(halted),
      mined: event === null ? null : { block: event.block, transaction: event.transaction, depthBlocks: await depthOf(rpc, event.block) },
    },
  };
}

function demandSame(known: Uint8Array, root: Uint8Array, size: bigint): void {
  if (hex(known) !== hex(root)) {
    throw new Disagrees(`the contract knows size ${size} with the root ${hex(known)}, and the checkpoint says ${hex(root)}`);
  }
}

/** Whether the contract, asked for this leaf and path, says yes. Its head may have moved on meanwhile; then it cannot say. */
async function contractConfirms(verified: Verified, anchor: Anchor, rpc: Rpc): Promise<boolean> {
  const leaf = bytesOfHex(verified.leaf);
  const leafPadded = concat(leaf, new Uint8Array((32 - (leaf.length % 32)) % 32));
  const head = 5 * 32;
  const answer = await ask(rpc, anchor, "includes(bytes32,address,uint64,bytes,bytes32[])", [
    bytesOfHex(verified.logId),
    leftPadded(bytesOfHex(anchor.registrant)),
    word(verified.size),
    word(BigInt(head)),
    word(BigInt(head + 32 + leafPadded.length)),
    word(BigInt(leaf.length)),
    leafPadded,
    word(BigInt(verified.path.length)),
    ...verified.path.map(bytesOfHex),
  ]).catch(ifCouldNotCheck);
  if (answer === null) return false;
  const [confirms] = words(answer, 1);
  if (confirms === undefined || isZero(confirms)) {
    throw new CouldNotCheck("The contract holds this root and yet denies the leaf, so the endpoint contradicts itself.");
  }
  return true;
}

interface AnchoredEvent {
  readonly root: Bytes;
  readonly block: bigint;
  readonly transaction: Hex;
}

/** Looks in the hinted block first, since many endpoints search only short ranges. */
async function findEvent(rpc: Rpc, anchor: Anchor, place: Bytes, verified: Verified, known: boolean): Promise<AnchoredEvent | null> {
  const hints = verified.hints.filter(
    (it) => it.chainId === anchor.chainId && it.contract === anchor.contract && it.registrant === anchor.registrant,
  );
  for (const { block } of hints) {
    const event = await searchEvents(rpc, anchor, place, verified.size, quantity(block), quantity(block)).catch(ifCouldNotCheck);
    if (event !== null) return event;
  }
  const search = searchEvents(rpc, anchor, place, verified.size, "0x0", "latest");
  // Where the contract's state shows the anchor already, the event only adds where it was mined.
  return known ? search.catch(ifCouldNotCheck) : search;
}

function ifCouldNotCheck(error: unknown): null {
  if (error instanceof CouldNotCheck || error instanceof Malformed) return null;
  throw error;
}

async function searchEvents(rpc: Rpc, anchor: Anchor, place: Bytes, size: bigint, fromBlock: string, toBlock: string): Promise<AnchoredEvent | null> {
  const topics = [ANCHORED_TOPIC, hex(place), hex(word(size))];
  const answer = await call(rpc, "eth_getLogs", [{ address: anchor.contract, fromBlock, toBlock, topics }]);
  if (!Array.isArray(answer)) throw new Malformed("logs are not a list");
  for (const log of answer) {
    const { address, topics: found, data, blockNumber, transactionHash, removed } = asRecord(log);
    if (removed === true) continue;
    if (asHex(address).toLowerCase() !== anchor.contract || !Array.isArray(found)) throw new Malformed("a log of another contract");
    if (topics.some((topic, at) => asHex(found[at]).toLowerCase() !== topic)) throw new Malformed("a log of another topic");
    const [root] = words(bytesOfHex(asHex(data)), 2);
    if (root !== undefined) return { root, block: asU64(blockNumber), transaction: asHex(transactionHash) };
  }
  return null;
}

/** Null where the block is final, else how many blocks stand on it. */
async function depthOf(rpc: Rpc, block: bigint): Promise<bigint | null> {
  const [finalized, latest] = await Promise.all([
    finalizedBlock(rpc).catch(ifCouldNotCheck),
    call(rpc, "eth_blockNumber", []).then(asU64),
  ]);
  if (finalized !== null && finalized >= block) return null;
  return latest > block ? latest - block : 0n;
}

async function finalizedBlock(rpc: Rpc): Promise<bigint> {
  return asU64(asRecord(await call(rpc, "eth_getBlockByNumber", ["finalized", false]))["number"]);
}

async function ask(rpc: Rpc, anchor: Anchor, signature: keyof typeof SELECTORS, args: readonly Uint8Array[]): Promise<Bytes> {
  const data = hex(concat(bytesOfHex(SELECTORS[signature]), ...args));
  const answer = bytesOfHex(asHex(await call(rpc, "eth_call", [{ to: anchor.contract, data }, "latest"])));
  if (answer.length === 0) throw new CouldNotCheck(`There is no such contract at ${anchor.contract} on chain ${anchor.chainId}.`);
  return answer;
}

async function call(rpc: Rpc, method: string, params: readonly unknown[]): Promise<unknown> {
  let answer: Record<string, unknown>;
  try {
    const response = await (rpc.fetch ?? fetch)(rpc.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
      credentials: "omit",
      signal: AbortSignal.timeout(rpc.timeoutMs ?? 10_000),
    });
    answer = asRecord(await response.json());
  } catch (error) {
    throw new CouldNotCheck(`The chain's endpoint did not answer ${method} (${error instanceof Error ? error.message : String(error)}).`);
  }
  if (answer["error"] !== undefined && answer["error"] !== null) {
    throw new CouldNotCheck(`The chain's endpoint refused ${method} (${String(asRecord(answer["error"])["message"])}).`);
  }
  return answer["result"];
}

function asRecord(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw new Malformed("an answer is not an object");
  return value as Record<string, unknown>;
}

function asHex(value: unknown): Hex {
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]*$/.test(value)) throw new Malformed("an answer is not hexadecimal");
  return value as Hex;
}

function asU64(value: unknown): bigint {
  const digits = asHex(value);
  if (digits.length < 3 || digits.length > 18) throw new Malformed("a number is not of 1 to 16 digits");
  return BigInt(digits);
}

function quantity(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function word(value: bigint): Bytes {
  return leftPadded(u64Bytes(value));
}

function leftPadded(bytes: Bytes): Bytes {
  return concat(new Uint8Array(32 - bytes.length), bytes);
}

/** The ABI's words of 32 bytes. */
function words(bytes: Bytes, count: number): readonly Bytes[] {
  if (bytes.length !== 32 * count) throw new Malformed(`an answer is not of ${count} words`);
  return Array.from({ length: count }, (_, at) => bytes.subarray(32 * at, 32 * at + 32));
}

function numberOf(bytes: Bytes): bigint {
  return BigInt(hex(bytes));
}

function unreachable(): never {
  throw new Error("unreachable");
}
