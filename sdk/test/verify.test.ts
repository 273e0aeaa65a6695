import assert from "node:assert/strict";
import test from "node:test";
import { parsePolicy } from "../src/policy.js";
import { type Refusal, REFUSALS, type Verified, verifyReceipt } from "../src/verify.js";
import {
  base64, cosignatureLine, detailsBytes, entryBytes, extraBytes, hash, headerBytes, hintBytes, i32, id, LOG, makeKey, makeReceipt, POLICY, redeemLeaf,
  signatureLine, u16, u64, u8, vkey, WITNESSES,
} from "./make.js";

async function check(receipt: string | Uint8Array, expected: "valid" | Refusal, policy = POLICY): Promise<Verified | null> {
  const verdict = await verifyReceipt(receipt, await parsePolicy(policy));
  const answer = verdict.verdict === "refused" ? verdict.code : verdict.verdict;
  assert.equal(answer, expected, JSON.stringify(verdict, (_, value) => (typeof value === "bigint" ? String(value) : value)));
  return verdict.verdict === "valid" ? verdict.verified : null;
}

const opened = (bytes: Buffer, salt = hash(0xa1)) => ({ salt, bytes });

test("a receipt opens to what was written", async () => {
  const verified = await check(makeReceipt(), "valid");
  assert.ok(verified !== null);
  assert.equal(verified.origin, LOG.name);
  assert.equal(verified.kind, "posting");
  assert.equal(verified.leafIndex, 5n);
  assert.equal(verified.size, 11n);
  assert.equal(verified.logSignatures, 1);
  assert.ok(verified.header.state === "opened" && verified.details.state === "opened" && verified.entries[0]?.state === "opened");
  assert.deepEqual(verified.header.value, {
    postingId: "40404040-4040-4040-4040-404040404040", postingKind: 2, program: "22222222-2222-2222-2222-222222222222",
    recordedAt: 1_760_000_000_123_456n, effectiveAt: 1_760_000_000_000_000n, ruleSetHash: null, eventHash: null, reverses: null,
  });
  assert.deepEqual(verified.details.value, {
    merchantReference: "order-4711", actor: "partner:cafe", reason: null, description: null, rate: null,
  });
  assert.deepEqual(verified.entries[0].value, {
    accountId: "51515151-5151-5151-5151-515151515151", unit: 1, sequence: 2n,
    change: { available: -250n, held: 0n, pending: 0n }, after: { available: 750n, held: 0n, pending: 0n },
    lotsDigest: null, previous: { leafIndex: 1n, commitment: `0x${"77".repeat(32)}` },
  });
  assert.deepEqual(verified.entries[1], { state: "closed", commitment: `0x${"b2".repeat(32)}` });
  assert.equal(verified.body, null);
  assert.deepEqual(verified.hints, [
    { chainId: 31_337n, contract: `0x${"c0".repeat(20)}`, registrant: `0x${"de".repeat(20)}`, block: 42n, transaction: `0x${"99".repeat(32)}` },
  ]);
});

test("bytes and text give the same verdict, and neither is changed", async () => {
  const bytes = Buffer.from(makeReceipt());
  const before = Buffer.from(bytes);
  await check(bytes, "valid");
  assert.deepEqual(bytes, before);
});

test("a receipt verifies at every place of logs of many sizes", async () => {
  for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 16, 33]) {
    for (let index = 0; index < size; index += 1) {
      const entry = opened(entryBytes({ sequence: 1n, change: [5n, 0n, 0n], after: [5n, 0n, 0n] }));
      await check(makeReceipt({ leaf: redeemLeaf({ index: BigInt(index), entries: [entry] }), size }), "valid");
    }
  }
});

