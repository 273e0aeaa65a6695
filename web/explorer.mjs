// Drives the page of paths in Chromium, without any other host: node explorer.mjs <page URL> <API key> <member>
//
// Looks at both descriptions, and redeems 40 of the member's points by the form of the partner contract. Prints one JSON line,
// {"apis", "contract", "answer", "elsewhere", "faults"}: the paths that either description shows, what the form was answered, the
// requests to other hosts, all of which are refused, and what went wrong in the page.
import { launchBrowser, WAIT_MS } from "./browser.mjs";

const [pageUrl, apiKey, member] = process.argv.slice(2);
if (member === undefined) {
  console.error("usage: node explorer.mjs <page URL> <API key> <member>");
  process.exit(2);
}

const browser = await launchBrowser();
try {
  console.log(JSON.stringify(await drive()));
} finally {
  await browser.close();
}

async function drive() {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const { origin } = new URL(pageUrl);
  const elsewhere = [];
  const faults = [];
  await page.route("**/*", (route) => {
    const url = route.request().url();
    if (new URL(url).origin === origin) return route.continue();
    elsewhere.push(url);
    return route.abort();
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) faults.push(message.text());
  });
  await page.goto(pageUrl);
  const apis = await paths(page, "Daftari");
  await page.selectOption("#document", { value: "../loyalty/v1/openapi.json" });
  const contract = await paths(page, "M-PESA");
  return { apis, contract, answer: await redeem(page), elsewhere, faults };
}

/** The methods and paths of the description whose title begins so, once it is shown. */
async function paths(page, title) {
  await page.locator("#paths > p", { hasText: new RegExp(`^${title}.*: \\d+ paths\\.$`) }).waitFor();
  const read = (all) => all.map((it) => `${it.querySelector("b").textContent} ${it.querySelector("code").textContent}`);
  return page.locator("#paths > details > summary").evaluateAll(read);
}

async function redeem(page) {
  await page.fill("#key", apiKey);
  const path = page.locator("summary code", { hasText: /^\/partner\/users\/\{userId\}\/redeem$/ });
  const details = page.locator("#paths > details").filter({ has: path });
  await details.locator("summary").click();
  await details.locator("label").filter({ hasText: /^userId/ }).locator("input").fill(member);
  await details.locator("textarea").fill(JSON.stringify({ points: 40, merchant_reference: "explorer" }));
  await details.locator("button").click();
  return details.locator("pre", { hasText: /\S/ }).textContent();
}
