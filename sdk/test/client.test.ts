// The client against a server of the test's own making: what is sent, what is sent again, and what a failure becomes. The journey
// `a_partner_follows_the_guide` runs it against the real one.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import test from "node:test";
import { ApiError, client, NoAnswer } from "../src/client.js";

interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
}
type Reply = (response: ServerResponse) => void;

const problem = (status: number, error: string, headers: Record<string, string> = {}): Reply => (response) => {
  response.writeHead(status, { "content-type": "application/problem+json", ...headers });
  response.end(JSON.stringify({ error, detail: `It is ${error}.`, status, current_balance: 7 }));
};
const good: Reply = (response) => response.writeHead(201, { "content-type": "application/json" }).end('{"status":"SUCCESS"}');
const silence: Reply = (response) => response.destroy();

/** Answers with these in their order. */
async function serving(replies: Reply[], run: (url: string, seen: Seen[]) => Promise<void>): Promise<void> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body: Buffer.concat(parts).toString() });
    (replies[seen.length - 1] ?? silence)(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const spend = { body: { points: 5, user_id: "amina" } };

test("what may pass is asked again under one key", async () => {
  const replies = [problem(503, "DEPENDENCY_UNAVAILABLE"), silence, problem(409, "IDEMPOTENCY_IN_PROGRESS"), problem(429, "RATE_LIMIT_EXCEEDED"), good];
  await serving(replies, async (url, seen) => {
    assert.equal((await client({ url, key: "lk" }).redeem(spend)).status, "SUCCESS");
    const keys = new Set(seen.map((it) => it.headers["idempotency-key"]));
    assert.equal(seen.length, 5);
    assert.equal(keys.size, 1);
    assert.match([...keys][0] as string, /^[0-9a-f-]{36}$/);
    assert.deepEqual([seen[4]?.method, seen[4]?.url, seen[4]?.headers["x-api-key"]], ["POST", "/api/v1/loyalty/redemptions", "lk"]);
    assert.deepEqual(JSON.parse(seen[4]?.body ?? ""), spend.body);
  });
});

test("what is refused is told once, by its code", async () => {
  await serving([problem(409, "INSUFFICIENT_BALANCE")], async (url, seen) => {
    const told = await client({ url, key: "lk" }).redeem({ ...spend, idempotencyKey: "order 7" }).catch((error: unknown) => error);
    assert.ok(told instanceof ApiError);
    assert.deepEqual([told.code, told.status, told.problem.current_balance, told.idempotencyKey], ["INSUFFICIENT_BALANCE", 409, 7, "order 7"]);
    assert.equal(seen.length, 1);
  });
});

test("what changes something without a key is sent once", async () => {
  await serving([silence], async (url, seen) => {
    const told = await client({ url, key: "lk" }).createWebhook({ body: { url: "https://x.example" } }).catch((error: unknown) => error);
    assert.ok(told instanceof NoAnswer);
    assert.deepEqual([seen.length, told.idempotencyKey], [1, undefined]);
  });
});

test("nothing that answers is told with the key to ask again", async () => {
  await serving([], async (url, seen) => {
    const told = await client({ url, key: "lk", attempts: 2 }).redeem({ ...spend, idempotencyKey: "k" }).catch((error: unknown) => error);
    assert.ok(told instanceof NoAnswer);
    assert.deepEqual([seen.length, told.idempotencyKey], [2, "k"]);
  });
});

test("a wait that is asked for is kept", async () => {
  await serving([problem(503, "DEPENDENCY_UNAVAILABLE", { "retry-after": "1" }), good], async (url) => {
    const begun = performance.now();
    await client({ url, token: async () => "t" }).redeem(spend);
    assert.ok(performance.now() - begun >= 990);
  });
});

test("parameters stand where they belong", async () => {
  await serving([good, good], async (url, seen) => {
    const daftari = client({ url: `${url}/`, token: "t", userId: "amina" });
    await daftari.getTransaction({ path: { transaction_id: "a/b c" } });
    await daftari.listTransactions({ query: { limit: 5, "created[gte]": "2026-01-15T10:00:00Z" } });
    assert.deepEqual([seen[0]?.url, seen[0]?.headers.authorization, seen[0]?.headers["x-user-id"]], ["/api/v1/loyalty/transactions/a%2Fb%20c", "Bearer t", "amina"]);
    assert.equal(seen[1]?.url, "/api/v1/loyalty/transactions?limit=5&created%5Bgte%5D=2026-01-15T10%3A00%3A00Z");
    assert.equal(seen[0]?.headers["idempotency-key"], undefined);
  });
});
