import { type AnchorVerdict, checkAnchor, parsePolicy, type Policy, PolicyError, type Refusal, type Verdict, type Verified, verifyReceipt } from "@daftari/sdk";

/** The page's one answer. The chain's silence is no refusal, and a receipt that is not anchored yet is only early. */
export type Answer =
  | { readonly verdict: "none" | "checking" }
  | { readonly verdict: "valid" | "not_anchored"; readonly verified: Verified }
  | { readonly verdict: "refused"; readonly code: Refusal | "anchor_disagrees"; readonly reason: string }
  | { readonly verdict: "could_not_check"; readonly reason: string };

/** All that is known about a receipt so far. The steps and the answer are read from it. */
export interface Findings {
  readonly policy: Policy | null;
  readonly local: Verdict | null;
  readonly chain: ChainFinding;
}

export type ChainFinding = { readonly verdict: "waiting" | "asking" } | { readonly verdict: "not_asked"; readonly reason: string } | AnchorVerdict;

export const NOTHING: Findings = { policy: null, local: null, chain: { verdict: "waiting" } };

export interface Question {
  readonly receipt: Uint8Array | string;
  readonly policyText: string;
  readonly rpcUrl: string;
}

/** The policy cannot be used, so nothing can be said about the receipt. */
export type Judged = { readonly findings: Findings; readonly policyError: string | null };

/** Checks the receipt here and then asks the chain, telling after each what is known. */
export async function judge(question: Question, tell: (findings: Findings) => void): Promise<Judged> {
  const policy = await readPolicy(question.policyText);
  if (typeof policy === "string") {
    return { findings: { ...NOTHING, local: { verdict: "could_not_check", reason: policy } }, policyError: policy };
  }
  const alone = await verifyReceipt(question.receipt, policy);
  const reason = reasonNotToAsk(policy, question.rpcUrl);
  // A key that has retired signed what the contract holds: until that is asked, the refusal waits.
  const waits = alone.verdict === "refused" && alone.code === "retired_key" && reason === null;
  const judgedBy = waits ? { ...policy, vouched: true } : policy;
  const local = waits ? await verifyReceipt(question.receipt, judgedBy) : alone;
  const findings: Findings = { policy: judgedBy, local, chain: { verdict: "waiting" } };
  if (local.verdict !== "valid") return { findings, policyError: null };
  if (reason !== null) return { findings: { ...findings, chain: { verdict: "not_asked", reason } }, policyError: null };
  tell({ ...findings, chain: { verdict: "asking" } });
  const chain = await checkAnchor(local.verified, policy, question.rpcUrl);
  const isRefused = waits && (chain.verdict === "not_anchored" || chain.verdict === "refused");
  return { findings: { ...findings, local: isRefused ? alone : local, chain }, policyError: null };
}

/** The policy, or why it cannot be used. */
export async function readPolicy(text: string): Promise<Policy | string> {
  if (text.trim() === "") return "There is no policy yet: paste one under “What you trust”.";
  try {
    return await parsePolicy(text);
  } catch (error) {
    if (error instanceof PolicyError) return error.message;
    throw error;
  }
}

function reasonNotToAsk(policy: Policy, rpcUrl: string): string | null {
  if (policy.anchors.length === 0) return "Your policy names no contract, so the chain was not asked.";
  if (rpcUrl === "") return "No chain endpoint is given, so the chain was not asked.";
  return null;
}

/** Whether the log's signature counts only if the contract holds the checkpoint, and nobody has said yet that it does. */
export function waitsForChain({ policy, chain }: Findings): boolean {
  return policy?.vouched === true && chain.verdict !== "anchored";
}

export function answerOf({ local, chain }: Findings): Answer {
  if (local === null) return { verdict: "none" };
  if (local.verdict !== "valid") return local;
  switch (chain.verdict) {
    case "waiting":
    case "asking":
      return { verdict: "checking" };
    case "not_asked":
    case "anchored":
      return { verdict: "valid", verified: local.verified };
    case "not_anchored":
      return { verdict: "not_anchored", verified: local.verified };
    case "refused":
    case "could_not_check":
      return chain;
  }
}
