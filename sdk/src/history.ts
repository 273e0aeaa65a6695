import { type Hex } from "./bytes.js";
import { type MapRow } from "./map.js";
import { type Balances, type Entry, sameBalances } from "./parts.js";
import { type Verified } from "./verify.js";

/** What receipts of one account prove together: every entry from the first one that is held to the last. */
export interface History {
  readonly accountId: string;
  readonly unit: number;
  readonly links: readonly Link[];
  /** Up to which log size a map says that nothing is missing at the end. */
  readonly completeTo: bigint | null;
}

/** An entry, and the receipt that opens it. */
export interface Link {
  readonly entry: Entry;
  readonly commitment: Hex;
  readonly receipt: Verified;
}

export type HistoryRefusal = "no_entry" | "two_histories" | "missing_entry" | "broken_chain" | "behind_map" | "map_disagrees";

export type HistoryVerdict =
  | { readonly verdict: "valid"; readonly histories: readonly History[] }
  | { readonly verdict: "refused"; readonly code: HistoryRefusal; readonly reason: string };

type Refused = Extract<HistoryVerdict, { readonly verdict: "refused" }>;

/**
 * Holds verified receipts against each other, in any order, and against verified maps. Gives each account that they open, or
 * the first thing that does not fit.
 */
export function verifyHistory(receipts: readonly Verified[], maps: readonly MapRow[]): HistoryVerdict {
  const accounts = new Map<string, Map<bigint, Link>>();
  for (const receipt of receipts) {
    for (const part of receipt.entries) {
      if (part.state === "closed") continue;
      const { commitment, value: entry } = part;
      const name = `${entry.accountId} ${entry.unit}`;
      const links = accounts.get(name) ?? new Map<bigint, Link>();
      accounts.set(name, links);
      const before = links.get(entry.sequence);
      // The same entry may be shown by several receipts, as they grow better.
      if (before !== undefined && (before.commitment !== commitment || before.receipt.leafIndex !== receipt.leafIndex)) {
        return refused("two_histories", `there are two entries of number ${entry.sequence}: the log has two histories of this account`);
      }
      links.set(entry.sequence, { entry, commitment, receipt });
    }
  }
  if (accounts.size === 0) return refused("no_entry", "none of the receipts opens an entry");
  const histories: History[] = [];
  for (const [, numbered] of [...accounts].sort(([left], [right]) => (left < right ? -1 : 1))) {
    const links = [...numbered.values()].sort((left, right) => (left.entry.sequence < right.entry.sequence ? -1 : 1));
    const history = historyOf(links, maps);
    if ("verdict" in history) return history;
    histories.push(history);
  }
  return { verdict: "valid", histories };
}

function refused(code: HistoryRefusal, reason: string): Refused {
  return { verdict: "refused", code, reason };
}

/** Of one account, in the order of its entries, of which there is at least one. */
function historyOf(links: readonly Link[], maps: readonly MapRow[]): History | Refused {
  const [first, ...later] = links;
  if (first === undefined) throw new Error("an account without an entry");
  let before = first;
  for (const link of later) {
    const problem = linkProblem(before, link);
    if (problem !== null) return problem;
    before = link;
  }
  const { accountId, unit } = first.entry;
  let completeTo: bigint | null = null;
  for (const map of maps.filter((it) => it.accountId === accountId && it.unit === unit)) {
    const problem = mapProblem(links, map);
    if (problem !== null) return problem;
    if (completeTo === null || completeTo < map.logSize) completeTo = map.logSize;
  }
  return { accountId, unit, links, completeTo };
}

function linkProblem(before: Link, { entry }: Link): Refused | null {
  const old = before.entry;
  if (entry.sequence !== old.sequence + 1n) {
    return refused("missing_entry", `the receipts of entries ${old.sequence} and ${entry.sequence} are there, and none between them`);
  }
  const isNext = entry.previous?.leafIndex === before.receipt.leafIndex && entry.previous.commitment === before.commitment;
  if (isNext && sameBalances(sumOf(old.after, entry.change), entry.after)) return null;
  return refused("broken_chain", `entry ${entry.sequence} does not follow from the one before it`);
}

function sumOf(left: Balances, right: Balances): Balances {
  return { available: left.available + right.available, held: left.held + right.held, pending: left.pending + right.pending };
}

/** A map speaks of the last entry below its log size; later ones are beyond it. */
function mapProblem(links: readonly Link[], map: MapRow): Refused | null {
  const last = links.filter((it) => it.receipt.leafIndex < map.logSize).at(-1);
  const held = last?.entry.sequence ?? 0n;
  if (held < map.sequence) {
    return refused("behind_map", `the map of ${map.logSize} leaves knows entries up to ${map.sequence}, and the receipts end at ${held}`);
  }
  const isSame =
    last !== undefined && held === map.sequence && last.receipt.leafIndex === map.leafIndex &&
    last.commitment === map.commitment && sameBalances(last.entry.after, map.balances);
  return isSame ? null : refused("map_disagrees", `the map of ${map.logSize} leaves says another thing of entry ${held} than its receipt`);
}
