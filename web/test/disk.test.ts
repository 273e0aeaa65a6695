// The page as a file of the reader's own, opened from disk: nothing of ours runs, and the chain is asked only if its endpoint is given.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { type Browser, type Page } from "playwright-core";
import { launchBrowser, WAIT_MS } from "../browser.mjs";
import { scriptedChain } from "../../sdk/test/endpoint.js";
import { hash, makeHistory, POLICY } from "../../sdk/test/make.js";
import { serveChain } from "./site.js";

const MADE = makeHistory();
let browser: Browser;
let folder: string;
/** Where the account's receipts are kept, oldest first, and then its map proof. */
let kept: string[];

before(async () => {
  browser = await launchBrowser();
  folder = await mkdtemp(join(tmpdir(), "own-copy-"));
  await copyFile(new URL("../dist/daftari-verify.html", import.meta.url), join(folder, "kept.html"));
  const files = [...MADE.receipts.map((receipt, at) => [`00${at + 1}.tlog-proof`, receipt] as const), ["newest.map-proof", MADE.map] as const];
  await Promise.all(files.map(([name, text]) => writeFile(join(folder, name), text)));
  kept = files.map(([name]) => join(folder, name));
});

after(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
});

/** Opens the file in a fresh browser profile, and afterwards holds it to whom it may have asked. */
async function openFromDisk(endpoint: string, act: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext();
  context.setDefaultTimeout(WAIT_MS);
  try {
    const page = await context.newPage();
    const address = pathToFileURL(join(folder, "kept.html")).href;
    const [asked, faults]: [string[], string[]] = [[], []];
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) faults.push(message.text());
    });
    await page.goto(address);
    await page.waitForSelector("html[data-ready=true]");
    await act(page);
    assert.deepEqual(faults, []);
    assert.deepEqual(asked.filter((url) => url !== address && (endpoint === "" || !url.startsWith(endpoint))), []);
  } finally {
    await context.close();
  }
}

const expectVerdict = (page: Page, verdict: string, code = "") => page.waitForSelector(`#verdict[data-verdict="${verdict}"][data-code="${code}"]`);
const says = (page: Page) => page.innerText("#verdict-says");

test("the page opened from disk checks an account's history without any server", () =>
  openFromDisk("", async (page) => {
    assert.equal(await page.isVisible("#own-copy"), false);
    await page.setInputFiles("#file", kept);
    await expectVerdict(page, "could_not_check");
    assert.match(await says(page), /no policy yet/);
    await page.fill("#policy", POLICY);
    await expectVerdict(page, "valid");
    assert.match(await says(page), /^3 receipts\. Account 51515151-.* has every entry from 1 to 3, ends at 500 available, and nothing came after that up to leaf 6\. The chain was not asked\.$/);
    const rows = await page.$$eval("#contents tbody tr", (found) => found.map((row) => [...row.children].map((cell) => cell.textContent)));
    assert.deepEqual(rows.map((cells) => [cells[0], cells[2], cells[3], cells[4]]), [
      ["1", "earn", "+1,000", "1,000"], ["2", "redeem", "\u2212250", "750"], ["3", "redeem", "\u2212250", "500"],
    ]);

    const [first = "", second = "", third = "", map = ""] = kept;
    await page.setInputFiles("#file", [first, third, map]);
    await expectVerdict(page, "refused", "missing_entry");
    assert.equal(await page.isVisible("#contents"), false);
    await page.setInputFiles("#file", [first, second, map]);
    await expectVerdict(page, "refused", "behind_map");
    await page.setInputFiles("#file", [first, second]);
    await expectVerdict(page, "valid");
    assert.match(await says(page), /no map says whether something came after that/);
    await page.setInputFiles("#file", first);
    await page.waitForSelector('[data-step="inclusion"][data-state="passed"]');
  }));

test("an export is checked from its archive, and its own policy is not believed", () =>
  openFromDisk("", async (page) => {
    const archive = join(folder, "export.tar");
    await writeFile(join(folder, "policy.txt"), POLICY);
    execFileSync("tar", ["--format=ustar", "--owner=0", "--group=0", "--numeric-owner", "-cf", archive, "-C", folder, "policy.txt", ...kept.map((path) => path.slice(folder.length + 1))]);
    await page.setInputFiles("#file", archive);
    await expectVerdict(page, "could_not_check");
    await page.fill("#policy", POLICY);
    await expectVerdict(page, "valid");
    assert.match(await says(page), /every entry from 1 to 3.* Not looked at: policy\.txt\.$/);
    await page.setInputFiles("#file", { name: "half.tar", mimeType: "application/x-tar", buffer: Buffer.alloc(700, "x") });
    await expectVerdict(page, "refused", "malformed_archive");
  }));

test("a history from disk is held against the chain where an endpoint is given", async () => {
  const chain = scriptedChain({ headSize: BigInt(MADE.size), headRoot: MADE.root });
  const server = await serveChain(chain);
  try {
    await openFromDisk(server.origin, async (page) => {
      await page.fill("#policy", `${POLICY}anchor 31337 ${chain.contract} 0x${"de".repeat(20)}\n`);
      await page.fill("#rpc", server.origin);
      await page.setInputFiles("#file", kept);
      await expectVerdict(page, "valid");
      assert.match(await says(page), /The contract holds the same history\.$/);
      chain.headRoot = hash(1);
      await page.click("#verify");
      await expectVerdict(page, "refused", "anchor_disagrees");
      assert.match(await says(page), /001\.tlog-proof/);
    });
  } finally {
    await server.close();
  }
});
