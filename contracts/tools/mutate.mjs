// Breaks one line at a time in a copy of the project and runs the tests on it: mutate.mjs [--json]
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/// File, what stands there (exactly once), and what a careless or a malicious hand would write instead.
const mutants = [
  ["Rfc9162.sol", "if (index >= size) return false;", "if (index > size) return false;"],
  ["Rfc9162.sol", "included := and(eq(node, add(proof.offset, shl(5, proof.length))), eq(hash, root))", "included := eq(hash, root)"],
  ["Rfc9162.sol", "let side := shl(5, and(position, 1))", "let side := 0"],
  ["Rfc9162.sol", "mstore8(input, 0)", "mstore8(input, 1)"],
  ["Rfc9162.sol", "if (newSize < oldSize) return false;", "if (newSize < oldSize) return true;"],
  ["Rfc9162.sol", "if (oldSize == 0) return proof.length == 0;", "if (oldSize == 0) return true;"],
  ["Rfc9162.sol", "return proof.length == 0 && oldRoot == newRoot;", "return oldRoot == newRoot;"],
  ["Rfc9162.sol", "and(eq(oldHash, oldRoot), eq(newHash, newRoot))", "eq(newHash, newRoot)"],
  ["Rfc9162.sol", "and(eq(oldHash, oldRoot), eq(newHash, newRoot))", "eq(oldHash, oldRoot)"],
  ["AuditLog.sol", "if (!tip.isOpenTo(msg.sender)) _refuseToAnchor(place, tip);", ""],
  ["AuditLog.sol", "require(oldSize < newSize, NotLonger(place, oldSize, newSize));", ""],
  ["AuditLog.sol", "require(newSize <= SIZE_MAX, SizeTooLarge(place, newSize));", ""],
  ["AuditLog.sol", "require(msg.sender != address(0), UnknownPlace(place));", ""],
  ["AuditLog.sol", "require(newRoot != 0, RootZero(place));", ""],
  ["AuditLog.sol", "if (_pins[place][size] != 0) return;", ""],
  ["AuditLog.sol", "require(_charters[place].admin == address(0), AlreadyRegistered(place));", ""],
  ["AuditLog.sol", "return keccak256(abi.encode(log, registrant));", "return keccak256(abi.encode(log));"],
  ["AuditLog.sol", "require(readyAt <= block.timestamp, TooEarly(place, readyAt));", ""],
  ["AuditLog.sol", "block.timestamp < readyAt + PROPOSAL_WINDOW,", "block.timestamp <= readyAt + PROPOSAL_WINDOW,"],
  ["AuditLog.sol", "require(terms.successor == 0, IsFrozen(place, terms.successor));", ""],
  ["AuditLog.sol", "require(msg.sender == proposed.holder, NotProposed(place, msg.sender));", ""],
  ["AuditLog.sol", "delete _proposals[place][role];\n        address from;", "address from;"],
  ["AuditLog.sol", "terms.standby = address(0);\n        emit", "emit"],
  ["AuditLog.sol", "_live(proposed.successor);", ""],
  ["AuditLog.sol", "require(read.log == log, OtherLog(log, read.log));", ""],
  ["AuditLog.sol", "require(read.leafIndex < size, IndexBeyondSize(read.leafIndex, size));", ""],
  ["Tip.sol", "return Tip.unwrap(tip) >> WRITER_AT == uint160(caller);", "return tip.writer() == caller;"],
  ["Tip.sol", "return make(tip.size(), writer_, tip.halted());", "return make(tip.size(), writer_, false);"],
  ["Leaf.sol", "require(encoded.length == LEAF_BYTES, LeafLength(encoded.length));", ""],
  ["Leaf.sol", "require(leaf.commitment == computed, CommitmentDiffers(leaf.commitment, computed));", ""],
  ["Leaf.sol", "require(committed == computed, PartDiffers(committed, computed));", ""],
  ["Parts.sol", "entry.previousLeafIndex < leafIndex, PreviousNotBefore", "entry.previousLeafIndex <= leafIndex, PreviousNotBefore"],
  ["Parts.sol", "first == 0xe0 ? 0xa0", "first == 0xe0 ? 0x80"],
];

const json = process.argv.includes("--json");
const say = (line) => json || console.log(line);

const copy = mkdtempSync(join(tmpdir(), "contracts-mutate-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
const project = join(copy, "contracts");
for (const part of ["src", "tests", "tools", "foundry.toml"]) cpSync(part, join(project, part), { recursive: true });
// A mutant may leave something unused.
const settings = join(project, "foundry.toml");
writeFileSync(settings, `${readFileSync(settings, "utf8")}lint_on_build = false\n`);
cpSync("../vectors", join(copy, "vectors"), { recursive: true });
symlinkSync(join(process.cwd(), "node_modules"), join(project, "node_modules"));

// Fewer runs than in contracts/test: what breaks is broken on nearly every path.
const env = { ...process.env, FOUNDRY_FUZZ_RUNS: "64", FOUNDRY_INVARIANT_RUNS: "4" };
const forge = (...args) => spawnSync("forge", args, { cwd: project, env, encoding: "utf8" });

const sound = forge("test");
if (sound.status !== 0) {
  console.error(sound.stdout, sound.stderr, "contracts/mutate: the tests fail on the unbroken contracts");
  process.exit(1);
}

const survivors = [];
for (const [file, from, to] of mutants) {
  const path = join(project, "src", file);
  const source = readFileSync(path, "utf8");
  // Line breaks are the formatter's: any white space stands for any other.
  const pattern = new RegExp(from.trim().split(/\s+/).map((it) => it.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+"), "g");
  if ([...source.matchAll(pattern)].length !== 1) throw new Error(`${file} does not have exactly one: ${from}`);
  writeFileSync(path, source.replace(pattern, () => to));
  // A mutant must compile: a test that cannot run does not fail.
  if (forge("build", "--skip", "test", "--deny", "never").status !== 0) throw new Error(`${file} does not compile without: ${from}`);
  const killed = forge("test", "--deny", "never", "--fail-fast").status !== 0;
  if (!killed) survivors.push([file, from, to]);
  say(`${killed ? "killed  " : "SURVIVED"}  ${file}: ${from.replace(/\s+/g, " ")}  →  ${to || "(nothing)"}`);
  writeFileSync(path, source);
}

console.log(json ? JSON.stringify({ mutants: mutants.length, survived: survivors.length }) : `mutants ${mutants.length}, survived ${survivors.length}`);
process.exit(survivors.length === 0 ? 0 : 1);
