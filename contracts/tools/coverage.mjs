// Holds coverage against what is asked for: coverage.mjs <lcov file>
import { readFileSync } from "node:fs";

const LEAST = 98;
const sums = new Map();
for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  const [, key, count] = /^(LF|LH|BRF|BRH):(\d+)$/.exec(line) ?? [];
  if (key) sums.set(key, (sums.get(key) ?? 0) + Number(count));
}
const share = (hit, found) => (100 * sums.get(hit)) / sums.get(found);
const [lines, branches] = [share("LH", "LF"), share("BRH", "BRF")];
console.log(`contracts/deep: coverage: ${lines.toFixed(1)} % of ${sums.get("LF")} lines, ${branches.toFixed(1)} % of ${sums.get("BRF")} branches`);
// Written so that no number at all fails too.
if (!(LEAST <= lines && LEAST <= branches)) {
  console.error(`contracts/deep: coverage is below ${LEAST} %`);
  process.exit(1);
}
