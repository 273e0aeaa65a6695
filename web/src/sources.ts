/** A receipt is never longer, so nothing longer is read. */
const RECEIPT_BYTES_MAX = 65_536;
const DEFAULTS_WAIT_MS = 5_000;
const LINK_WAIT_MS = 15_000;

/** The receipt could not be had. */
export class NoReceipt extends Error {
  override name = "NoReceipt";
}

export interface Trust {
  readonly policy: string;
  readonly rpcUrl: string;
}

/** Whether this page is a file of the reader's own: then there is no server that could propose anything. */
export const IS_ON_DISK = location.protocol === "file:";

/** What the server that serves this page proposes. Either may be missing. */
export async function serversTrust(): Promise<Trust> {
  if (IS_ON_DISK) return { policy: "", rpcUrl: "" };
  const [policy, rpcUrl] = await Promise.all([
    fetchDefault("policy.txt", (response) => response.text()),
    fetchDefault("chain.json", async (response) => rpcUrlOf(await response.json())),
  ]);
  return { policy: policy ?? "", rpcUrl: rpcUrl ?? "" };
}

async function fetchDefault(path: string, read: (response: Response) => Promise<string>): Promise<string | null> {
  try {
    const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(DEFAULTS_WAIT_MS) });
    return response.ok ? await read(response) : null;
  } catch {
    // A page without its server's defaults still checks what its user trusts.
    return null;
  }
}

function rpcUrlOf(chain: unknown): string {
  const url = typeof chain === "object" && chain !== null && "rpc_url" in chain ? chain.rpc_url : null;
  return typeof url === "string" ? url : "";
}

const KEPT = { policy: "daftari.verify.policy", rpcUrl: "daftari.verify.rpc" } as const;

/** What the user put in the boxes before; null where that is what the server proposes. */
export function keptTrust(): { readonly policy: string | null; readonly rpcUrl: string | null } {
  try {
    return { policy: localStorage.getItem(KEPT.policy), rpcUrl: localStorage.getItem(KEPT.rpcUrl) };
  } catch {
    return { policy: null, rpcUrl: null };
  }
}

/** Keeps what differs from the server's proposal, and forgets what does not. */
export function keepTrust(own: Trust, servers: Trust): void {
  try {
    for (const key of ["policy", "rpcUrl"] as const) {
      if (own[key] === servers[key]) localStorage.removeItem(KEPT[key]);
      else localStorage.setItem(KEPT[key], own[key]);
    }
  } catch {
    // A browser that keeps nothing still verifies.
  }
}

/** Fetches a receipt. The key goes to this address only: a redirect would carry it elsewhere, so there it is an error. */
export async function fetchReceipt(link: string, apiKey: string): Promise<Uint8Array> {
  const url = linkOf(link);
  let response: Response;
  try {
    response = await fetch(url, {
      credentials: "omit",
      cache: "no-store",
      redirect: apiKey === "" ? "follow" : "error",
      headers: apiKey === "" ? {} : { "X-API-Key": apiKey },
      signal: AbortSignal.timeout(LINK_WAIT_MS),
    });
  } catch {
    throw new NoReceipt("The link could not be fetched: there is no such server, or it does not let other pages read it.");
  }
  if (response.status === 202) throw new NoReceipt("The transaction is recorded and not sealed yet. Ask again in a moment.");
  if (response.status === 401 || response.status === 403) {
    throw new NoReceipt(`The link needs an API key${apiKey === "" ? "" : " that may read this receipt"} (status ${response.status}).`);
  }
  if (!response.ok) throw new NoReceipt(`The link answered with status ${response.status} instead of a receipt.`);
  return readAtMost(response, RECEIPT_BYTES_MAX + 1);
}

/** Who is asked for this link; nobody where it is none. */
export function linkOrigin(link: string): string {
  try {
    return link === "" ? "" : linkOf(link).origin;
  } catch {
    return "";
  }
}

function linkOf(link: string): URL {
  let url: URL;
  try {
    url = new URL(link, location.href);
  } catch {
    throw new NoReceipt("The link is not an address.");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw new NoReceipt("The link is neither http nor https.");
  return url;
}

/** The first bytes of an answer, so that an endless one ends: more than a receipt holds is refused as too long. */
async function readAtMost(response: Response, bytesMax: number): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const bytes = new Uint8Array(bytesMax);
  let length = 0;
  while (reader !== undefined && length < bytesMax) {
    const { done, value } = await reader.read().catch(() => {
      throw new NoReceipt("The link stopped in the middle of its answer.");
    });
    if (done) break;
    const part = value.subarray(0, bytesMax - length);
    bytes.set(part, length);
    length += part.length;
  }
  await reader?.cancel().catch(() => undefined);
  return bytes.subarray(0, length);
}
