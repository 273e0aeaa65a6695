/** Bytes over a plain buffer, which is what `crypto.subtle` takes. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** `0x` and lower-case hexadecimal digits. */
export type Hex = `0x${string}`;

/** What a decoder throws: the input is not what its format says. Becomes a refusal at the boundary. */
export class Malformed extends Error {
  override name = "Malformed";
}

const U64_MAX = (1n << 64n) - 1n;

export function utf8(text: string): Bytes {
  return new Uint8Array(new TextEncoder().encode(text));
}

/** Text as it was given: a byte order mark stays, and a wrong byte is refused. */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed("the text is not UTF-8");
  }
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

export function hex(bytes: Uint8Array): Hex {
  let digits = "";
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0");
  return `0x${digits}`;
}

/** The bytes of `0x…`, in either case. */
export function bytesOfHex(text: string): Bytes {
  if (!/^0x(?:[0-9a-fA-F]{2})*$/.test(text)) throw new Malformed("not hexadecimal with 0x");
  const bytes = new Uint8Array(text.length / 2 - 1);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = parseInt(text.slice(2 + 2 * at, 4 + 2 * at), 16);
  return bytes;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SYMBOL_VALUES = new Map([...ALPHABET].map((symbol, value) => [symbol, value]));

/** Standard base64 with padding, in its one canonical spelling. `atob` would let spaces and stray bits through. */
export function bytesOfBase64(text: string): Bytes {
  if (text.length % 4 !== 0) throw new Malformed("base64 of a wrong length");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const symbols = text.length - padding;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let bitCount = 0;
  let at = 0;
  for (let index = 0; index < symbols; index += 1) {
    const value = SYMBOL_VALUES.get(text[index] ?? "");
    if (value === undefined) throw new Malformed("a symbol that is not base64");
    bits = ((bits << 6) | value) & 0xffff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      bytes[at] = (bits >> bitCount) & 0xff;
      at += 1;
    }
  }
  if ((bits & ((1 << bitCount) - 1)) !== 0) throw new Malformed("base64 with stray bits in its last symbol");
  return bytes;
}

/** A `u64` in decimal digits without leading zeros. */
export function u64OfDecimal(text: string): bigint {
  if (!/^(?:0|[1-9][0-9]{0,19})$/.test(text)) throw new Malformed("not a decimal number without leading zeros");
  const value = BigInt(text);
  if (value > U64_MAX) throw new Malformed("a number beyond 64 bits");
  return value;
}

/** A place in some bytes that are being decoded from the front. */
export interface Cursor {
  readonly bytes: Bytes;
  at: number;
}

export function cursorOf(bytes: Bytes): Cursor {
  return { bytes, at: 0 };
}

export function take(cursor: Cursor, length: number): Bytes {
  const end = cursor.at + length;
  if (end > cursor.bytes.length) throw new Malformed("the bytes end too early");
  const taken = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return taken;
}

/** Refuses bytes that are left over. */
export function finish(cursor: Cursor): void {
  if (cursor.at !== cursor.bytes.length) throw new Malformed("bytes are left over");
}

export function takeU8(cursor: Cursor): number {
  return view(take(cursor, 1)).getUint8(0);
}

export function takeU16(cursor: Cursor): number {
  return view(take(cursor, 2)).getUint16(0);
}

export function takeI32(cursor: Cursor): number {
  return view(take(cursor, 4)).getInt32(0);
}

export function takeU64(cursor: Cursor): bigint {
  return view(take(cursor, 8)).getBigUint64(0);
}

export function takeI64(cursor: Cursor): bigint {
  return view(take(cursor, 8)).getBigInt64(0);
}

export function u16Bytes(value: number): Bytes {
  const bytes = new Uint8Array(2);
  view(bytes).setUint16(0, value);
  return bytes;
}

export function u64Bytes(value: bigint): Bytes {
  const bytes = new Uint8Array(8);
  view(bytes).setBigUint64(0, value);
  return bytes;
}

function view(bytes: Bytes): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
