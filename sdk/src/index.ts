export { type AnchorVerdict, type AnchorProof, checkAnchor, type Rpc } from "./anchor.js";
export { type Hex } from "./bytes.js";
export { type History, type HistoryRefusal, type HistoryVerdict, type Link, verifyHistory } from "./history.js";
export { type AnchorHint } from "./leaf.js";
export { type MapRefusal, type MapRow, type MapVerdict, verifyMapProof } from "./map.js";
export { type VerifierKey } from "./note.js";
export { type Balances, type Body, type Details, type Entry, type Header, type LeafKind, postingKindName } from "./parts.js";
export { type Anchor, type Group, parsePolicy, type Policy, PolicyError, type RetiredKey, type Witness } from "./policy.js";
export { type Part, type Refusal, REFUSALS, type Verdict, type Verified, verifyReceipt } from "./verify.js";
