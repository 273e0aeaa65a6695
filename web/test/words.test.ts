import assert from "node:assert/strict";
import test from "node:test";
import { count, day, number, second, signed, time } from "../src/words.js";

test("amounts keep every digit", () => {
  assert.equal(number(9_007_199_254_740_993n), "9,007,199,254,740,993");
  assert.equal(signed(-250n), "\u2212250");
  assert.equal(signed(1_000n), "+1,000");
  assert.equal(signed(0n), "0");
  assert.equal(count(1, "entry", "entries"), "1 entry");
  assert.equal(count(2n, "entry", "entries"), "2 entries");
});

test("times keep every microsecond, before 1970 too", () => {
  assert.equal(time(1_760_000_000_123_456n), "2025-10-09 08:53:20.123456 UTC");
  assert.equal(time(-1n), "1969-12-31 23:59:59.999999 UTC");
  assert.equal(time((1n << 63n) - 1n), "9,223,372,036,854,775,807 µs since 1970");
  assert.equal(second(1_760_000_000n), "2025-10-09 08:53:20 UTC");
  assert.equal(second((1n << 64n) - 1n), "18,446,744,073,709,551,615 s since 1970");
  assert.equal(day(20_000), "2024-10-04");
  assert.equal(day(2 ** 31 - 1), "never");
  assert.equal(day(-(2 ** 31)), "day \u22122,147,483,648");
});
