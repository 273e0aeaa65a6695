import { type Bytes, bytesOfBase64, Malformed, textOf, u64OfDecimal } from "./bytes.js";

/** A receipt's lines: a C2SP `tlog-proof`. */
export interface ReceiptLines {
  /** Still base64: what is wrong in there has a refusal of its own. */
  readonly extra: string;
  readonly index: bigint;
  readonly path: readonly Bytes[];
  /** The signed checkpoint. */
  readonly note: string;
}

/** The lines that every proof has: what is opened, its index, its path, and below the first empty line what it leads to. */
export interface ProofLines {
  readonly opened: string;
  readonly index: bigint;
  readonly path: readonly Bytes[];
  readonly rest: string;
}

const PATH_MAX = 63;

/** Splits a receipt at its first empty line and reads what stands above. */
export function parseReceiptLines(receipt: Bytes): ReceiptLines {
  const { opened, index, path, rest } = parseProofLines(receipt, "c2sp.org/tlog-proof@v1", "extra ");
  return { extra: opened, index, path, note: rest };
}

/** Reads a proof whose first line is this magic, and whose second begins with this word. */
export function parseProofLines(proof: Bytes, magic: string, word: string): ProofLines {
  const text = textOf(proof);
  const split = text.indexOf("\n\n");
  if (split < 0) throw new Malformed("there is no empty line below the path");
  const [first, opened, index, ...path] = text.slice(0, split).split("\n");
  if (first !== magic) throw new Malformed(`the first line is not ${magic}`);
  if (path.length > PATH_MAX) throw new Malformed("the path has more than 63 hashes");
  return {
    opened: afterWord(word, opened),
    index: u64OfDecimal(afterWord("index ", index)),
    path: path.map(parseHash),
    rest: text.slice(split + 2),
  };
}

function afterWord(word: string, line: string | undefined): string {
  if (line === undefined || !line.startsWith(word)) throw new Malformed(`there is no line that begins with '${word.trim()}'`);
  return line.slice(word.length);
}

function parseHash(line: string): Bytes {
  const hash = bytesOfBase64(line);
  if (hash.length !== 32) throw new Malformed("a hash of the path is not of 32 bytes");
  return hash;
}
