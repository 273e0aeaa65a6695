// From forge's artifact the part that bindings are made of, in one canonical form: artifact.mjs <artifact> <runtime hash>
import { readFileSync } from "node:fs";

const [artifact, runtimeBytecodeHash] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(artifact, "utf8"));

const signature = (item) => `${item.type} ${item.name ?? ""}(${(item.inputs ?? []).map((it) => it.type)})`;

// `internalType` names Solidity's own types (structs, enums), from which bindings take their names: it stays.
const sorted = (value) =>
  Array.isArray(value)
    ? value.map(sorted)
    : value !== null && typeof value === "object"
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
      : value;

const order = (a, b) => (signature(a) < signature(b) ? -1 : 1);
const contract = { abi: abi.toSorted(order), bytecode: bytecode.object, runtimeBytecodeHash };
console.log(JSON.stringify(sorted(contract), null, 2));
