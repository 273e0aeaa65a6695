// @ts-check
// Shows a description and lets its paths be tried against the server that serves it. It loads nothing from anywhere else, and
// writes what it is told only as text.

/** @typedef {Record<string, any>} Json */

/** @param {string} id */
const byId = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));

/** @param {string} tag @param {(Node | string)[]} children @param {Record<string, string>} attributes */
function make(tag, children = [], attributes = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Follows a reference. @param {Json} whole @param {Json} part @returns {Json} */
function resolve(whole, part) {
  const reference = part?.$ref;
  if (typeof reference !== "string") return part ?? {};
  return reference.slice(2).split("/").reduce((at, name) => at[name], whole);
}

/** An example of what a schema allows, with what it demands. @param {Json} whole @param {Json} schema @returns {any} */
function example(whole, schema, depth = 0) {
  const it = resolve(whole, schema);
  const choice = it.oneOf?.[0] ?? it.anyOf?.[0];
  if (it.const !== undefined) return it.const;
  if (it.enum) return it.enum[0];
  if (choice) return example(whole, choice, depth);
  const type = Array.isArray(it.type) ? it.type[0] : it.type;
  if (type === "object" && depth < 6) {
    const wanted = Object.entries(it.properties ?? {}).filter(([name]) => it.required?.includes(name));
    return Object.fromEntries(wanted.map(([name, field]) => [name, example(whole, field, depth + 1)]));
  }
  if (type === "array") return depth < 6 ? [example(whole, it.items ?? {}, depth + 1)] : [];
  if (type === "integer" || type === "number") return it.minimum ?? 1;
  if (type === "boolean") return false;
  if (it.format === "uuid") return crypto.randomUUID();
  if (it.format === "date-time") return new Date().toISOString();
  return "";
}

/** Where a path is on this server: a description may name others first. @param {Json} whole @param {string} path */
function address(whole, path) {
  const own = whole.servers?.find((/** @type {Json} */ it) => it.url.startsWith(location.origin));
  return (own?.url ?? location.origin) + path;
}

/** @param {Json} whole @param {string} method @param {string} path @param {Json} operation */
function form(whole, method, path, operation) {
  /** @type {[Json, HTMLInputElement][]} */
  const fields = (operation.parameters ?? []).map((/** @type {Json} */ it) => {
    const isKey = it.in === "header" && /idempotency-key$/i.test(it.name);
    const field = /** @type {HTMLInputElement} */ (make("input"));
    field.value = isKey ? crypto.randomUUID() : "";
    return [it, field];
  });
  const body = operation.requestBody?.content ?? {};
  const mediaType = Object.keys(body)[0];
  const text = /** @type {HTMLTextAreaElement} */ (make("textarea"));
  const schema = mediaType && body[mediaType].schema;
  if (schema) text.value = JSON.stringify(example(whole, schema), null, 2);
  const shown = make("pre", [], { hidden: "" });
  const send = make("button", ["Send"], { type: "submit" });
  const rows = fields.map(([it, field]) =>
    make("label", [`${it.name}${it.required ? " (required)" : ""}: ${it.description}`, field]));
  const element = make("form", [...rows, ...(mediaType ? [make("label", [mediaType, text])] : []), send, shown]);

  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = new Headers();
    if (byId("token").value) headers.set("authorization", `Bearer ${byId("token").value}`);
    if (byId("key").value) headers.set("x-api-key", byId("key").value);
    if (mediaType) headers.set("content-type", mediaType);
    const query = new URLSearchParams();
    let filled = path;
    for (const [it, field] of fields) {
      if (it.in === "path") filled = filled.replace(`{${it.name}}`, encodeURIComponent(field.value));
      else if (field.value && it.in === "query") query.append(it.name, field.value);
      else if (field.value && it.in === "header") headers.set(it.name, field.value);
    }
    const target = address(whole, filled) + (query.size ? `?${query}` : "");
    shown.hidden = false;
    try {
      const answer = await fetch(target, { method, headers, ...(mediaType ? { body: text.value } : {}) });
      const lines = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      const told = await answer.text();
      shown.textContent = `${answer.status} ${answer.statusText}\n${lines}\n\n${pretty(told)}`;
    } catch (error) {
      shown.textContent = String(error);
    }
  });
  return element;
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** @param {Json} whole @param {string} method @param {string} path @param {Json} operation */
function section(whole, method, path, operation) {
  const answers = Object.entries(operation.responses ?? {}).map(([status, it]) =>
    make("tr", [make("td", [status]), make("td", [it.description])]));
  const details = make("details", [
    make("summary", [make("b", [method.toUpperCase()]), make("code", [path]), ` ${operation.summary ?? ""}`]),
    make("p", [operation.description ?? "For anybody."]),
    make("table", answers),
  ]);
  // Forms are many: each is made when it is looked at.
  details.addEventListener("toggle", () => details.append(form(whole, method, path, operation)), { once: true });
  return details;
}

async function show() {
  const main = byId("paths");
  try {
    const answer = await fetch(byId("document").value);
    if (!answer.ok) throw new Error(`the description was not given: ${answer.status}`);
    const whole = await answer.json();
    const sections = Object.entries(whole.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => section(whole, method, path, operation)));
    main.replaceChildren(make("p", [`${whole.info.title} ${whole.info.version}: ${sections.length} paths.`]), ...sections);
  } catch (error) {
    main.replaceChildren(make("p", [String(error)]));
  }
}

byId("document").addEventListener("change", show);
await show();
