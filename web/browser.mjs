// A headless Chromium whose binary comes inside a package, so that nothing is fetched.
import chromium from "@sparticuz/chromium";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium as driver } from "playwright-core";

/** How long is waited for a page, or for the browser itself: several start at once, on a machine that does much else. */
export const WAIT_MS = 90_000;
// The package proposes flags of its own, among them one that switches the same-origin rules off: what passes then proves nothing.
const FLAGS = ["--headless=shell", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];

export async function launchBrowser() {
  return driver.launch({ executablePath: await unpack(), args: FLAGS, headless: true, timeout: WAIT_MS });
}

/**
 * Unpacks the browser into this checkout, once for each version. The package itself would unpack into the machine's temporary
 * folder, under one name for every user and version, where two at once also see half of it.
 */
async function unpack() {
  const cache = fileURLToPath(new URL("../.cache/", import.meta.url));
  const folder = join(cache, `chromium-${packageVersion()}`);
  if (!existsSync(folder)) {
    await mkdir(cache, { recursive: true });
    const fresh = await mkdtemp(join(cache, "chromium-new-"));
    await unpackInto(fresh);
    // Whoever comes second finds the folder filled, and throws their own away.
    await rename(fresh, folder).catch(() => rm(fresh, { recursive: true, force: true }));
  }
  return join(folder, "chromium");
}

async function unpackInto(folder) {
  const { TMPDIR } = process.env;
  process.env.TMPDIR = folder;
  try {
    await chromium.executablePath();
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
}

function packageVersion() {
  const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
  const root = entry.slice(0, entry.lastIndexOf(join("@sparticuz", "chromium")) + "@sparticuz/chromium".length);
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}
