import { contentsOf } from "./contents.js";
import { byId, el } from "./dom.js";
import { type FolderAnswer, isOfFolder, judgeFolder } from "./folder.js";
import { historiesOf, toldOf } from "./histories.js";
import { type Answer, answerOf, type Findings, judge, NOTHING, waitsForChain } from "./judge.js";
import { fetchReceipt, IS_ON_DISK, keepTrust, keptTrust, linkOrigin, NoReceipt, serversTrust, type Trust } from "./sources.js";
import { sentence, type Step, stepsOf, type StepState } from "./steps.js";
import { type GivenFile } from "./tar.js";
import { count } from "./words.js";

const receiptBox = byId("receipt", HTMLTextAreaElement);
const fileName = byId("file-name", HTMLParagraphElement);
const fileInput = byId("file", HTMLInputElement);
const linkDetails = byId("link-details", HTMLDetailsElement);
const linkBox = byId("link", HTMLInputElement);
const linkOriginBox = byId("link-origin", HTMLElement);
const apiKeyBox = byId("api-key", HTMLInputElement);
const policyBox = byId("policy", HTMLTextAreaElement);
const policyError = byId("policy-error", HTMLParagraphElement);
const policyNote = byId("policy-note", HTMLParagraphElement);
const policyReset = byId("policy-reset", HTMLButtonElement);
const rpcBox = byId("rpc", HTMLInputElement);
const verdictBox = byId("verdict", HTMLElement);
const stepList = byId("steps", HTMLOListElement);
const contents = byId("contents", HTMLElement);
const drop = byId("drop", HTMLDivElement);

const RECEIPT_PAUSE_MS = 50;
const TRUST_PAUSE_MS = 400;

const SERVERS_POLICY =
  "This one came from the server that serves this page, so believing it is believing that server. To check independently, " +
  "paste the policy that the operator published elsewhere, printed, or gave to your auditor.";
const OWN_POLICY = "This one is yours, and is kept in this browser.";
const NO_POLICY = `This ${IS_ON_DISK ? "file" : "server"} proposes none: paste the one that the operator published, printed, or gave to your auditor.`;

/** The bytes of a file or a link, as they came, or the files of a folder; null while the box is what is verified. */
let loaded: Uint8Array | readonly GivenFile[] | null = null;
let servers: Trust = { policy: "", rpcUrl: "" };
/** Counts the checks, so that the answer of an older one is dropped. */
let latestRun = 0;
let soon: number | undefined;

async function start(): Promise<void> {
  show(NOTHING);
  byId("own-copy", HTMLParagraphElement).hidden = IS_ON_DISK;
  showLinkOrigin();
  listen();
  servers = await serversTrust();
  const kept = keptTrust();
  policyBox.value = kept.policy ?? servers.policy;
  rpcBox.value = kept.rpcUrl ?? servers.rpcUrl;
  showWhoseTrust();
  document.documentElement.dataset["ready"] = "true";
  if (!(await followHash()) && hasReceipt()) await verifyNow();
}

function listen(): void {
  receiptBox.addEventListener("input", () => {
    loaded = null;
    fileName.hidden = true;
    verifySoon(RECEIPT_PAUSE_MS);
  });
  byId("verify", HTMLButtonElement).addEventListener("click", () => void verifyNow());
  fileInput.addEventListener("change", () => {
    void verifyFiles([...(fileInput.files ?? [])]);
    fileInput.value = "";
  });
  byId("link-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    // The key goes where the page says that it goes. A link that changed unseen is shown first, and takes a second press.
    if (showLinkOrigin()) void verifyLink(apiKeyBox.value.trim());
  });
  linkBox.addEventListener("input", showLinkOrigin);
  for (const box of [policyBox, rpcBox]) {
    box.addEventListener("input", () => {
      keepTrust(ownTrust(), servers);
      showWhoseTrust();
      verifySoon(TRUST_PAUSE_MS);
    });
  }
  policyReset.addEventListener("click", () => {
    policyBox.value = servers.policy;
    rpcBox.value = servers.rpcUrl;
    keepTrust(servers, servers);
    showWhoseTrust();
    policyBox.focus();
    if (hasReceipt()) void verifyNow();
  });
  window.addEventListener("hashchange", () => void followHash());
  listenForDrops();
}

function listenForDrops(): void {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.hidden = true;
    const files = [...(event.dataTransfer?.files ?? [])];
    const text = event.dataTransfer?.getData("text/plain") ?? "";
    if (files.length > 0) void verifyFiles(files);
    else if (text !== "") {
      loaded = null;
      receiptBox.value = text;
      void verifyNow();
    }
  });
}

