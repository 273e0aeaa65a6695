/** A file as the reader gave it, or as it stands in an archive. */
export interface GivenFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const BLOCK = 512;

/** The files of a tar archive (ustar), or null where it is none or ends too early. Its names are only names. */
export function filesOfTar(bytes: Uint8Array): readonly GivenFile[] | null {
  const files: GivenFile[] = [];
  for (let at = 0; at + BLOCK <= bytes.length; ) {
    const header = bytes.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return files;
    const length = /^[0-7]+ ?$/.test(field(header, 124, 12)) ? parseInt(field(header, 124, 12), 8) : NaN;
    const [start, end] = [at + BLOCK, at + BLOCK + length];
    if (!field(header, 257, 6).startsWith("ustar") || !(end <= bytes.length)) return null;
    if (["", "0"].includes(field(header, 156, 1))) files.push({ name: field(header, 0, 100), bytes: bytes.subarray(start, end) });
    at = start + Math.ceil(length / BLOCK) * BLOCK;
  }
  return null;
}

/** A field's text, up to its first zero. */
function field(header: Uint8Array, from: number, length: number): string {
  const [text = ""] = new TextDecoder("latin1").decode(header.subarray(from, from + length)).split("\0");
  return text;
}