test("every kind of leaf opens", async () => {
  const noPosting = headerBytes({ postingKind: 0 });
  const text = (value: string) => Buffer.concat([u16(Buffer.byteLength(value)), Buffer.from(value)]);
  const withdrawal = Buffer.concat([u64(137n), Buffer.alloc(20, 1), Buffer.alloc(20, 2), hash(3), u64(99n), u8(2), i32(-1), u64(5n), i32(2 ** 31 - 1), u64(6n)]);
  const bodies: readonly [number, Buffer, object][] = [
    [2, withdrawal, {
      kind: "withdrawal", chainId: 137n, gateway: `0x${"01".repeat(20)}`, holder: `0x${"02".repeat(20)}`, withdrawalId: `0x${"03".repeat(32)}`,
      claimBefore: 99n, amounts: [{ expiryDay: -1, amount: 5n }, { expiryDay: 2 ** 31 - 1, amount: 6n }],
    }],
    [3, Buffer.concat([u64(9n), u64(4n), hash(1)]), { kind: "map", logSize: 9n, accounts: 4n, mapRoot: `0x${"01".repeat(32)}` }],
    [4, Buffer.concat([u8(2), u8(1), u16(2), u16(0xabcd)]), { kind: "key", action: "retired", signatureType: 1, publicKey: "0xabcd" }],
    [5, Buffer.concat([u64(1n), u64(2n), text("a disk lied")]), { kind: "incident", firstLeafIndex: 1n, leaves: 2n, reason: "a disk lied" }],
    [6, Buffer.concat([u8(1), u8(1), hash(8), u64(4n), hash(9)]), { kind: "orphan", leaf: `0x0101${"08".repeat(32)}0000000000000004${"09".repeat(32)}` }],
    [7, Buffer.concat([hash(1), u64(77n), hash(2)]), { kind: "succession", oldLogId: `0x${"01".repeat(32)}`, oldSize: 77n, oldRoot: `0x${"02".repeat(32)}` }],
  ];
  for (const [kind, bytes, value] of bodies) {
    const posting = kind === 2;
    const leaf = redeemLeaf({
      kind, entries: [], body: opened(bytes, posting ? hash(0xc1) : hash(0)), header: opened(posting ? headerBytes({ postingKind: 10 }) : noPosting),
    });
    const verified = await check(makeReceipt({ leaf }), "valid");
    assert.ok(verified?.body?.state === "opened");
    assert.deepEqual(verified.body.value, value);
    const closed = { ...leaf, body: { commitment: hash(0) } };
    assert.equal((await check(makeReceipt({ leaf: closed }), "valid"))?.body?.state, "closed");
    for (const wrong of [bytes.subarray(1), Buffer.concat([bytes, u8(0)])]) {
      await check(makeReceipt({ leaf: { ...leaf, body: opened(wrong, posting ? hash(1) : hash(0)) } }), "malformed_part");
    }
    if (!posting) await check(makeReceipt({ leaf: { ...leaf, body: opened(bytes, hash(1)) } }), "malformed_part");
  }
});

test("bodies that break their layout", async () => {
  const made = (kind: number, body: Buffer) =>
    check(
      makeReceipt({
        leaf: redeemLeaf({
          kind, entries: [], body: opened(body, hash(0)), header: opened(headerBytes({ postingKind: kind === 2 ? 10 : 0 })),
        }),
      }),
      "malformed_part",
    );
  const withdrawal = (amounts: readonly (readonly [number, bigint])[], count = amounts.length) =>
    made(2, Buffer.concat([u64(137n), Buffer.alloc(20, 1), Buffer.alloc(20, 2), hash(3), u64(99n), u8(count), ...amounts.flatMap(([day, amount]) => [i32(day), u64(amount)])]));
  await withdrawal([]);
  await withdrawal(Array.from({ length: 65 }, (_, day) => [day, 1n] as const));
  await withdrawal([[1, 0n]]);
  await withdrawal([[2, 1n], [1, 1n]]);
  await withdrawal([[1, 1n], [1, 1n]]);
  await made(4, Buffer.concat([u8(3), u8(1), u16(0)]));
  await made(4, Buffer.concat([u8(0), u8(1), u16(0)]));
  await made(5, Buffer.concat([u64(1n), u64(2n), u16(0)]));
});

test("an unknown posting kind is shown and not refused", async () => {
  const verified = await check(makeReceipt({ leaf: redeemLeaf({ header: opened(headerBytes({ postingKind: 200 })) }) }), "valid");
  assert.ok(verified?.header.state === "opened");
  assert.equal(verified.header.value.postingKind, 200);
});

