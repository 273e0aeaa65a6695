// The script that the end-to-end tests call, run as they run it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { scriptedChain } from "../../sdk/test/endpoint.js";
import { LOG, logOf, makeReceipt, redeemLeaf, treeRoot, vkey } from "../../sdk/test/make.js";
import { serveChain, serveSite } from "./site.js";

interface Outcome {
  readonly verdict: string;
  readonly code: string;
  readonly steps: readonly { readonly id: string; readonly state: string }[];
}

function journey(...args: readonly string[]): Promise<{ readonly status: number; readonly outcome: Outcome }> {
  const script = new URL("../journey.mjs", import.meta.url).pathname;
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [script, ...args], (error, stdout, stderr) => {
      const lines = stdout.trim().split("\n");
      if (lines.length !== 1) return reject(new Error(`not one line: ${stdout}${stderr}`));
      resolve({ status: typeof error?.code === "number" ? error.code : 0, outcome: JSON.parse(lines[0] ?? "") as Outcome });
    });
  });
}

test("the journey prints one line and exits as `daftari verify` does", async () => {
  const chain = scriptedChain({ headSize: 11n, headRoot: treeRoot(logOf(redeemLeaf(), 11)) });
  const chainServer = await serveChain(chain);
  const site = await serveSite({
    "/verify/policy.txt": { body: `log ${vkey(LOG)}\nanchor 31337 ${chain.contract} 0x${"de".repeat(20)}\n` },
    "/verify/chain.json": { body: JSON.stringify({ rpc_url: chainServer.origin }) },
    "/receipts/7": { body: makeReceipt(), apiKey: "key" },
  });
  const folder = await mkdtemp(join(tmpdir(), "journey-"));
  try {
    const page = `${site.origin}/verify/`;
    const file = join(folder, "a.tlog-proof");
    await writeFile(file, makeReceipt());
    const valid = await journey(page, file);
    assert.deepEqual([valid.status, valid.outcome.verdict], [0, "valid"]);
    assert.deepEqual(valid.outcome.steps.map((step) => `${step.id} ${step.state}`), [
      "file passed", "log passed", "signature passed", "witnesses not_asked", "inclusion passed", "chain passed",
    ]);
    assert.deepEqual([(await journey(page, `${site.origin}/receipts/7`, "key")).status, (await journey(page, `${site.origin}/receipts/7`)).status], [0, 2]);
    await writeFile(file, makeReceipt().replace("index 5", "index 4"));
    const refused = await journey(page, file);
    assert.deepEqual([refused.status, refused.outcome.verdict, refused.outcome.code], [1, "refused", "not_included"]);
    assert.equal((await journey("http://127.0.0.1:1/verify/", file)).status, 2);
  } finally {
    await rm(folder, { recursive: true });
    await Promise.all([site.close(), chainServer.close()]);
  }
});
