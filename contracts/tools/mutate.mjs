// Breaks one line at a time in a copy of the project and runs the tests on it: mutate.mjs [--json] [file…]
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/// File, what stands there (exactly once), and what a careless or a malicious hand would write instead.
const mutants = [
  ["Rfc9162.sol", "if (index >= size) return false;", "if (index > size) return false;"],
  ["Rfc9162.sol", "and(eq(node, add(proof.offset, shl(5, proof.length))), eq(mload(0x60), root))", "eq(mload(0x60), root)"],
  ["Rfc9162.sol", "let own := or(0x40, and(position, 0x20))", "let own := 0x40"],
  ["Rfc9162.sol", "mstore(0x60, 0)", ""],
  ["Rfc9162.sol", "mstore(0x60, mload(own))", ""],
  ["Rfc9162.sol", "mstore(left, mload(right))", ""],
  ["Rfc9162.sol", "mstore8(input, 0)", "mstore8(input, 1)"],
  ["Rfc9162.sol", "if (newSize < oldSize) return false;", "if (newSize < oldSize) return true;"],
  ["Rfc9162.sol", "if (oldSize == 0) return proof.length == 0;", "if (oldSize == 0) return true;"],
  ["Rfc9162.sol", "return proof.length == 0 && oldRoot == newRoot;", "return oldRoot == newRoot;"],
  ["Rfc9162.sol", "and(eq(mload(0x40), oldRoot), eq(mload(right), newRoot))", "eq(mload(right), newRoot)"],
  ["Rfc9162.sol", "and(eq(mload(0x40), oldRoot), eq(mload(right), newRoot))", "eq(mload(0x40), oldRoot)"],
  ["AuditLog.sol", "if (!tip.isOpenTo(msg.sender)) _refuseToAnchor(place, tip);", ""],
  ["AuditLog.sol", "require(oldSize < newSize, NotLonger(place, oldSize, newSize));", ""],
  ["AuditLog.sol", "require(newSize <= SIZE_MAX, SizeTooLarge(place, newSize));", ""],
  ["AuditLog.sol", "require(msg.sender != address(0), UnknownPlace(place));", ""],
  ["AuditLog.sol", "require(newRoot != 0, RootZero(place));", ""],
  ["AuditLog.sol", "if (_pins[place][size] != 0) return;", ""],
  ["AuditLog.sol", "require(_charters[place].admin == address(0), AlreadyRegistered(place));", ""],
  ["AuditLog.sol", "place := keccak256(0x00, 0x40)", "place := keccak256(0x00, 0x20)"],
  ["AuditLog.sol", "if (root != 0) return root;", "return root;"],
  ["AuditLog.sol", "require(readyAt <= block.timestamp, TooEarly(place, readyAt));", ""],
  ["AuditLog.sol", "block.timestamp < readyAt + PROPOSAL_WINDOW,", "block.timestamp <= readyAt + PROPOSAL_WINDOW,"],
  ["AuditLog.sol", "require(terms.successor == 0, IsFrozen(place, terms.successor));", ""],
  ["AuditLog.sol", "require(msg.sender == proposed.holder, NotProposed(place, msg.sender));", ""],
  ["AuditLog.sol", "delete _proposals[place][role];\n        address from;", "address from;"],
  ["AuditLog.sol", "terms.standby = address(0);\n        emit", "emit"],
  ["AuditLog.sol", "_live(proposed.successor);", ""],
  ["AuditLog.sol", "require(named == log, OtherLog(log, named));", ""],
  ["AuditLog.sol", "require(leafIndex < size, IndexBeyondSize(leafIndex, size));", ""],
  ["Tip.sol", "return Tip.unwrap(tip) >> WRITER_AT == uint160(caller);", "return tip.writer() == caller;"],
  ["Tip.sol", "return make(tip.size(), writer_, tip.halted());", "return make(tip.size(), writer_, false);"],
  ["Leaf.sol", "require(encoded.length == LEAF_BYTES, LeafLength(encoded.length));", ""],
  ["Leaf.sol", "bytes32 computed = commitment(parts); require(committed == computed, CommitmentDiffers(committed, computed));", ""],
  ["Leaf.sol", "require(committed == computed, PartDiffers(committed, computed));", ""],
  ["Parts.sol", "entry.previousLeafIndex < leafIndex, PreviousNotBefore", "entry.previousLeafIndex <= leafIndex, PreviousNotBefore"],
  ["Parts.sol", "first == 0xe0 ? 0xa0", "first == 0xe0 ? 0x80"],
  ["PointsGateway.sol", "require(place_ == place, OtherPlace(place, place_));", ""],
  ["PointsGateway.sol", "require(!halted, LogHalted(place_));", ""],
  ["PointsGateway.sol", "require(_maturesAt[head] == 0, AlreadySettled(log, size, root));", ""],
  ["PointsGateway.sol", "require(msg.sender == guardian, NotGuardian(msg.sender));", ""],
  ["PointsGateway.sol", "require(block.timestamp < time, AlreadyMature(time));", "require(block.timestamp <= time, AlreadyMature(time));"],
  ["PointsGateway.sol", "_maturesAt[head] = CANCELLED;", "_maturesAt[head] = 0;"],
  ["PointsGateway.sol", "require(time <= block.timestamp, NotMature(time));", ""],
  ["PointsGateway.sol", "require(time != 0 && time != CANCELLED,", "require(time != 0,"],
  ["PointsGateway.sol", "require(it.chainId == block.chainid && it.gateway == address(this),", "require(it.gateway == address(this),"],
  ["PointsGateway.sol", "require(it.chainId == block.chainid && it.gateway == address(this),", "require(it.chainId == block.chainid,"],
  ["PointsGateway.sol", "require(block.timestamp < it.claimBefore,", "require(block.timestamp <= it.claimBefore,"],
  ["PointsGateway.sol", "require(!claimed[it.id], AlreadyClaimed(it.id));", ""],
  ["PointsGateway.sol", "claimed[it.id] = true;", "claimed[claim_.salt] = true;"],
  ["PointsGateway.sol", "require(minted.length != 0, AllLapsed(it.id));", ""],
  ["PointsGateway.sol", "LeafFormat.requireOpens(claim_.parts.body, LeafFormat.T_BODY, claim_.salt, claim_.body);", ""],
  ["PointsGateway.sol", "bytes3(0x000102)", "bytes3(0x000101)"],
  ["PointsGateway.sol", "require(Rfc9162.includes(size, root, claim_.leafIndex, hash, claim_.proof), NotIncluded(claim_.leafIndex));", "Rfc9162.includes(size, root, claim_.leafIndex, hash, claim_.proof);"],
  ["PointsGateway.sol", "else lapsed += lot.amount;", ""],
  ["PointsGateway.sol", "(int256(day) + 1) * 1 days - zone", "(int256(day) + 1) * 1 days + zone"],
  ["PointsGateway.sol", "IAccessControl(address(points)).hasRole(UPGRADE_ROLE, msg.sender)", "true"],
  ["PointsGateway.sol", "require(burnMin <= amount, BelowMinimum(amount, burnMin));", ""],
  ["PointsGateway.sol", "require(creditTo != 0, NoCredit());", ""],
  ["PointsGateway.sol", "points.burnFrom(msg.sender, amount)", "points.burnFrom(msg.sender, amount - 1)"],
  ["PointsGateway.sol", "keccak256(abi.encode(log, size, root))", "keccak256(abi.encode(size, root))"],
  ["PointsDeployment.sol", "TIMELOCK_DELAY_MIN <= terms.timelockDelay", "TIMELOCK_DELAY_MIN < terms.timelockDelay"],
  ["PointsDeployment.sol", "new TimelockController(terms.timelockDelay, terms.proposers, terms.executors, address(0))", "new TimelockController(terms.timelockDelay, terms.proposers, terms.executors, msg.sender)"],
  ["PointsDeployment.sol", "terms.token.upgrader = address(timelock);", "terms.token.upgrader = msg.sender;"],
  ["LoyaltyPoints.sol", "_disableInitializers();", ""],
  ["LoyaltyPoints.sol", "external initializer {", "external {"],
  ["LoyaltyPoints.sol", "function mint(address to, uint256 epoch, uint256 amount) external onlyRole(MINT_ROLE) {", "function mint(address to, uint256 epoch, uint256 amount) external {"],
  ["LoyaltyPoints.sol", "function pause() external onlyRole(PAUSE_ROLE) {", "function pause() external {"],
  ["LoyaltyPoints.sol", "function setMintMax(uint64 mintMax) external onlyRole(UPGRADE_ROLE) {", "function setMintMax(uint64 mintMax) external {"],
  ["LoyaltyPoints.sol", "function _authorizeUpgrade(address) internal override onlyRole(UPGRADE_ROLE) { }", "function _authorizeUpgrade(address) internal override { }"],
  ["LoyaltyPoints.sol", "require(role == MINT_ROLE || !hasRole(MINT_ROLE, account), RolesApart(account));", ""],
  ["LoyaltyPoints.sol", "if (endsBy < terms.expiresAt(first)) return (false, 0);", "if (endsBy <= terms.expiresAt(first)) return (false, 0);"],
  ["LoyaltyPoints.sol", "/ terms.epochLength() - terms.validity();", "/ terms.epochLength() - terms.validity() + 1;"],
  ["LoyaltyPoints.sol", "if (current < epoch) epoch = current;", ""],
  ["LoyaltyPoints.sol", "if (epoch < first || current < epoch) return (Refusal.Epoch, terms);", "if (epoch < first) return (Refusal.Epoch, terms);"],
  ["LoyaltyPoints.sol", "if (terms.mintMax() < minted || terms.mintMax() - minted < amount)", "if (terms.mintMax() < amount)"],
  ["LoyaltyPoints.sol", "if (Lanes.LANE_MAX - Lanes.amountAt(word, epoch) < amount) return false;", ""],
  ["LoyaltyPoints.sol", "require(!batches[key], BatchUsed(msg.sender, batch));", ""],
  ["LoyaltyPoints.sol", "function burnFrom(address from, uint256 amount) external returns (EpochAmount[] memory amounts) {\n        _spendAllowance(from, msg.sender, amount);", "function burnFrom(address from, uint256 amount) external returns (EpochAmount[] memory amounts) {"],
  ["LoyaltyPoints.sol", "if (!own) _spendAllowance(item.from, msg.sender, item.amount);", ""],
  ["LoyaltyPoints.sol", "item.from == address(0) || (!own && allowance(item.from, msg.sender) < item.amount)", "!own && allowance(item.from, msg.sender) < item.amount"],
  ["LoyaltyPoints.sol", "require(first <= epoch, ERC7818TransferredExpiredToken(from, epoch));", ""],
  ["LoyaltyPoints.sol", "require(value <= balance, ERC20InsufficientBalance(from, balance, value));", ""],
  ["LoyaltyPoints.sol", "(uint256 first, uint256 current) = _running().window();\n        mapping", "(uint256 first, uint256 current) = _storage().terms.window();\n        mapping"],
  ["LoyaltyPoints.sol", "uint256 unexpired = number == Lanes.wordOf(first) ? Lanes.from(word, first) : word;", "uint256 unexpired = word;"],
  ["LoyaltyPoints.sol", "_storage().supply[number] -= moved;", ""],
  ["LoyaltyPoints.sol", "require(isEpochExpired(epoch), EpochNotExpired(epoch));", ""],
  ["LoyaltyPoints.sol", "0x0fa5b4367a0ae0d2e6db5bfdcf5edeff30f4f4b45277d802694c71806b48ac00", "0x0fa5b4367a0ae0d2e6db5bfdcf5edeff30f4f4b45277d802694c71806b48ac01"],
  ["Lanes.sol", "uint256 part = there < rest ? there : rest;", "uint256 part = there;"],
  ["Lanes.sol", "return (word >> shift) << shift;", "return word;"],
  ["Terms.sol", "(word >> PERIOD_AT) & U32 == period ?", "true ?"],
  ["Terms.sol", "first = current + 1 - terms.validity();", "first = current - terms.validity();"],
  ["Terms.sol", "return terms.epochOffset() + (epoch + terms.validity()) * terms.epochLength();", "return (epoch + terms.validity()) * terms.epochLength();"],
  ["Withdrawal.sol", "require(body.length == FIXED_BYTES + AMOUNT_BYTES * count,", "require(body.length >= FIXED_BYTES + AMOUNT_BYTES * count,"],
  ["Withdrawal.sol", "require(amount != 0, AmountZero(i));", ""],
  ["Withdrawal.sol", "withdrawal.amounts[i - 1].day < day", "withdrawal.amounts[i - 1].day <= day"],
  ["Withdrawal.sol", "require(0 < count && count <= AMOUNTS_MAX,", "require(0 < count && count < AMOUNTS_MAX,"],
];

