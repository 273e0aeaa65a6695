// Holds what Slither found against what is explained: slither.mjs <slither's JSON>
//
// A finding that nobody has explained fails, and so does an explanation of what is no longer found.
import { readFileSync } from "node:fs";

const explained = JSON.parse(readFileSync("tools/slither-explained.json", "utf8"));
const { success, error, results } = JSON.parse(readFileSync(process.argv[2], "utf8"));
if (!success) throw new Error(`slither: ${error}`);

const place = ({ elements: [first] }) => `${first.type_specific_fields?.parent?.name ?? ""}.${first.name}`;
const found = new Set((results.detectors ?? []).map((it) => `${it.check} ${place(it)}`));
const allowed = new Set(Object.entries(explained).flatMap(([check, { where }]) => where.map((it) => `${check} ${it}`)));

const problems = [
  ...[...found].filter((it) => !allowed.has(it)).map((it) => `found and not explained: ${it}`),
  ...[...allowed].filter((it) => !found.has(it)).map((it) => `explained and not found: ${it}`),
];
for (const problem of problems) console.error(`contracts/deep: Slither: ${problem}`);
if (problems.length !== 0) process.exit(1);
console.log(`contracts/deep: Slither: ${found.size} findings, each explained`);
