// A client of the API. Types and paths come from the served description (operations.ts); here is what all operations share: who
// asks, keys that make asking twice the same as asking once, trying again, and failures as values of one kind.

import { OPERATIONS, type Operations, type Problem } from "./operations.js";

export type * from "./operations.js";

/** What was refused, or could not be answered. `code` is stable: a program decides by it. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    /** The stable code, as in `INSUFFICIENT_BALANCE`; `UNREADABLE` where the answer is none of this API. */
    readonly code: string,
    /** The status of the answer. */
    readonly status: number,
    /** All that was said. */
    readonly problem: Partial<Problem>,
    /** The key under which it was asked: asking again with it is asking the same. */
    readonly idempotencyKey: string | undefined,
  ) {
    super(problem.detail ?? `The answer was ${status}.`);
  }
}

/** Nothing was answered, however often it was asked. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";

  constructor(
    /** Under which it may have been done: ask again with it, or `getResponse`. */
    readonly idempotencyKey: string | undefined,
    cause: unknown,
  ) {
    super("The service did not answer.", { cause });
  }
}

/** Who asks, and how patiently. */
export interface Options {
  /** The address of the API, as in `https://loyalty.example`. */
  url: string;
  /** An API key. */
  key?: string;
  /** A bearer token, or what gives one that is good now. */
  token?: string | (() => string | Promise<string>);
  /** For whom every request is, where the credential speaks for many. */
  userId?: string;
  /** The credential's partner, which some paths want to be told. */
  partnerId?: string;
  /** How often a request is sent at most. 5. */
  attempts?: number;
  /** How long one attempt may take, in milliseconds. 30 seconds. */
  timeoutMs?: number;
  /** Another `fetch`, for proxies and tests. */
  fetch?: typeof fetch;
}

/** A request, and the key under which it is one and the same; a new key where it is left out. */
export type Ask<Name extends keyof Operations> = Operations[Name]["request"] & { idempotencyKey?: string };

type Client = {
  readonly [Name in keyof Operations]: Record<string, never> extends Operations[Name]["request"]
    ? (ask?: Ask<Name>) => Promise<Operations[Name]["answer"]>
    : (ask: Ask<Name>) => Promise<Operations[Name]["answer"]>;
};

interface Loose {
  path?: Record<string, string | number>;
  query?: Record<string, string | number | boolean | undefined>;
  header?: Record<string, string | undefined>;
  body?: unknown;
  idempotencyKey?: string;
}

/** A client with a function for each operation of the API. */
export function client(options: Options): Client {
  const functions = Object.entries(OPERATIONS).map(([name, where]) => [name, (ask: Loose = {}) => send(options, where, ask)]);
  return Object.fromEntries(functions) as Client;
}

const BACK_OFF_MS = 200;
const BACK_OFF_MS_MAX = 10_000;

async function send(options: Options, [method, template, keyHeader]: readonly [string, string, string?], ask: Loose): Promise<unknown> {
  const url = new URL(options.url.replace(/\/$/, "") + template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(ask.path?.[name]))));
  for (const [name, value] of Object.entries(ask.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const headers = new Headers({ accept: "application/json" });
  if (options.userId !== undefined) headers.set("x-user-id", options.userId);
  if (options.partnerId !== undefined) headers.set("x-partner-id", options.partnerId);
  for (const [name, value] of Object.entries(ask.header ?? {})) {
    if (value !== undefined) headers.set(name, value);
  }
  const key = keyHeader === undefined ? undefined : (ask.idempotencyKey ?? crypto.randomUUID());
  if (keyHeader !== undefined && key !== undefined) headers.set(keyHeader, key);
  if (options.key !== undefined) headers.set("x-api-key", options.key);
  const init: RequestInit = { method, headers, redirect: "error" };
  if (ask.body !== undefined) {
    headers.set("content-type", "application/json");
    init.body = JSON.stringify(ask.body);
  }
  // What changes nothing may be asked twice; what changes something only under a key, which makes it once.
  const repeatable = method === "GET" || key !== undefined;
  const attempts = repeatable ? (options.attempts ?? 5) : 1;
  for (let attempt = 1; ; attempt += 1) {
    if (options.token !== undefined) {
      const token = typeof options.token === "string" ? options.token : await options.token();
      headers.set("authorization", `Bearer ${token}`);
    }
    let answer: Response;
    let text: string;
    try {
      answer = await (options.fetch ?? fetch)(url, { ...init, signal: AbortSignal.timeout(options.timeoutMs ?? 30_000) });
      text = await answer.text();
    } catch (cause) {
      if (attempt >= attempts) throw new NoAnswer(key, cause);
      await pause(backOff(attempt));
      continue;
    }
    if (answer.ok) return read(answer, text, key);
    const problem = problemOf(text);
    const mayPass = answer.status === 503 || answer.status === 429 || problem.error === "IDEMPOTENCY_IN_PROGRESS";
    if (!mayPass || attempt >= attempts) {
      throw new ApiError(problem.error ?? "UNREADABLE", answer.status, problem, key);
    }
    const asked = Number(answer.headers.get("retry-after")) * 1000;
    await pause(Math.max(Number.isFinite(asked) ? asked : 0, backOff(attempt)));
  }
}

function read(answer: Response, text: string, key: string | undefined): unknown {
  if (answer.status === 204 || text === "") return undefined;
  if (!(answer.headers.get("content-type") ?? "").includes("json")) return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("UNREADABLE", answer.status, {}, key);
  }
}

function problemOf(text: string): Partial<Problem> {
  try {
    const read: unknown = JSON.parse(text);
    return typeof read === "object" && read !== null ? (read as Partial<Problem>) : {};
  } catch {
    return {};
  }
}

/** Twice as long each time, and not all callers at one moment. */
function backOff(attempt: number): number {
  const most = Math.min(BACK_OFF_MS * 2 ** (attempt - 1), BACK_OFF_MS_MAX);
  return most / 2 + (Math.random() * most) / 2;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
