// What the contracts cost: gas.mjs [--json | --check | --update]
import { readFileSync, writeFileSync } from "node:fs";
import { measureAuditLog } from "./gas/audit-log.mjs";
import { figures } from "./gas/chain.mjs";
import { measurePoints } from "./gas/points.mjs";

const SNAPSHOT = "gas-snapshot.json";
const flag = process.argv[2];

await measureAuditLog();
await measurePoints();

const snapshot = `${JSON.stringify(Object.fromEntries(figures.map(({ name, gas, polygon }) => [name, { gas, polygon }])), null, 2)}\n`;
if (flag === "--json") {
  console.log(JSON.stringify(figures));
} else if (flag === "--update") {
  writeFileSync(SNAPSHOT, snapshot);
} else if (flag === "--check") {
  const kept = JSON.parse(readFileSync(SNAPSHOT, "utf8"));
  const changed = figures.filter(({ name, gas, polygon }) => kept[name]?.gas !== gas || kept[name].polygon !== polygon);
  for (const { name, gas, polygon } of changed) {
    console.error(`contracts/gas: ${name} costs ${gas} (Polygon ${polygon}), not ${kept[name]?.gas} (${kept[name]?.polygon})`);
  }
  const gone = Object.keys(kept).filter((name) => !figures.some((it) => it.name === name));
  if (changed.length + gone.length !== 0) {
    console.error(`contracts/gas: ${SNAPSHOT} is stale; if the new figures are meant, run contracts/gas --update and commit it`);
    process.exit(1);
  }
  console.log(`contracts/gas: ${figures.length} figures, as in ${SNAPSHOT}`);
} else {
  const column = (value) => (value ?? "").toLocaleString("en").padStart(11);
  for (const { name, about, gas, polygon, goal } of figures) {
    console.log(`${name.padEnd(22)} ${column(gas)} ${column(polygon)} ${column(goal?.gas)}   ${about}`);
  }
}
process.exit();
