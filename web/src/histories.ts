import { type History, type Link, postingKindName } from "@daftari/sdk";
import { el } from "./dom.js";
import { number, signed, time } from "./words.js";

/** What an account's receipts say together, in one sentence. */
export function toldOf({ accountId, links, completeTo }: History): string {
  const [first, last] = [links[0], links.at(-1)];
  if (first === undefined || last === undefined) return "";
  const end = completeTo === null
    ? "no map says whether something came after that"
    : `nothing came after that up to leaf ${number(completeTo)}`;
  const from = `every entry from ${number(first.entry.sequence)} to ${number(last.entry.sequence)}`;
  return `Account ${accountId} has ${from}, ends at ${number(last.entry.after.available)} available, and ${end}.`;
}

/** Each account's entries: the statement, as the receipts prove it. */
export function historiesOf(histories: readonly History[]): readonly HTMLElement[] {
  return histories.map(({ accountId, unit, links }) => {
    const names = ["Entry", "Recorded", "Kind", "Available", "After"];
    return el(
      "section",
      { class: "part" },
      el("h3", {}, `Account ${accountId}${unit === 1 ? "" : `, unit ${unit}`}`),
      el(
        "table",
        { class: "balances" },
        el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, ...links.map(rowOf)),
      ),
    );
  });
}

function rowOf({ entry, receipt: { header } }: Link): HTMLElement {
  const opened = header.state === "opened" ? header.value : null;
  const cells = [
    opened === null ? "closed" : time(opened.recordedAt),
    opened === null ? "closed" : postingKindName(opened.postingKind),
    signed(entry.change.available),
    number(entry.after.available),
  ];
  return el("tr", {}, el("th", { scope: "row" }, number(entry.sequence)), ...cells.map((cell) => el("td", {}, cell)));
}
