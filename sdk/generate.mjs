// Writes sdk/src/operations.ts from docs/openapi.json: the types of what is sent and answered, and what is where. With --check
// it fails where the file is not what it would write.
import { readFileSync, writeFileSync } from "node:fs";

const at = (path) => new URL(path, import.meta.url);
const document = JSON.parse(readFileSync(at("../docs/openapi.json"), "utf8"));

const comment = (text, indent = "") => (text ? `${indent}/** ${text.replace(/\s+/g, " ").replaceAll("*/", "*\\/")} */\n` : "");
const quoted = (name) => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : JSON.stringify(name));
const nameOf = (ref) => ref.split("/").at(-1);

function typeOf(schema, indent = "") {
  if (schema === true || schema === undefined || Object.keys(schema).length === 0) return "unknown";
  if (schema.$ref) return nameOf(schema.$ref);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((it) => JSON.stringify(it)).join(" | ");
  for (const some of [schema.oneOf, schema.anyOf]) {
    if (some) return some.map((it) => typeOf(it, indent)).join(" | ");
  }
  if (Array.isArray(schema.type)) {
    return schema.type.map((type) => typeOf({ ...schema, type }, indent)).join(" | ");
  }
  switch (schema.type) {
    case "integer":
    case "number":
      return "number";
    case "string":
      return "string";
    case "boolean":
      return "boolean";
    case "null":
      return "null";
    case "array":
      return `Array<${typeOf(schema.items, indent)}>`;
    case "object":
      return objectOf(schema, indent);
    default:
      return "unknown";
  }
}

function objectOf(schema, indent) {
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0) return "Record<string, unknown>";
  const required = new Set(schema.required ?? []);
  const lines = properties.map(([name, it]) => {
    const inner = `${indent}  `;
    return `${comment(it.description, inner)}${inner}${quoted(name)}${required.has(name) ? "" : "?"}: ${typeOf(it, inner)};\n`;
  });
  return `{\n${lines.join("")}${indent}}`;
}

const json = (content) => content?.["application/json"]?.schema;

function operation([path, method, it]) {
  const inner = "    ";
  const parameters = (place) => it.parameters.filter((parameter) => parameter.in === place);
  // What the client says by itself is not asked for.
  const own = new Set(["idempotency-key", "x-idempotency-key"]);
  const fields = [];
  for (const place of ["path", "query", "header"]) {
    const named = parameters(place).filter((parameter) => !own.has(parameter.name.toLowerCase()));
    if (named.length === 0) continue;
    const must = named.some((parameter) => parameter.required);
    const members = named.map(
      (parameter) => `${comment(parameter.description, `${inner}  `)}${inner}  ${quoted(parameter.name)}${parameter.required ? "" : "?"}: ${typeOf(parameter.schema)};\n`,
    );
    fields.push(`${inner}${place}${must ? "" : "?"}: {\n${members.join("")}${inner}};\n`);
  }
  const body = json(it.requestBody?.content);
  if (body) fields.push(`${inner}body: ${typeOf(body, inner)};\n`);
  const good = Object.entries(it.responses).filter(([status]) => status.startsWith("2"));
  const answers = good.map(([, answer]) => (json(answer.content) ? typeOf(json(answer.content), inner) : answer.content ? "string" : "undefined"));
  const answer = [...new Set(answers)].join(" | ") || "undefined";
  const key = it.parameters.find((parameter) => own.has(parameter.name.toLowerCase()))?.name;
  return {
    types: `${comment(it.summary, "  ")}  ${it.operationId}: {\n    request: ${fields.length ? `{\n${fields.map((line) => line.replaceAll(/^/gm, "  ").trimEnd()).join("\n")}\n    }` : "Record<string, never>"};\n    answer: ${answer};\n  };\n`,
    table: `  ${it.operationId}: [${JSON.stringify(method.toUpperCase())}, ${JSON.stringify(path)}${key ? `, ${JSON.stringify(key)}` : ""}],\n`,
  };
}

const operations = Object.entries(document.paths)
  .filter(([path]) => path.startsWith("/api/v1/") || path.startsWith("/loyalty/v1/partner/") || path.startsWith("/v1/"))
  .flatMap(([path, methods]) => Object.entries(methods).map(([method, it]) => [path, method, it]))
  // A stream is no answer.
  .filter(([, , it]) => it.operationId !== "streamNotices")
  .map(operation);

const schemas = Object.entries(document.components.schemas).map(
  ([name, it]) => `${comment(it.description)}export type ${name} = ${typeOf(it)};\n`,
);

const text = `// Written by \`npm run generate -w sdk\` from docs/openapi.json.

${schemas.join("\n")}
/** What each operation is asked with, and what it answers. */
export interface Operations {
${operations.map((it) => it.types).join("")}}

/** Where each operation is, and the header of its idempotency key where it takes one. */
export const OPERATIONS: { readonly [Name in keyof Operations]: readonly [string, string, string?] } = {
${operations.map((it) => it.table).join("")}};
`;

const file = at("src/operations.ts");
if (process.argv.includes("--check")) {
  if (readFileSync(file, "utf8") !== text) {
    console.error("sdk/src/operations.ts is not what docs/openapi.json says: npm run generate -w sdk");
    process.exitCode = 1;
  }
} else {
  writeFileSync(file, text);
}
