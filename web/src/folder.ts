import { type History, type HistoryRefusal, type MapRefusal, type MapRow, type Verified, verifyHistory, verifyMapProof } from "@daftari/sdk";
import { type Answer, answerOf, judge, type Judged, readPolicy } from "./judge.js";
import { filesOfTar, type GivenFile } from "./tar.js";

const RECEIPT = ".tlog-proof";
const MAP = ".map-proof";
const ARCHIVE = ".tar";

/** What an account's receipts say together, as `daftari verify FOLDER` says it. */
export type FolderAnswer =
  | { readonly verdict: "valid"; readonly histories: readonly History[]; readonly receipts: number; readonly isAnchored: boolean; readonly unread: readonly string[] }
  | { readonly verdict: "refused"; readonly code: RefusalCode; readonly reason: string }
  | { readonly verdict: "not_anchored" | "could_not_check"; readonly reason: string };

type RefusalCode = Extract<Answer, { readonly verdict: "refused" }>["code"] | MapRefusal | HistoryRefusal | "malformed_archive";

/** The policy cannot be used, so nothing can be said about the receipts. */
export type FolderJudged = { readonly answer: FolderAnswer; readonly policyError: string | null };

/** Whether this file says something together with others, and not alone. */
export function isOfFolder({ name }: { readonly name: string }): boolean {
  return name.endsWith(MAP) || name.endsWith(ARCHIVE);
}

/** Checks each receipt and each map, and then all of them against each other. Files of other kinds are not looked at. */
export async function judgeFolder(given: readonly GivenFile[], policyText: string, rpcUrl: string): Promise<FolderJudged> {
  const policy = await readPolicy(policyText);
  if (typeof policy === "string") return { answer: { verdict: "could_not_check", reason: policy }, policyError: policy };
  const told = (answer: FolderAnswer): FolderJudged => ({ answer, policyError: null });
  const judged = (receipt: Uint8Array | string): Promise<Judged> => judge({ receipt, policyText, rpcUrl }, () => undefined);

  const files: GivenFile[] = [];
  for (const file of given) {
    const unpacked = file.name.endsWith(ARCHIVE) ? filesOfTar(file.bytes) : [file];
    if (unpacked === null) return told({ verdict: "refused", code: "malformed_archive", reason: `${file.name} is not a whole tar archive` });
    files.push(...unpacked);
  }
  const receipts: Verified[] = [];
  const maps: MapRow[] = [];
  const unread: string[] = [];
  let isAnchored = true;
  for (const { name, bytes } of files) {
    let receipt: Uint8Array | string = bytes;
    if (name.endsWith(MAP)) {
      // What a key signed before it retired counts if the contract holds it, which is asked next.
      const map = await verifyMapProof(bytes, { ...policy, vouched: true });
      if (map.verdict !== "valid") return told({ ...map, reason: `${name}: ${map.reason}` });
      maps.push(map.row);
      receipt = map.receipt;
    } else if (!name.endsWith(RECEIPT)) {
      unread.push(name);
      continue;
    }
    // A log could show one holder a map of a history that nobody else sees, so its receipt is held against the chain, too.
    const { findings } = await judged(receipt);
    const answer = answerOf(findings);
    if (answer.verdict !== "valid") return told(ofFile(name, answer));
    isAnchored &&= findings.chain.verdict === "anchored";
    if (name.endsWith(RECEIPT)) receipts.push(answer.verified);
  }
  const history = verifyHistory(receipts, maps);
  return told(history.verdict === "valid" ? { ...history, receipts: receipts.length, isAnchored, unread } : history);
}

/** One file's answer is that of all, by its name. */
function ofFile(name: string, answer: Answer): FolderAnswer {
  if (answer.verdict === "refused" || answer.verdict === "could_not_check") return { ...answer, reason: `${name}: ${answer.reason}` };
  return { verdict: "not_anchored", reason: `${name}: the chain does not hold this checkpoint. Ask for the receipt again later.` };
}
