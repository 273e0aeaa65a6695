import assert from "node:assert/strict";
import test from "node:test";
import { parsePolicy, PolicyError, quorumIsMet } from "../src/policy.js";
import { LOG, makeKey, vkey, WITNESSES } from "./make.js";

const log = `log ${vkey(LOG)}`;
const [w1, w2] = WITNESSES.map((key, at) => `witness w${at + 1} ${vkey(key, 4)}`);

async function refuses(line: number, ...lines: readonly (string | undefined)[]): Promise<void> {
  await assert.rejects(parsePolicy(lines.join("\n")), (error) => error instanceof PolicyError && error.line === line, lines.join("\n"));
}

test("a policy reads as it is written", async () => {
  const policy = await parsePolicy(
    [`# a comment`, "", `  ${log}\thttps://log.example/ `, w1, w2, "group g 2 w1 w2", " quorum g", `anchor 137 0x${"aB".repeat(20)} 0x${"01".repeat(20)}`].join("\n"),
  );
  assert.equal(policy.logs[0]?.name, LOG.name);
  assert.deepEqual(policy.groups, [{ name: "g", threshold: 2, members: ["w1", "w2"] }]);
  assert.equal(policy.quorum, "g");
  assert.deepEqual(policy.anchors, [{ chainId: 137n, contract: `0x${"ab".repeat(20)}`, registrant: `0x${"01".repeat(20)}` }]);
  assert.equal(quorumIsMet(policy, new Set(["w1"])), false);
  assert.equal(quorumIsMet(policy, new Set(["w1", "w2"])), true);
});

test("a policy's lines end as on any machine, and hold no other control character than tabs", async () => {
  assert.equal((await parsePolicy(`# a comment\r\n\r\n\t${log} \r\nquorum none\r\n`)).logs.length, 1);
  for (const control of ["\r", "\x0b", "\x0c", "\0", "\x7f"]) await refuses(1, `${log}${control}`);
});

test("a key whose base64 holds a plus is read", async () => {
  let seed = 0;
  while (!vkey(makeKey("plus.example", seed)).split("+").slice(2).join("+").includes("+")) seed += 1;
  assert.equal((await parsePolicy(`log ${vkey(makeKey("plus.example", seed))}\nquorum none`)).logs.length, 1);
});

test("without witnesses the quorum line may be missing, and with them it may not", async () => {
  assert.equal((await parsePolicy(log)).quorum, null);
  await refuses(0, log, w1);
});

test("a key retires once, at a leaf and a time, and only a key of the log", async () => {
  const retired = `retired ${vkey(LOG)} 7 1770000000`;
  const policy = await parsePolicy([log, retired].join("\n"));
  assert.deepEqual(policy.retired.map((it) => [it.leafIndex, it.retiredAt]), [[7n, 1_770_000_000n]]);
  await refuses(1, retired, log);
  await refuses(3, log, retired, retired);
  await refuses(2, log, `retired ${vkey(makeKey("other.example/log", 3))} 7 1770000000`);
  await refuses(2, log, `retired ${vkey(LOG)} 7`);
  await refuses(2, log, `retired ${vkey(LOG)} 07 1770000000`);
});

test("what a policy may not say", async () => {
  await refuses(1, "logs x");
  await refuses(1, "log");
  await refuses(1, `${log} url more`);
  await refuses(1, log.replace(/\+[0-9a-f]{8}\+/, "+00000000+"));
  await refuses(1, `${log}=`);
  await refuses(1, `log ${vkey(LOG, 4)}`);
  await refuses(1, `log ${vkey(LOG, 6)}`);
  await refuses(2, log, log);
  await refuses(1, `witness w ${vkey(WITNESSES[0], 1)}`);
  await refuses(1, `witness none ${vkey(WITNESSES[0], 4)}`);
  await refuses(2, w1, w1?.replace("w1", "other"));
  await refuses(2, w1, w2?.replace("w2", "w1"));
  await refuses(2, w1, "group g any");
  await refuses(2, w1, "group g any w2");
  await refuses(2, w1, "group g 2 w1");
  await refuses(2, w1, "group g 0 w1");
  await refuses(2, w1, "group g 01 w1");
  await refuses(2, w1, "group g all w1 w1");
  await refuses(3, w1, "group g all w1", "group h all w1");
  await refuses(2, w1, "group g all none");
  await refuses(1, "quorum w1");
  await refuses(2, "quorum none", "quorum none");
  await refuses(1, "anchor 1 0x00 0x00");
  await refuses(1, `anchor 01 0x${"00".repeat(20)} 0x${"00".repeat(20)}`);
  await refuses(1, `anchor 1 ${"00".repeat(20)} 0x${"00".repeat(20)}`);
  await refuses(1, "# a comment\u0007");
});
