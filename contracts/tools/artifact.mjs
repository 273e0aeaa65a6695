// From forge's artifact the part that bindings are made of, in one canonical form: artifact.mjs <artifact> [abi]
//
// With `abi`, for a contract that nobody deploys by itself, the code is left out.
import { readFileSync } from "node:fs";

const [artifact, only] = process.argv.slice(2);
const { abi, bytecode, deployedBytecode } = JSON.parse(readFileSync(artifact, "utf8"));

const signature = (item) => `${item.type} ${item.name ?? ""}(${(item.inputs ?? []).map((it) => it.type)})`;

// `internalType` names Solidity's own types (structs, enums), from which bindings take their names: it stays.
const sorted = (value) =>
  Array.isArray(value)
    ? value.map(sorted)
    : value !== null && typeof value === "object"
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
      : value;

const order = (a, b) => (signature(a) < signature(b) ? -1 : 1);
const code = { bytecode: bytecode.object, deployedBytecode: deployedBytecode.object };
const contract = { abi: abi.toSorted(order), ...(only === "abi" ? {} : code) };
console.log(JSON.stringify(sorted(contract), null, 2));
