import { type Bytes, bytesOfBase64, hex, Malformed, sameBytes, utf8 } from "./bytes.js";
import { sha256 } from "./crypto.js";

/** The signature types of C2SP `signed-note` that this verifier knows. */
export const ED25519 = 0x01;
export const COSIGNATURE_V1 = 0x04;

export interface NoteSignature {
  readonly keyName: string;
  readonly keyId: Bytes;
  readonly signature: Bytes;
}

/** A C2SP `signed-note`, well formed and not yet believed. */
export interface Note {
  /** What is signed, its last newline included. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A key that signs notes, as a verifier's `<name>+<id>+<base64>` gives it. */
export interface VerifierKey {
  readonly name: string;
  readonly keyId: Bytes;
  readonly type: number;
  readonly publicKey: Bytes;
}

/** Splits a note at its last empty line. */
export function parseNote(note: string): Note {
  if (/[\x00-\x09\x0b-\x1f]/.test(note)) throw new Malformed("the note has a control character");
  const split = note.lastIndexOf("\n\n");
  if (split < 0) throw new Malformed("the note has no empty line before its signatures");
  const lines = note.slice(split + 2).split("\n");
  if (lines.pop() !== "" || lines.length === 0) throw new Malformed("the note does not end in a signature line");
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignature) };
}

function parseSignature(line: string): NoteSignature {
  const [dash, keyName, signature, ...rest] = line.split(" ");
  if (dash !== "\u2014" || keyName === undefined || signature === undefined || rest.length > 0) {
    throw new Malformed("a signature line is not a dash, a name and base64");
  }
  if (!isKeyName(keyName)) throw new Malformed("a signature line's key name has a space or a plus, or is empty");
  const decoded = bytesOfBase64(signature);
  if (decoded.length < 5) throw new Malformed("a signature line has a key id and no signature");
  return { keyName, keyId: decoded.subarray(0, 4), signature: decoded.subarray(4) };
}

/** Reads `<name>+<8 hex digits>+<base64 of type and key>`. The base64 part may hold a plus, the others may not. */
export async function parseVerifierKey(text: string): Promise<VerifierKey> {
  const [name, id, ...rest] = text.split("+");
  const encoded = rest.join("+");
  if (name === undefined || id === undefined || !isKeyName(name)) throw new Malformed("a key is not <name>+<id>+<base64>");
  const key = bytesOfBase64(encoded);
  const type = key[0];
  if (type !== ED25519 && type !== COSIGNATURE_V1) throw new Malformed("a key of a type that this verifier does not know");
  if (key.length !== 33) throw new Malformed("an Ed25519 key is not of 32 bytes");
  const keyId = (await sha256(utf8(`${name}\n`), key)).subarray(0, 4);
  if (hex(keyId) !== `0x${id}`) throw new Malformed("a key's id is not that of its name and bytes");
  return { name, keyId, type, publicKey: key.subarray(1) };
}

/** Whether this line says that this key signed. Only name and id together name a key. */
export function names(signature: NoteSignature, key: VerifierKey): boolean {
  return signature.keyName === key.name && sameBytes(signature.keyId, key.keyId);
}

function isKeyName(name: string): boolean {
  return /^[^\p{White_Space}+]+$/u.test(name);
}