/** Follows `#receipt=<url>`. Whoever opened this page may choose it at any time, so it takes no key along: not even half of one. */
async function followHash(): Promise<boolean> {
  const link = new URLSearchParams(location.hash.slice(1)).get("receipt");
  if (link === null || link === "") return false;
  linkBox.value = link;
  showLinkOrigin();
  linkDetails.open = true;
  apiKeyBox.value = "";
  apiKeyBox.blur();
  await verifyLink("");
  return true;
}

/** Shows whom the button asks, and answers whether that stood there already. */
function showLinkOrigin(): boolean {
  const origin = linkOrigin(linkBox.value.trim());
  const stood = linkOriginBox.textContent === origin;
  linkOriginBox.textContent = origin;
  return stood;
}

/** One receipt alone; or what several say together, or an archive. */
async function verifyFiles(files: readonly File[]): Promise<void> {
  const given = await Promise.all(files.map(async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })));
  const [first, ...others] = given;
  if (first === undefined) return;
  if (others.length === 0 && !isOfFolder(first)) return verifyLoaded(first.bytes, first.name);
  loaded = given;
  receiptBox.value = "";
  fileName.textContent = `From ${others.length === 0 ? first.name : count(given.length, "file", "files")}`;
  fileName.hidden = false;
  await verifyNow();
}

async function verifyLink(apiKey: string): Promise<void> {
  const run = beginRun();
  const link = linkBox.value.trim();
  show(NOTHING, { verdict: "checking" });
  try {
    const bytes = await fetchReceipt(link, apiKey);
    if (run === latestRun) await verifyLoaded(bytes, link);
  } catch (error) {
    if (!(error instanceof NoReceipt)) throw error;
    if (run === latestRun) show(NOTHING, { verdict: "could_not_check", reason: error.message });
  }
}

async function verifyLoaded(bytes: Uint8Array, name: string): Promise<void> {
  loaded = bytes;
  receiptBox.value = new TextDecoder().decode(bytes.subarray(0, 70_000));
  fileName.textContent = `From ${name}`;
  fileName.hidden = false;
  await verifyNow();
}

/** Waits for a pause: typing is many changes, and half an endpoint's address is an address of somebody else. */
function verifySoon(pauseMs: number): void {
  window.clearTimeout(soon);
  soon = window.setTimeout(() => void verifyNow(), pauseMs);
}

async function verifyNow(): Promise<void> {
  window.clearTimeout(soon);
  const run = beginRun();
  if (!hasReceipt()) return show(NOTHING);
  const began = performance.now();
  const isLatest = () => run === latestRun;
  if (loaded !== null && !(loaded instanceof Uint8Array)) {
    show(NOTHING, { verdict: "checking" });
    const { answer, policyError } = await judgeFolder(loaded, policyBox.value, rpcBox.value.trim());
    if (!isLatest()) return;
    showPolicyError(policyError);
    return showFolder(answer, performance.now() - began);
  }
  const question = { receipt: loaded ?? pasted(), policyText: policyBox.value, rpcUrl: rpcBox.value.trim() };
  const judged = await judge(question, (findings) => {
    if (isLatest()) show(findings);
  });
  if (!isLatest()) return;
  showPolicyError(judged.policyError);
  show(judged.findings, answerOf(judged.findings), performance.now() - began);
}

function beginRun(): number {
  latestRun += 1;
  return latestRun;
}

function hasReceipt(): boolean {
  return loaded !== null || receiptBox.value.trim() !== "";
}

/** What is in the box. Selecting text often leaves the last newline behind, so it is given back; nothing else is mended. */
function pasted(): string {
  return receiptBox.value.endsWith("\n") ? receiptBox.value : `${receiptBox.value}\n`;
}

function ownTrust(): Trust {
  return { policy: policyBox.value, rpcUrl: rpcBox.value };
}

function showWhoseTrust(): void {
  const own = policyBox.value !== servers.policy || rpcBox.value !== servers.rpcUrl;
  policyReset.hidden = !own || IS_ON_DISK;
  const whose = policyBox.value !== servers.policy ? OWN_POLICY : servers.policy === "" ? NO_POLICY : SERVERS_POLICY;
  policyNote.textContent = `The policy names the log's key and the contract. ${whose}`;
}

function showPolicyError(reason: string | null): void {
  policyError.hidden = reason === null;
  policyError.textContent = reason ?? "";
  policyBox.setAttribute("aria-invalid", String(reason !== null));
}

function show(findings: Findings, answer: Answer = answerOf(findings), tookMs: number | null = null): void {
  showVerdict(answer, wordsOf(answer, findings), tookMs);
  const { local, chain } = findings;
  const refusedByChain = chain.verdict === "refused";
  // Where one step fails, what the others would prove does not add up to anything.
  const adds = local?.verdict === "valid" && !refusedByChain && !waitsForChain(findings);
  stepList.replaceChildren(...stepsOf(findings).map((step) => stepElement(step, adds && step.state === "passed")));

  const proof = chain.verdict === "anchored" ? chain.proof : null;
  showContents("What the entry says", adds ? contentsOf(local.verified, proof) : []);
  if (tookMs !== null) bringIntoView();
}