test("lines that are not a receipt's", async () => {
  const receipt = makeReceipt();
  const edit = (from: string | RegExp, to: string) => check(receipt.replace(from, to), "malformed_receipt");
  await check("", "malformed_receipt");
  await check(new Uint8Array([0xff, 0xfe]), "malformed_receipt");
  await check(receipt.slice(1), "malformed_receipt");
  await check(`\ufeff${receipt}`, "malformed_receipt");
  await check(receipt.replaceAll("\n", "\r\n"), "malformed_receipt");
  await edit("@v1", "@v2");
  await edit(/extra .*\n/, "");
  await edit("extra ", "extra\t");
  await edit("index 5", "index 05");
  await edit("index 5", "index +5");
  await edit("index 5", "index ");
  await edit("index 5", "index 18446744073709551616");
  await edit("index 5", `index ${"9".repeat(40_000)}`);
  await edit("index 5\n", "index 5\nAAAA\n");
  await edit("index 5\n", `index 5\n${`${base64(hash(1))}\n`.repeat(64)}`);
  await check(receipt.slice(0, receipt.indexOf("\n\n")), "malformed_receipt");
  await check(receipt.padEnd(65_537, "x"), "too_long");
  await check("\u00e9".repeat(40_000), "too_long");
  await check(new Uint8Array(65_536), "malformed_receipt");
});

test("extra that is not an opened leaf", async () => {
  const bytes = extraBytes(redeemLeaf());
  const extra = (changed: string) => check(makeReceipt({ extra: changed }), "malformed_extra");
  const at = (offset: number, value: number) => {
    const changed = Buffer.from(bytes);
    changed[offset] = value;
    return extra(base64(changed));
  };
  await extra("");
  await extra("====");
  await extra("A=B=");
  await extra(`${base64(bytes)} `);
  await extra(base64(bytes).replace(/=*$/, ""));
  await extra("AR==");
  await extra(base64(Buffer.concat([bytes, u8(0)])));
  for (let length = 0; length < bytes.length; length += 7) await extra(base64(bytes.subarray(0, length)));
  await at(0, 2);
  await at(1, 0);
  await at(1, 8);
  await at(34, 0);
  await at(34, 3);
  const made = (changes: Parameters<typeof redeemLeaf>[0]) => check(makeReceipt({ leaf: redeemLeaf(changes) }), "malformed_extra");
  await made({ details: null });
  await made({ entries: [null] });
  await made({ body: { commitment: hash(1) } });
  await made({ kind: 2, body: null });
  await made({ kind: 3, body: { commitment: hash(1) } });
  await made({ hints: Array.from({ length: 9 }, () => hintBytes(1n, Buffer.alloc(20), Buffer.alloc(20), 1n, hash(1))) });
});

test("parts that break their layout", async () => {
  const made = (changes: Parameters<typeof redeemLeaf>[0]) => check(makeReceipt({ leaf: redeemLeaf(changes) }), "malformed_part");
  const entry = (fields: Parameters<typeof entryBytes>[0]) => made({ entries: [opened(entryBytes(fields))] });
  await made({ header: opened(headerBytes().subarray(1)) });
  await made({ header: opened(Buffer.alloc(0)) });
  await made({ header: opened(headerBytes({ effectiveAt: 1_760_000_000_123_457n })) });
  await made({ header: opened(headerBytes({ postingKind: 0 })) });
  await made({ kind: 3, entries: [], body: { commitment: hash(1) } });
  await made({ details: opened(Buffer.alloc(0)) });
  await made({ details: opened(u8(0x20)) });
  await made({ details: opened(Buffer.concat([u8(1), u16(0)])) });
  await made({ details: opened(Buffer.concat([u8(1), u16(1), u8(0xff)])) });
  await made({ details: opened(detailsBytes(["x".repeat(2001), null, null, null, null])) });
  await made({ details: opened(Buffer.concat([detailsBytes(["x", null, null, null, null]), u8(0)])) });
  await entry({ sequence: 0n });
  await entry({ sequence: 1n });
  await entry({ sequence: 1n, change: [5n, 0n, 0n], after: [5n, 0n, 0n], previousIndex: 0n });
  await entry({ sequence: 1n, change: [5n, 0n, 0n], after: [5n, 0n, 0n], previousCommitment: hash(1) });
  await entry({ previousIndex: -1n });
  await entry({ previousIndex: 5n });
  await made({ entries: [opened(entryBytes({ account: id(2) })), { commitment: hash(1) }, opened(entryBytes({ account: id(1) }))] });
  await made({ entries: [opened(entryBytes()), opened(entryBytes())] });
});

