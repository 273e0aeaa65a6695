// The standard JSON of one contract, from the metadata of its build, compiled again: verification.mjs <contract> <file>
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const [contract, file] = process.argv.slice(2);
const path = `src/${contract}.sol`;
const { metadata } = JSON.parse(readFileSync(`out/${contract}.sol/${contract}.json`, "utf8"));
const { compilationTarget, ...settings } = metadata.settings;
const input = {
  language: metadata.language,
  sources: Object.fromEntries(Object.keys(metadata.sources).map((name) => [name, { content: readFileSync(name, "utf8") }])),
  settings: { ...settings, outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } } },
};
const { status, stdout, stderr } = spawnSync("tools/solc", { input: JSON.stringify(input), maxBuffer: 1 << 28, encoding: "utf8" });
if (status !== 0) throw new Error(`solc: ${stderr}`);
const output = JSON.parse(stdout);
const made = output.contracts?.[path]?.[contract];
if (!made) throw new Error(JSON.stringify(output.errors));
const { bytecode } = JSON.parse(readFileSync(`../chain/abi/${contract}.json`, "utf8"));
if (`0x${made.evm.bytecode.object}` !== bytecode) {
  console.error(`contracts/verification: ${contract} compiles to other bytes than those that are deployed`);
  process.exit(1);
}
writeFileSync(file, JSON.stringify(input));
