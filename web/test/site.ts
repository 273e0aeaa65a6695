// The page's server in the tests: the built files, the defaults, and a receipt by link. And the chain's endpoint, on another origin.
import { readFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { answerJson, type ScriptedChain } from "../../sdk/test/endpoint.js";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml", txt: "text/plain; charset=utf-8",
};

export interface Served {
  readonly origin: string;
  readonly close: () => Promise<void>;
}

/** What stands beside the page; a path that is missing is a 404. */
export interface SiteFiles {
  readonly [path: string]: { readonly body: string | Uint8Array; readonly apiKey?: string; readonly status?: number };
}

export function serveSite(files: SiteFiles): Promise<Served> {
  return serve((request, response) => {
    const path = new URL(request.url ?? "/", "http://site").pathname;
    const file = files[path];
    if (file !== undefined) {
      const allowed = file.apiKey === undefined || request.headers["x-api-key"] === file.apiKey;
      response.writeHead(allowed ? (file.status ?? 200) : 401, { "content-type": "text/plain; charset=utf-8" });
      response.end(allowed ? file.body : "");
      return;
    }
    const name = path === "/verify/" ? "index.html" : path.replace(/^\/verify\//, "");
    if (!/^[\w-]+\.\w+$/.test(name)) {
      response.writeHead(404).end();
      return;
    }
    readFile(new URL(`../dist/${name}`, import.meta.url)).then(
      (body) => response.writeHead(200, { "content-type": TYPES[name.split(".").pop() ?? ""] ?? "application/octet-stream" }).end(body),
      () => response.writeHead(404).end(),
    );
  });
}

export function serveChain(chain: ScriptedChain): Promise<Served> {
  return serve((request, response) => {
    const headers = { "access-control-allow-origin": "*", "access-control-allow-headers": "content-type", "content-type": "application/json" };
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => response.writeHead(200, headers).end(request.method === "POST" ? answerJson(chain, body) : ""));
  });
}

/** A server that lets every page ask with a key, writes down each key that it is sent, and has a page of its own at `/`. */
export function serveThief(keys: string[], receipt: string): Promise<Served> {
  return serve((request, response) => {
    const key = request.headers["x-api-key"];
    if (key !== undefined) keys.push(String(key));
    const headers = { "access-control-allow-origin": "*", "access-control-allow-headers": "x-api-key" };
    response.writeHead(200, { ...headers, "content-type": "text/html; charset=utf-8" }).end(request.url === "/" ? "<!doctype html>" : receipt);
  });
}

async function serve(listener: RequestListener): Promise<Served> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
