// Times the verifier in Chromium: node measure.mjs <receipt file> <policy file> <how often>
//
// Prints one JSON line, {"median_ms", "p99_ms"}: each time is of one whole check, from the receipt's bytes to the verdict.
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { launchBrowser } from "./browser.mjs";

const [receiptFile, policyFile, count] = process.argv.slice(2);
const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("../sdk/src/index.ts", import.meta.url))],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const script = Buffer.from(outputFiles[0].contents);
// A page of this machine's own: browsers give their cryptography to such a place and to https alone.
const server = createServer((request, response) => {
  const isScript = request.url === "/sdk.js";
  response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
  response.end(isScript ? script : "<!doctype html><title>measure</title>");
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const browser = await launchBrowser();
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const given = { receipt: readFileSync(receiptFile, "utf8"), policy: readFileSync(policyFile, "utf8"), count: Number(count) };
  console.log(JSON.stringify(await page.evaluate(measure, given)));
} finally {
  await browser.close();
  server.close();
}

// Runs in the page.
async function measure({ receipt, policy, count }) {
  const { parsePolicy, verifyReceipt } = await import("/sdk.js");
  const parsed = await parsePolicy(policy);
  const times = [];
  for (let round = 0; round < count; round += 1) {
    const begun = performance.now();
    const verdict = await verifyReceipt(receipt, parsed);
    times.push(performance.now() - begun);
    if (verdict.verdict !== "valid") throw new Error(`${verdict.verdict}: ${verdict.reason}`);
  }
  times.sort((one, other) => one - other);
  return { median_ms: times[Math.floor(count / 2)], p99_ms: times[Math.floor((count - 1) * 0.99)] };
}
