// Drives the real page in Chromium: node journey.mjs <page URL> <receipt file or URL> [<API key>]
//
// Prints one JSON line, {"verdict", "code", "says", "took_ms", "steps": [{"id", "state", "found"}]}, and exits with 0 for
// valid, 1 for refused and 2 for everything else, as `daftari verify` does.
import { launchBrowser, WAIT_MS } from "./browser.mjs";

const EXIT = { valid: 0, refused: 1 };

const [pageUrl, receipt, apiKey = ""] = process.argv.slice(2);
if (pageUrl === undefined || receipt === undefined) {
  console.error("usage: node journey.mjs <page URL> <receipt file or URL> [<API key>]");
  process.exit(2);
}

let outcome;
try {
  outcome = await drive();
} catch (error) {
  outcome = { verdict: "could_not_check", code: "", says: `The page could not be driven: ${error.message}`, took_ms: null, steps: [] };
}
console.log(JSON.stringify(outcome));
process.exitCode = EXIT[outcome.verdict] ?? 2;

async function drive() {
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(WAIT_MS);
    await page.goto(pageUrl);
    await page.waitForSelector("html[data-ready=true]");
    if (/^https?:\/\//.test(receipt)) await giveLink(page);
    else await page.setInputFiles("#file", receipt);
    await page.waitForSelector('#verdict:not([data-verdict="none"]):not([data-verdict="checking"])');
    return await page.evaluate(read);
  } finally {
    await browser.close();
  }
}

async function giveLink(page) {
  await page.click("#link-details > summary");
  await page.fill("#link", receipt);
  await page.fill("#api-key", apiKey);
  await page.click("#link-form button");
}

// Runs in the page.
function read() {
  const { verdict, code, tookMs } = document.getElementById("verdict").dataset;
  const steps = [...document.querySelectorAll("[data-step]")].map((step) => ({
    id: step.dataset.step,
    state: step.dataset.state,
    found: step.querySelector(".found")?.textContent ?? "",
  }));
  const says = document.getElementById("verdict-says").textContent;
  return { verdict, code, says, took_ms: tookMs === "" ? null : Number(tookMs), steps };
}