test("checkpoints and notes that are not as C2SP says", async () => {
  const text = (changed: string) => check(makeReceipt({ text: changed }), "malformed_checkpoint");
  const root = base64(hash(1));
  await text(`${LOG.name}\n11\n`);
  await text(`${LOG.name}\n011\n${root}\n`);
  await text(`${LOG.name}\n18446744073709551616\n${root}\n`);
  await text(`${LOG.name}\n11\n${root.replace("=", "")}\n`);
  await text(`${LOG.name}\n11\n${base64(hash(1).subarray(1))}\n`);
  await text(`${LOG.name}\n11\n${root}\n\nan extension after an empty line\n`);
  await text(`${LOG.name}\t\n11\n${root}\n`);
  const lines = (changed: (right: string) => string) =>
    check(makeReceipt({ signatures: (signed) => changed(signatureLine(LOG, signed)) }), "malformed_checkpoint");
  await lines(() => "");
  await lines((right) => right.trimEnd());
  await lines((right) => `${right}\n`);
  await lines((right) => `${right}x`);
  await lines((right) => `${right}${right.replace("\u2014", "-")}`);
  await lines((right) => `${right}\u2014 a+b AAAAAAA=\n`);
  await lines((right) => `${right}\u2014 a\u0085b AAAAAAA=\n`);
  await lines((right) => `${right}\u2014 a  AAAAAAA=\n`);
  await lines((right) => `${right}\u2014  AAAAAAA=\n`);
  await lines((right) => `${right}\u2014 a AAAAAA==\n`);
  await lines((right) => `${right}\u2014 a AAAAAAB=\n`);
});

test("extension lines are signed and mean nothing", async () => {
  const plain = makeReceipt();
  const root = plain.split("\n\n")[1]?.split("\n")[2];
  await check(makeReceipt({ text: `${LOG.name}\n11\n${root}\nan extension\n` }), "valid");
});

test("keys, logs and signatures", async () => {
  const stranger = makeKey(LOG.name, 9);
  await check(makeReceipt(), "unknown_log", `log ${vkey(makeKey("other.example", 7))}\nquorum none\n`);
  await check(makeReceipt(), "unknown_log", "quorum none\n");
  await check(makeReceipt(), "wrong_log", `log ${vkey(stranger)}\nlog ${vkey(LOG)}\nquorum none\n`);
  await check(makeReceipt({ key: stranger }), "unsigned");
  await check(makeReceipt({ signatures: (text) => signatureLine(LOG, `${text} `) }), "bad_signature");
  await check(makeReceipt({ signatures: (text) => signatureLine(LOG, text) + signatureLine(LOG, `${text} `) }), "bad_signature");
  await check(makeReceipt({ signatures: (text) => signatureLine(LOG, text) + signatureLine(LOG, text) }), "valid");
  await check(makeReceipt({ signatures: (text) => signatureLine(stranger, "anything") + signatureLine(LOG, text) }), "valid");
  // A key is its name and its id: a line that shares only the id says nothing, and so does one that shares only the name.
  await check(makeReceipt({ signatures: (text) => signatureLine(LOG, text) + signatureLine(LOG, "x").replace(LOG.name, "other.example") }), "valid");
  await check(makeReceipt({ signatures: (text) => signatureLine(LOG, text).replace(LOG.name, "other.example") }), "unsigned");
  const longer = (line: string) => line.replace(/[^ ]*\n$/, (encoded) => `${base64(Buffer.concat([Buffer.from(encoded, "base64"), u8(0)]))}\n`);
  await check(makeReceipt({ signatures: (text) => longer(signatureLine(LOG, text)) }), "bad_signature");
  const later = makeKey(LOG.name, 21);
  await check(makeReceipt({ signatures: (text) => signatureLine(later, text) }), "valid", `log ${vkey(LOG)}\nlog ${vkey(later)}\nquorum none\n`);
});

