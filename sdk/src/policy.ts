import { type Bytes, bytesOfHex, Malformed, type Hex, hex, u64OfDecimal } from "./bytes.js";
import { COSIGNATURE_V1, ED25519, parseVerifierKey, type VerifierKey } from "./note.js";

/** What a verifier trusts. Nothing in a receipt can add to it. */
export interface Policy {
  /** In the file's order: the first of an origin is the log's first key, which the log id is made from. */
  readonly logs: readonly VerifierKey[];
  /** Those of them that sign no more. */
  readonly retired: readonly RetiredKey[];
  readonly witnesses: readonly Witness[];
  readonly groups: readonly Group[];
  /** The witness or group that must have cosigned; null asks for none. */
  readonly quorum: string | null;
  readonly anchors: readonly Anchor[];
  /**
   * Whether something else vouches for the checkpoint: a contract that will be asked, or one's own memory of having seen it.
   * What a key signed before it retired counts then, whoever has that key now.
   */
  readonly vouched?: boolean;
}

/** The leaf that retires a key, and when that was, in Unix seconds. */
export interface RetiredKey {
  readonly key: VerifierKey;
  readonly leafIndex: bigint;
  readonly retiredAt: bigint;
}

export interface Witness {
  readonly name: string;
  readonly key: VerifierKey;
}

export interface Group {
  readonly name: string;
  readonly threshold: number;
  readonly members: readonly string[];
}

/** A contract that holds this log's checkpoints. */
export interface Anchor {
  readonly chainId: bigint;
  readonly contract: Hex;
  readonly registrant: Hex;
}

/** The policy's text cannot be used. */
export class PolicyError extends Error {
  override name = "PolicyError";
  readonly line: number;

  constructor(line: number, reason: string) {
    super(line === 0 ? `Policy: ${reason}.` : `Policy, line ${line}: ${reason}.`);
    this.line = line;
  }
}

interface Draft {
  readonly logs: VerifierKey[];
  readonly retired: RetiredKey[];
  readonly witnesses: Witness[];
  readonly groups: Group[];
  readonly anchors: Anchor[];
  readonly grouped: Set<string>;
  quorum: string | null | undefined;
}

/** Reads a policy in the form of C2SP `tlog-policy`, with our `retired` and `anchor` lines. Throws `PolicyError`. */
export async function parsePolicy(text: string): Promise<Policy> {
  const draft: Draft = { logs: [], retired: [], witnesses: [], groups: [], anchors: [], grouped: new Set(), quorum: undefined };
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    try {
      await parseLine(draft, line);
    } catch (error) {
      if (error instanceof Malformed) throw new PolicyError(at + 1, error.message);
      throw error;
    }
  }
  const { logs, retired, witnesses, groups, anchors, quorum } = draft;
  // Without witnesses there is nothing to forget; with them, a forgotten line must not mean "none".
  if (quorum === undefined && witnesses.length > 0) throw new PolicyError(0, "it names witnesses and has no quorum line");
  return { logs, retired, witnesses, groups, quorum: quorum ?? null, anchors };
}

async function parseLine(draft: Draft, line: string): Promise<void> {
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(line)) throw new Malformed("a control character");
  const [keyword, ...words] = line.split(/[ \t]+/).filter((word) => word !== "");
  if (keyword === undefined || keyword.startsWith("#")) return;
  switch (keyword) {
    case "log":
      return parseLog(draft, words);
    case "retired":
      return parseRetired(draft, words);
    case "witness":
      return parseWitness(draft, words);
    case "group":
      return parseGroup(draft, words);
    case "quorum":
      return parseQuorum(draft, words);
    case "anchor":
      return parseAnchor(draft, words);
    default:
      throw new Malformed(`'${keyword}' is not log, retired, witness, group, quorum or anchor`);
  }
}

async function parseLog(draft: Draft, words: readonly string[]): Promise<void> {
  const [vkey] = words;
  if (vkey === undefined || words.length > 2) throw new Malformed("a log is 'log <vkey> [<url>]'");
  const key = await parseVerifierKey(vkey);
  if (key.type !== ED25519) throw new Malformed("a log's key must be of type 1, Ed25519");
  if (draft.logs.some((log) => hex(log.publicKey) === hex(key.publicKey))) throw new Malformed("this log's key was given before");
  draft.logs.push(key);
}

