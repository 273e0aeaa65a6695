import { type AnchorProof, type Balances, type Body, type Entry, type Part, postingKindName, type Verified } from "@daftari/sdk";
import { el } from "./dom.js";
import { day, number, second, signed, time } from "./words.js";

/** What the verified leaf says, part by part; closed parts are named as closed. */
export function contentsOf(verified: Verified, anchor: AnchorProof | null): readonly HTMLElement[] {
  return [headerOf(verified), ...verified.entries.map(entryOf), ...bodyOf(verified), ...bytesOf(verified, anchor)];
}

type Rows = readonly (readonly [string, string | null])[];

function headerOf({ kind, leafIndex, header, details }: Verified): HTMLElement {
  const rows: (readonly [string, string | null])[] = [["Kind of leaf", kind], ["Position in the log", number(leafIndex)]];
  if (header.state === "opened") {
    const { value } = header;
    rows.push(
      ["Kind of posting", value.postingKind === 0 ? null : postingKindName(value.postingKind)],
      ["Recorded", time(value.recordedAt)],
      ["Effective", value.effectiveAt === value.recordedAt ? null : time(value.effectiveAt)],
      ["Transaction id", value.postingKind === 0 ? null : value.postingId],
      ["Reverses", value.reverses],
      ["Program", value.program],
      ["Rule set hash", value.ruleSetHash],
      ["Event hash (salted)", value.eventHash],
    );
  } else {
    rows.push(["Header", closed(header)]);
  }
  if (details.state === "opened") {
    const { value } = details;
    rows.push(
      ["Merchant reference", value.merchantReference],
      ["Asked for by", value.actor],
      ["Reason", value.reason],
      ["Description", value.description],
      ["Rate", value.rate],
    );
  } else {
    rows.push(["Details", closed(details)]);
  }
  return table("The posting", rows);
}

function entryOf(entry: Part<Entry>, at: number): HTMLElement {
  const title = `Entry ${at + 1}`;
  if (entry.state === "closed") {
    return el("section", { class: "part closed" }, el("h3", {}, title), el("p", { class: "note" }, "Closed: this receipt does not open it, and nothing of it shows."));
  }
  const { value } = entry;
  const unit = value.unit === 1 ? "Points" : `Unit ${value.unit}`;
  return el(
    "section",
    { class: "part" },
    el("h3", {}, title),
    balances(unit, value.change, value.after),
    list([
      ["Account", value.accountId],
      ["Entry of the account", `number ${number(value.sequence)}`],
      ["The one before", value.previous === null ? "none, this is the first" : `at position ${number(value.previous.leafIndex)}`],
    ]),
  );
}

function balances(unit: string, change: Balances, after: Balances): HTMLElement {
  const head = el("tr", {}, el("th", { scope: "col" }, unit), el("th", { scope: "col" }, "Change"), el("th", { scope: "col" }, "After"));
  const row = (name: string, key: keyof Balances) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, signed(change[key])), el("td", {}, number(after[key])));
  return el(
    "table",
    { class: "balances" },
    el("thead", {}, head),
    el("tbody", {}, row("Available", "available"), row("Held", "held"), row("Pending", "pending")),
  );
}

function bodyOf({ body }: Verified): readonly HTMLElement[] {
  if (body === null) return [];
  return [table("The body", body.state === "closed" ? [["Body", closed(body)]] : bodyRows(body.value))];
}

function bodyRows(body: Body): Rows {
  switch (body.kind) {
    case "withdrawal":
      return [
        ["Chain", String(body.chainId)],
        ["Gateway", body.gateway],
        ["Holder", body.holder],
        ["Withdrawal id", body.withdrawalId],
        ["Claim before", second(body.claimBefore)],
        ...body.amounts.map(({ expiryDay, amount }) => [`Expiring ${day(expiryDay)}`, number(amount)] as const),
      ];
    case "map":
      return [["Log size", number(body.logSize)], ["Accounts", number(body.accounts)], ["Map root", body.mapRoot]];
    case "key":
      return [["Action", body.action], ["Signature type", String(body.signatureType)], ["Public key", body.publicKey]];
    case "incident":
      return [["First leaf", number(body.firstLeafIndex)], ["Leaves", number(body.leaves)], ["Reason", body.reason]];
    case "orphan":
      return [["The lost leaf", body.leaf]];
    case "succession":
      return [["Old log id", body.oldLogId], ["Old size", number(body.oldSize)], ["Old root", body.oldRoot]];
  }
}

function bytesOf(verified: Verified, anchor: AnchorProof | null): readonly HTMLElement[] {
  const rows: (readonly [string, string | null])[] = [
    ["Log id", verified.logId],
    ["Leaf, 74 bytes", verified.leaf],
    ["Leaf hash", verified.leafHash],
    ["Checkpoint size", String(verified.size)],
    ["Checkpoint root", verified.root],
  ];
  if (anchor !== null) {
    const { place, contract, registrant, mined } = anchor;
    rows.push(["Contract", contract], ["Registrant", registrant], ["Place in the contract", place], ["Transaction", mined?.transaction ?? null]);
  }
  rows.push(["Inclusion path", verified.path.length === 0 ? "empty" : `[${verified.path.join(",")}]`]);
  return [
    el(
      "details",
      { class: "part" },
      el("summary", {}, "The bytes, to check elsewhere"),
      el("p", { class: "note" }, "In a block explorer, the contract's read function “includes” takes the log id, the registrant, the size, the leaf and the path, and answers for itself."),
      list(rows),
    ),
  ];
}

function table(title: string, rows: Rows): HTMLElement {
  return el("section", { class: "part" }, el("h3", {}, title), list(rows));
}

function list(rows: Rows): HTMLElement {
  return el("dl", {}, ...rows.flatMap(([name, value]) => (value === null ? [] : [el("div", {}, el("dt", {}, name), el("dd", {}, value))])));
}

function closed(part: { readonly commitment: string }): string {
  return `closed; commitment ${part.commitment}`;
}