const nearest = {
  "Rfc9162.sol": "Rfc9162Test",
  "AuditLog.sol": "(Anchor|Roles)Test",
  "Tip.sol": "(Anchor|Roles)Test",
  "Leaf.sol": "OpenTest",
  "Parts.sol": "OpenTest",
  "PointsGateway.sol": "PointsGatewayTest",
  "PointsDeployment.sol": "PointsDeploymentTest",
  "LoyaltyPoints.sol": "LoyaltyPoints(Upgrade)?Test",
  "Lanes.sol": "LoyaltyPointsTest",
  "Terms.sol": "LoyaltyPointsTest",
  "Withdrawal.sol": "PointsGatewayTest",
};

const json = process.argv.includes("--json");
const files = process.argv.slice(2).filter((it) => it !== "--json");
const chosen = mutants.filter(([file]) => files.length === 0 || files.includes(file));
const say = (line) => json || console.log(line);

const copy = mkdtempSync(join(tmpdir(), "contracts-mutate-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
const project = join(copy, "contracts");
for (const part of ["src", "tests", "tools", "foundry.toml"]) cpSync(part, join(project, part), { recursive: true });
// A mutant may leave something unused.
const settings = join(project, "foundry.toml");
writeFileSync(settings, readFileSync(settings, "utf8").replace(/^\[lint\]$/m, "[lint]\nlint_on_build = false"));
cpSync("../vectors", join(copy, "vectors"), { recursive: true });
symlinkSync(join(process.cwd(), "node_modules"), join(project, "node_modules"));

// Fewer runs than in contracts/test: what breaks is broken on nearly every path.
// With tests linked to the contracts when they run, a mutant recompiles itself and not all that tests it.
const env = { ...process.env, FOUNDRY_FUZZ_RUNS: "64", FOUNDRY_INVARIANT_RUNS: "4", FOUNDRY_DYNAMIC_TEST_LINKING: "true" };
const forge = (...args) => spawnSync("forge", args, { cwd: project, env, encoding: "utf8" });

const sound = forge("test");
if (sound.status !== 0) {
  console.error(sound.stdout, sound.stderr, "contracts/mutate: the tests fail on the unbroken contracts");
  process.exit(1);
}

const survivors = [];
for (const [file, from, to] of chosen) {
  const path = join(project, "src", file);
  const source = readFileSync(path, "utf8");
  // Line breaks are the formatter's: any white space stands for any other.
  const pattern = new RegExp(from.trim().split(/\s+/).map((it) => it.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+"), "g");
  if ([...source.matchAll(pattern)].length !== 1) throw new Error(`${file} does not have exactly one: ${from}`);
  writeFileSync(path, source.replace(pattern, () => to));
  // A mutant must compile: a test that cannot run does not fail.
  if (forge("build", "--deny", "never").status !== 0) throw new Error(`${file} does not compile without: ${from}`);
  // The tests that look at this file first: nearly every mutant dies there, and the rest takes longer.
  const killed = [["--match-contract", nearest[file]], ["--no-match-contract", "Invariant"], ["--match-contract", "Invariant"]].some(
    (tests) => forge("test", "--deny", "never", "--fail-fast", ...tests).status !== 0,
  );
  if (!killed) survivors.push([file, from, to]);
  say(`${killed ? "killed  " : "SURVIVED"}  ${file}: ${from.replace(/\s+/g, " ")}  →  ${to || "(nothing)"}`);
  writeFileSync(path, source);
}

console.log(json ? JSON.stringify({ mutants: chosen.length, survived: survivors.length }) : `mutants ${chosen.length}, survived ${survivors.length}`);
process.exit(survivors.length === 0 ? 0 : 1);
