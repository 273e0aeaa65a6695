// The AsyncAPI document against the specification's own schema, and what it shows against what it says.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { Ajv } from "ajv";

type Json = Record<string, unknown>;

const document = JSON.parse(readFileSync(new URL("../../docs/asyncapi.json", import.meta.url), "utf8")) as Json;
const specification = createRequire(import.meta.url)("@asyncapi/specs/schemas/3.0.0.json") as Json;

const faults = (schema: Json, value: unknown): string => {
  // The specification's schema holds that of its schemas itself.
  const ajv = new Ajv({ meta: false, validateSchema: false, strict: false, validateFormats: false });
  return ajv.validate(schema, value) ? "" : ajv.errorsText();
};

test("the AsyncAPI document is one", () => {
  assert.equal(faults(specification, document), "");
  // What the schema demands is demanded: it refuses other versions, and messages that are not what they should be.
  assert.notEqual(faults(specification, { ...document, asyncapi: "2.6.0" }), "");
  assert.notEqual(faults(specification, { ...document, operations: { tell: { action: "shout" } } }), "");
});

test("each message's example is what the message may be", () => {
  const components = document["components"] as { messages: Record<string, { payload: Json; examples: { payload: Json }[] }> };
  const messages = Object.entries(components.messages);
  assert.ok(messages.length > 20);
  for (const [name, { payload, examples }] of messages) {
    const schema = { ...payload, components };
    for (const example of examples) {
      assert.equal(faults(schema, example.payload), "", name);
      assert.notEqual(faults(schema, { ...example.payload, type: 1 }), "", name);
    }
  }
});
