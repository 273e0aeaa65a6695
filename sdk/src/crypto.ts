import { type Bytes, concat, utf8 } from "./bytes.js";

/** The check itself could not be made. It says nothing about the receipt, good or bad. */
export class CouldNotCheck extends Error {
  override name = "CouldNotCheck";
}

/** A domain tag: the string, padded on the right with zeros to 32 bytes. */
export function tag(name: string): Bytes {
  const padded = new Uint8Array(32);
  padded.set(utf8(`daftari/v1/${name}`));
  return padded;
}

/** SHA-256 of the parts, joined. */
export async function sha256(...parts: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await subtle().digest("SHA-256", concat(...parts)));
}

/** Whether the signature is this key's over the message. A key or signature that is no point of the curve is not. */
export async function ed25519Verifies(publicKey: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  try {
    const key = await subtle().importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
    return await subtle().verify({ name: "Ed25519" }, key, signature, message);
  } catch (error) {
    if (error instanceof CouldNotCheck) throw error;
    if (error instanceof Error && error.name === "DataError") return false;
    throw new CouldNotCheck(`This browser or runtime cannot check Ed25519 signatures (${String(error)}). A current one can.`);
  }
}

function subtle(): SubtleCrypto {
  const found = (globalThis as { crypto?: Partial<Crypto> }).crypto?.subtle;
  if (found === undefined) {
    throw new CouldNotCheck("There is no crypto.subtle here. Browsers offer it to pages from https or from this machine only.");
  }
  return found;
}
