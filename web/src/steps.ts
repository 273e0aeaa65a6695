import { type AnchorProof, type Refusal, type Verified } from "@daftari/sdk";
import { type Findings, waitsForChain } from "./judge.js";
import { count, number, second, short } from "./words.js";

export type StepState = "waiting" | "passed" | "failed" | "not_asked" | "asking" | "early" | "unknown";

/** One step of the check, in plain words. */
export interface Step {
  readonly id: "file" | "log" | "signature" | "witnesses" | "inclusion" | "chain";
  readonly title: string;
  readonly state: StepState;
  /** What was found, of this very receipt. */
  readonly found: string;
  readonly proves: string;
  readonly doesNot: string;
}

type LocalStep = Exclude<Step["id"], "chain">;

/** The steps before the chain's, in the order of the refusals that belong to them. */
const LOCAL_STEPS: readonly LocalStep[] = ["file", "log", "signature", "witnesses", "inclusion"];

const STEP_OF: Readonly<Record<Refusal, LocalStep>> = {
  too_long: "file",
  malformed_receipt: "file",
  malformed_extra: "file",
  malformed_part: "file",
  malformed_checkpoint: "file",
  unknown_log: "log",
  wrong_log: "log",
  unsigned: "signature",
  bad_signature: "signature",
  retired_key: "signature",
  quorum_missing: "witnesses",
  index_beyond_size: "inclusion",
  not_included: "inclusion",
};

const MEANING: Readonly<Record<Step["id"], Pick<Step, "title" | "proves" | "doesNot">>> = {
  file: {
    title: "The file is a receipt",
    proves: "It can be read in one way only, and nothing is left over.",
    doesNot: "That what it says is true.",
  },
  log: {
    title: "It belongs to a log that you trust",
    proves: "The entry was written for the log whose first key your policy names, and for no other.",
    doesNot: "That your policy names the right key.",
  },
  signature: {
    title: "The log signed this checkpoint",
    proves: "The holder of the log's key stands by this list of entries, and cannot deny it later.",
    doesNot: "That everyone was shown the same list. That is what witnesses and the chain are for.",
  },
  witnesses: {
    title: "Independent witnesses saw the same list",
    proves: "Others, with keys of their own, saw a list that only ever grew.",
    doesNot: "That the entries are correct: witnesses do not read them.",
  },
  inclusion: {
    title: "The entry stands in that list",
    proves: "Exactly these contents stand at this position. One digit changed would give another root.",
    doesNot: "That this is the account's last entry: later ones may exist.",
  },
  chain: {
    title: "The contract on the chain holds the same list",
    proves: "The history can no longer be replaced: the contract takes only lists that extend the last one, and checks that itself.",
    doesNot: "That the endpoint you asked shows the real chain. Your own node does.",
  },
};

export function stepsOf(findings: Findings): readonly Step[] {
  return [...LOCAL_STEPS.map((id) => localStep(id, findings)), chainStep(findings)];
}

function localStep(id: LocalStep, findings: Findings): Step {
  const { local, policy, chain } = findings;
  const step = (state: StepState, found: string): Step => ({ id, ...MEANING[id], state, found });
  if (local === null) return step("waiting", "");
  switch (local.verdict) {
    case "valid":
      if (id === "signature" && waitsForChain(findings)) {
        return step(chain.verdict === "could_not_check" ? "unknown" : "asking", "Only a key that has retired signed it, which counts where the contract holds the same list.");
      }
      if (id === "witnesses" && policy?.quorum === null && local.verified.cosignatures.length === 0) {
        return step("not_asked", "Your policy asks for no witnesses.");
      }
      return step("passed", foundLocally(id, local.verified));
    case "refused": {
      const failed = LOCAL_STEPS.indexOf(STEP_OF[local.code]);
      const at = LOCAL_STEPS.indexOf(id);
      if (at === failed) return step("failed", `${sentence(local.reason)} (${local.code})`);
      if (at > failed) return step("waiting", "");
      return id === "witnesses" && policy?.quorum === null ? step("not_asked", "Your policy asks for no witnesses.") : step("passed", "");
    }
    case "could_not_check":
      return step(id === "file" ? "unknown" : "waiting", id === "file" ? local.reason : "");
  }
}

function foundLocally(id: LocalStep, verified: Verified): string {
  switch (id) {
    case "file":
      return "A Daftari receipt, version 1.";
    case "log":
      return `${verified.origin}, log id ${short(verified.logId)}.`;
    case "signature":
      return `${count(verified.logSignatures, "key", "keys")} of your policy signed a list of ${count(verified.size, "entry", "entries")}.`;
    case "witnesses":
      return `${verified.cosignatures.map(({ witness, time }) => `${witness}, ${second(time)}`).join("; ")}.`;
    case "inclusion":
      return `Entry ${number(verified.leafIndex)} (counted from 0) leads to the signed root over ${count(verified.path.length, "hash", "hashes")}.`;
  }
}

function chainStep({ chain }: Findings): Step {
  const step = (state: StepState, found: string): Step => ({ id: "chain", ...MEANING.chain, state, found });
  switch (chain.verdict) {
    case "waiting":
      return step("waiting", "");
    case "asking":
      return step("asking", "Asking the chain…");
    case "not_asked":
      return step("not_asked", chain.reason);
    case "anchored":
      return step("passed", foundOnChain(chain.proof));
    case "not_anchored":
      if (chain.reason === "passed_over") {
        return step("early", `The contract ${short(chain.contract)} passed over this size; it has come to ${number(chain.headSize)}. Fetch the receipt again.`);
      }
      return step("early", `The contract ${short(chain.contract)} has nothing at this size yet; it has come to ${number(chain.headSize)}. Ask again later.`);
    case "refused":
      return step("failed", `${sentence(chain.reason)} (${chain.code})`);
    case "could_not_check":
      return step("unknown", chain.reason);
  }
}

function foundOnChain(proof: AnchorProof): string {
  const known = {
    head: "has this very size and root as its newest",
    pin: "keeps this very size and root for good",
    event: "recorded this very size and root",
  }[proof.shownBy];
  const parts = [`The contract ${short(proof.contract)} on chain ${proof.chainId} ${known}.`];
  if (proof.contractConfirmsLeaf) parts.push("It checked the entry's place itself, too.");
  if (proof.mined !== null) {
    const { block, transaction, depthBlocks } = proof.mined;
    const finality = depthBlocks === null ? "final" : `${count(depthBlocks, "block", "blocks")} deep, not final yet`;
    parts.push(`Block ${number(block)}, ${finality}; transaction ${short(transaction)}.`);
  }
  if (proof.halted) parts.push("The log has since been frozen there; what was anchored stays.");
  return parts.join(" ");
}

/** A reason as a sentence of its own. */
export function sentence(reason: string): string {
  const whole = reason.charAt(0).toUpperCase() + reason.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