async function parseRetired(draft: Draft, words: readonly string[]): Promise<void> {
  const [vkey, leafIndex, retiredAt] = words;
  if (vkey === undefined || leafIndex === undefined || retiredAt === undefined || words.length > 3) {
    throw new Malformed("a key that has retired is 'retired <vkey> <leaf index> <Unix seconds>'");
  }
  const key = await parseVerifierKey(vkey);
  if (!draft.logs.some((log) => isSameKey(log, key))) throw new Malformed("a key that has retired is a log's, named above");
  if (draft.retired.some((it) => isSameKey(it.key, key))) throw new Malformed("this key has retired above");
  draft.retired.push({ key, leafIndex: u64OfDecimal(leafIndex), retiredAt: u64OfDecimal(retiredAt) });
}

async function parseWitness(draft: Draft, words: readonly string[]): Promise<void> {
  const [name, vkey] = words;
  if (name === undefined || vkey === undefined || words.length > 3) throw new Malformed("a witness is 'witness <name> <vkey> [<url>]'");
  refuseTaken(draft, name);
  const key = await parseVerifierKey(vkey);
  if (key.type !== COSIGNATURE_V1) throw new Malformed("a witness's key must be of type 4, an Ed25519 cosignature");
  if (draft.witnesses.some((witness) => hex(witness.key.publicKey) === hex(key.publicKey))) {
    throw new Malformed("this witness's key was given before");
  }
  draft.witnesses.push({ name, key });
}

function parseGroup(draft: Draft, words: readonly string[]): void {
  const [name, rule, ...members] = words;
  if (name === undefined || rule === undefined || members.length === 0) {
    throw new Malformed("a group is 'group <name> all|any|<k> <members…>'");
  }
  refuseTaken(draft, name);
  for (const member of members) {
    if (!isDefined(draft, member)) throw new Malformed(`'${member}' is not defined before`);
    if (draft.grouped.has(member)) throw new Malformed(`'${member}' is a member already`);
    draft.grouped.add(member);
  }
  const threshold = rule === "all" ? members.length : rule === "any" ? 1 : Number(u64OfDecimal(rule));
  if (threshold < 1 || threshold > members.length) throw new Malformed("a group's threshold is not between 1 and its members");
  draft.groups.push({ name, threshold, members });
}

function parseQuorum(draft: Draft, words: readonly string[]): void {
  const [name] = words;
  if (name === undefined || words.length > 1) throw new Malformed("a quorum is 'quorum <name>|none'");
  if (draft.quorum !== undefined) throw new Malformed("there is a quorum already");
  if (name !== "none" && !isDefined(draft, name)) throw new Malformed(`'${name}' is not defined before`);
  draft.quorum = name === "none" ? null : name;
}

function parseAnchor(draft: Draft, words: readonly string[]): void {
  const [chainId, contract, registrant] = words;
  if (chainId === undefined || contract === undefined || registrant === undefined || words.length > 3) {
    throw new Malformed("an anchor is 'anchor <chain id> <contract> <registrant>'");
  }
  draft.anchors.push({ chainId: u64OfDecimal(chainId), contract: parseAddress(contract), registrant: parseAddress(registrant) });
}

function parseAddress(text: string): Hex {
  const address: Bytes = bytesOfHex(text);
  if (address.length !== 20) throw new Malformed("an address is not of 20 bytes");
  return hex(address);
}

function isDefined(draft: Draft, name: string): boolean {
  return draft.witnesses.some((it) => it.name === name) || draft.groups.some((it) => it.name === name);
}

function refuseTaken(draft: Draft, name: string): void {
  if (name === "none" || isDefined(draft, name)) throw new Malformed(`the name '${name}' is taken`);
}

function isSameKey(one: VerifierKey, other: VerifierKey): boolean {
  return one.name === other.name && one.type === other.type && hex(one.publicKey) === hex(other.publicKey);
}

/** Whether this key's signature under a checkpoint of this size counts, given when witnesses have cosigned it. */
export function stands(policy: Policy, key: VerifierKey, size: bigint, cosigned: readonly { readonly witness: string; readonly time: bigint }[]): boolean {
  const retired = policy.retired.find((it) => isSameKey(it.key, key));
  if (retired === undefined) return true;
  if (size > retired.leafIndex) return false;
  const before = cosigned.filter((it) => it.time <= retired.retiredAt).map((it) => it.witness);
  return policy.vouched === true || (policy.quorum !== null && quorumIsMet(policy, new Set(before)));
}

/** Whether these witnesses are enough. */
export function quorumIsMet(policy: Policy, cosigned: ReadonlySet<string>): boolean {
  // Groups name only what stands above them, so one pass in the file's order settles them all.
  const met = new Set(cosigned);
  for (const group of policy.groups) {
    if (group.members.filter((member) => met.has(member)).length >= group.threshold) met.add(group.name);
  }
  return policy.quorum === null || met.has(policy.quorum);
}