test("witnesses", async () => {
  const [one, two, three] = WITNESSES;
  const policy = [
    `log ${vkey(LOG)}`, `witness w1 ${vkey(one, 4)}`, `witness w2 ${vkey(two, 4)}`, `witness w3 ${vkey(three, 4)} https://witness.example/`,
    "group pair any w1 w2", "group both all pair w3", "quorum both", "",
  ].join("\n");
  const signed = (...lines: readonly ((text: string) => string)[]) =>
    makeReceipt({ signatures: (text) => signatureLine(LOG, text) + lines.map((line) => line(text)).join("") });
  const by = (key: typeof one, time = 1_760_000_001n) => (text: string) => cosignatureLine(key, text, time);
  const verified = await check(signed(by(two), by(three)), "valid", policy);
  assert.deepEqual(verified?.cosignatures.map((it) => it.witness), ["w2", "w3"]);
  assert.equal(verified.cosignatures[0]?.time, 1_760_000_001n);
  await check(signed(by(one), by(two)), "quorum_missing", policy);
  await check(signed(by(three), by(three)), "quorum_missing", policy);
  await check(signed((text) => cosignatureLine(two, `${text}x`, 1n), by(three)), "bad_signature", policy);
  await check(signed(by(two), by(three, 1n << 63n)), "bad_signature", policy);
  await check(signed(by(two), by(three), (text) => signatureLine(one, text)), "valid", policy);
});

test("places and paths", async () => {
  const leaf = redeemLeaf();
  const right = makeReceipt({ leaf });
  await check(right.replace("index 5", "index 4"), "not_included");
  await check(right.replace("index 5", "index 11"), "index_beyond_size");
  await check(right.replace("index 5", "index 18446744073709551615"), "index_beyond_size");
  await check(makeReceipt({ path: [] }), "not_included");
  await check(makeReceipt({ path: Array.from({ length: 63 }, () => hash(1)) }), "not_included");
});

test("the first refusal in the list's order is the answer", async () => {
  // Each change provokes one refusal; made together, from the last to the first, the first must answer.
  const badEntry = [opened(entryBytes({ sequence: 0n }))];
  const tooLong = "x".repeat(65_537);
  const stranger = makeKey(LOG.name, 9);
  const strangers = `log ${vkey(stranger)}\nquorum none\n`;
  const witnessed = `log ${vkey(LOG)}\nwitness w ${vkey(WITNESSES[0], 4)}\nquorum w\n`;
  const outside = { path: [hash(1)], text: `${LOG.name}\n5\n${base64(hash(1))}\n` };
  const badlySigned = { ...outside, signatures: (text: string) => signatureLine(LOG, `${text} `) };
  const malformedNote = { ...outside, text: `${LOG.name}\n05\n${base64(hash(1))}\n` };
  await check(makeReceipt({ path: [hash(1)] }), "not_included");
  await check(makeReceipt(outside), "index_beyond_size");
  await check(makeReceipt(outside), "quorum_missing", witnessed);
  await check(makeReceipt(badlySigned), "bad_signature", witnessed);
  await check(makeReceipt({ ...outside, signatures: (text) => cosignatureLine(WITNESSES[0], `${text} `, 1n) }), "unsigned", witnessed);
  await check(makeReceipt(badlySigned), "wrong_log", strangers);
  await check(makeReceipt(badlySigned), "unknown_log", "quorum none\n");
  await check(makeReceipt(malformedNote), "malformed_checkpoint", "quorum none\n");
  await check(makeReceipt({ ...malformedNote, leaf: redeemLeaf({ entries: badEntry }) }), "malformed_part");
  const leftOver = base64(Buffer.concat([extraBytes(redeemLeaf({ entries: badEntry })), u8(0)]));
  await check(makeReceipt({ ...malformedNote, extra: leftOver }), "malformed_extra");
  await check(makeReceipt({ ...malformedNote, extra: leftOver }).replace("index 5", "index 05"), "malformed_receipt");
  await check(makeReceipt({ ...malformedNote, extra: leftOver }).replace("index 5", "index 05") + tooLong, "too_long");
  assert.equal(REFUSALS.length, 13);
});

test("random bytes and random edits never throw or hang", async () => {
  const policy = await parsePolicy(POLICY);
  const right = Buffer.from(makeReceipt());
  let state = 20_260_101;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < 2_000; round += 1) {
    const bytes = Buffer.from(right);
    const edits = 1 + random(4);
    for (let edit = 0; edit < edits; edit += 1) bytes[random(bytes.length)] = random(256);
    const cut = random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
    const verdict = await verifyReceipt(cut, policy);
    assert.notEqual(verdict.verdict, "could_not_check");
  }
});