/** What several receipts say together: there are no steps, since each has passed all of them, or one file is named that has not. */
function showFolder(answer: FolderAnswer, tookMs: number): void {
  showVerdict(answer, folderWordsOf(answer), tookMs);
  stepList.replaceChildren();
  showContents("What the accounts went through", answer.verdict === "valid" ? historiesOf(answer.histories) : []);
  bringIntoView();
}

function showVerdict(answer: Answer | FolderAnswer, [heading, says]: readonly [string, string], tookMs: number | null): void {
  verdictBox.dataset["verdict"] = answer.verdict;
  verdictBox.dataset["code"] = answer.verdict === "refused" ? answer.code : "";
  verdictBox.dataset["tookMs"] = tookMs === null ? "" : tookMs.toFixed(1);
  byId("verdict-heading", HTMLHeadingElement).textContent = heading;
  byId("verdict-says", HTMLParagraphElement).textContent = says;
  const timeBox = byId("verdict-time", HTMLParagraphElement);
  timeBox.hidden = tookMs === null;
  timeBox.textContent = tookMs === null ? "" : `Checked in this browser in ${Math.max(1, Math.round(tookMs))} ms.`;
}

function showContents(heading: string, parts: readonly HTMLElement[]): void {
  contents.hidden = parts.length === 0;
  byId("contents-heading", HTMLHeadingElement).textContent = heading;
  byId("contents-body", HTMLDivElement).replaceChildren(...parts);
}

/** On a narrow screen the verdict stands below the boxes. */
function bringIntoView(): void {
  const { top } = verdictBox.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight * 0.8) verdictBox.scrollIntoView({ block: "start" });
}

function wordsOf(answer: Answer, { chain }: Findings): readonly [string, string] {
  switch (answer.verdict) {
    case "none":
      return ["No receipt yet", "Six things are checked, in this order. Each says what it proves, and what it does not."];
    case "checking":
      return ["Checking…", ""];
    case "valid":
      return chain.verdict === "anchored"
        ? ["Valid", `The entry is recorded in ${answer.verified.origin}, and the contract on chain ${chain.proof.chainId} holds the same history.`]
        : ["Valid", `The entry is recorded in ${answer.verified.origin}, as the log's key and your policy say. The chain was not asked.`];
    case "not_anchored":
      if (chain.verdict === "not_anchored" && chain.reason === "passed_over") {
        return ["Valid, not anchored", `The entry is recorded in ${answer.verified.origin}. The contract passed over this checkpoint: fetch the receipt again, a newer one carries an anchored checkpoint.`];
      }
      return ["Valid, not anchored yet", `The entry is recorded in ${answer.verified.origin}. The chain does not hold this checkpoint yet: ask for the receipt again later.`];
    case "refused":
      return ["Refused", `${sentence(answer.reason)} Do not rely on this receipt.`];
    case "could_not_check":
      return ["Could not check", `${sentence(answer.reason)} This says nothing about the receipt, good or bad.`];
  }
}

function folderWordsOf(answer: FolderAnswer): readonly [string, string] {
  switch (answer.verdict) {
    case "valid": {
      const chain = answer.isAnchored ? "The contract holds the same history." : "The chain was not asked.";
      const unread = answer.unread.length === 0 ? "" : ` Not looked at: ${answer.unread.join(", ")}.`;
      return ["Valid", `${count(answer.receipts, "receipt", "receipts")}. ${answer.histories.map(toldOf).join(" ")} ${chain}${unread}`];
    }
    case "not_anchored":
      return ["Valid, not anchored yet", answer.reason];
    case "refused":
      return ["Refused", `${sentence(answer.reason)} Do not rely on these receipts.`];
    case "could_not_check":
      return ["Could not check", `${sentence(answer.reason)} This says nothing about the receipts, good or bad.`];
  }
}

const STATE_WORDS: Readonly<Record<StepState, string>> = {
  waiting: "Not checked",
  passed: "Holds",
  failed: "Fails",
  not_asked: "Not asked for",
  asking: "Asking",
  early: "Not yet",
  unknown: "Could not check",
};

function stepElement(step: Step, proves: boolean): HTMLElement {
  return el(
    "li",
    { class: "step", "data-step": step.id, "data-state": step.state },
    el("div", { class: "step-head" }, el("h3", {}, step.title), el("p", { class: "state" }, STATE_WORDS[step.state])),
    ...(step.found === "" ? [] : [el("p", { class: "found" }, step.found)]),
    el("p", { class: "meaning" }, el("b", {}, proves ? "Proves: " : "Would prove: "), step.proves),
    el("p", { class: "meaning" }, el("b", {}, proves ? "Does not prove: " : "Would not prove: "), step.doesNot),
  );
}

void start();
