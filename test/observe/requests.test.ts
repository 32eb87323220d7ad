// GET /api/requests: what is recorded of a request when it has ended, however it ends.
import { expect, test } from "bun:test";
import type { RequestRecord } from "../../src/observe/requests.ts";
import { follow } from "../feed.ts";
import { startRemote } from "../remote.ts";
import { startStack, type Stack } from "../stack.ts";

/** No poll may notice an eviction before the request does. */
const UNNOTICED = { pollMs: 60_000 };

async function listed(stack: Stack): Promise<RequestRecord[]> {
  const response = await fetch(`${stack.url}/api/requests`);
  return (await response.json()) as RequestRecord[];
}

/** The newest record, once there are so many. */
async function recorded(stack: Stack, count = 1): Promise<RequestRecord> {
  for (let tries = 0; tries < 500; tries++) {
    const [newest, ...older] = await listed(stack);
    if (newest && older.length === count - 1) return newest;
    await Bun.sleep(10);
  }
  throw new Error(`there are not ${count} records: ${JSON.stringify(await listed(stack))}`);
}

const FIELDS = [
  "at",
  "request_id",
  "route",
  "model",
  "upstream",
  "stream",
  "status",
  "repair",
  "waited_ms",
  "first_byte_ms",
  "took_ms",
  "prompt_tokens",
  "completion_tokens",
  "tokens_per_second",
  "fallback",
  "continued",
];

test("a plain chat and a stream are recorded, newest first, with what the child counted", async () => {
  await using stack = await startStack();
  await (await stack.chat({ model: "tiny-a", headers: { "x-request-id": "plain" } })).text();
  await (await stack.chat({ stream: true, tokens: 6, headers: { "x-request-id": "streamed" } })).text();
  await recorded(stack, 2);
  const [streamed, plain] = await listed(stack);
  expect(Object.keys(plain ?? {})).toEqual(FIELDS);
  expect(plain).toMatchObject({
    request_id: "plain",
    route: "chat/completions",
    model: "tiny-a",
    upstream: "primary",
    stream: false,
    status: 200,
    repair: null,
    prompt_tokens: 9,
    completion_tokens: 4,
    tokens_per_second: 8417.5,
    fallback: null,
    continued: false,
  });
  expect(streamed).toMatchObject({
    request_id: "streamed",
    model: null,
    upstream: "primary",
    stream: true,
    status: 200,
    prompt_tokens: 9,
    completion_tokens: 6,
  });
  expect(Math.abs(Date.parse(streamed?.at ?? "") - Date.now())).toBeLessThan(10_000);
});

test.each(["completions", "responses", "messages", "embeddings"])(
  "a reply of %s tells its tokens too",
  async (route) => {
    const isVector = route === "embeddings";
    await using stack = await startStack(isVector ? { slots: [{ name: "primary", model: "tiny-emb" }] } : {});
    const body = { messages: [{ role: "user", content: "hi" }], input: "hi", prompt: "hi", max_tokens: 3 };
    for (const stream of isVector ? [false] : [false, true])
      await (await stack.post(`/v1/${route}`, { ...body, stream })).text();
    await recorded(stack, isVector ? 1 : 2);
    for (const { prompt_tokens, completion_tokens } of await listed(stack)) {
      expect(prompt_tokens).toBeGreaterThan(0);
      expect(completion_tokens).toBe(isVector ? null : 3);
    }
  },
);

test("a request that waited for its repair says how long, what was done, and when its first byte came", async () => {
  await using stack = await startStack({ lemonade: UNNOTICED });
  await stack.child().kill();
  await (await stack.chat({ stream: true, sim: { tokens: 4, tokenMs: 50 } })).text();
  const { repair, status, waited_ms, first_byte_ms, took_ms } = await recorded(stack);
  expect([repair, status]).toEqual(["recovered", 200]);
  expect(waited_ms).toBeGreaterThan(0);
  expect(first_byte_ms).toBeGreaterThanOrEqual(waited_ms ?? Number.NaN);
  expect(took_ms).toBeGreaterThanOrEqual((first_byte_ms ?? Number.NaN) + 100);
});

test("a stream is recorded when it ends, not when it begins", async () => {
  await using stack = await startStack();
  const reply = await stack.chat({ stream: true, sim: { tokens: 500, tokenMs: 20 } });
  await reply.body?.getReader().read();
  await stack.line("dispatch.decision");
  expect(await listed(stack)).toEqual([]);
});

test("a client that leaves in mid-stream, or before its answer, is recorded as 499", async () => {
  await using stack = await startStack();
  const abort = new AbortController();
  const reply = await stack.chat({ stream: true, sim: { tokens: 500, tokenMs: 20 }, signal: abort.signal });
  await reply.body?.getReader().read();
  abort.abort();
  expect(await recorded(stack)).toMatchObject({ status: 499, stream: true, upstream: "primary" });
  const second = new AbortController();
  const never = stack.chat({ sim: { hang: true }, signal: second.signal }).catch(() => null);
  await stack.slotIs(({ in_flight }) => in_flight === 1);
  second.abort();
  await never;
  expect(await recorded(stack, 2)).toMatchObject({ status: 499, stream: false, first_byte_ms: null });
});

test("a stream that broke off is recorded as 502, although its client was told 200 before", async () => {
  await using stack = await startStack({ lemonade: UNNOTICED, continues: false });
  const reply = await stack.chat({ stream: true, sim: { tokens: 50, tokenMs: 5, cutAfterBytes: 2000 } });
  expect(reply.status).toBe(200);
  await reply.text();
  const record = await recorded(stack);
  expect(record).toMatchObject({ status: 502, upstream: "primary", completion_tokens: null });
  expect(record.first_byte_ms).not.toBeNull();
});

test("a stream that was told of its wait has the status that it would have had, or 499 where its client left", async () => {
  await using stack = await startStack({ lemonade: UNNOTICED, server: { heartbeatMs: 20 }, loaded: [] });
  stack.lemond.failLoads("tiny-a", 9);
  const abort = new AbortController();
  const loads = stack.lemond.holdLoads();
  const left = await stack.chat({ stream: true, signal: abort.signal });
  const refused = await stack.chat({ stream: true });
  expect([left.status, refused.status]).toEqual([200, 200]);
  abort.abort();
  expect(await recorded(stack)).toMatchObject({ status: 499, upstream: "primary" });
  loads.release();
  expect(await refused.text()).toContain('data: {"error"');
  expect(await recorded(stack, 2)).toMatchObject({ status: 502, upstream: "primary", first_byte_ms: null });
});

test("what is refused is recorded with its status: no such model, no such body, a load that failed", async () => {
  await using stack = await startStack({ lemonade: UNNOTICED });
  const name = "x".repeat(1000);
  await (await stack.chat({ model: name })).text();
  expect(await recorded(stack)).toMatchObject({ status: 404, upstream: null, model: name.slice(0, 200) });
  await (await stack.post("/v1/embeddings", "{")).text();
  expect(await recorded(stack, 2)).toMatchObject({ status: 400, upstream: null, model: null, route: "embeddings" });
  stack.lemond.failLoads("tiny-a", 9);
  await stack.child().kill();
  await (await stack.chat()).text();
  expect(await recorded(stack, 3)).toMatchObject({ status: 502, repair: "failed", upstream: "primary" });
});

test("a remote's stream has its speed reckoned from its first byte to its last, and counts for no slot", async () => {
  const usage = JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 20 } });
  const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
  await using remote = await startRemote(`${head}data: {"choices":[]}\n\ndata: ${usage}\n\ndata: [DONE]\n\n`);
  const upstream = { name: "far", url: remote.url, apiKey: null, models: ["far/*"] };
  await using stack = await startStack({ upstreams: [upstream] });
  await (await stack.chat({ model: "far/one", stream: true })).text();
  const record = await recorded(stack);
  expect(record).toMatchObject({ upstream: "far", model: "far/one", prompt_tokens: 3, completion_tokens: 20 });
  const metrics = await (await fetch(`${stack.url}/metrics`)).text();
  expect(metrics).not.toMatch(/^hal0_dispatch_tokens_total\{/m);
});

test("tokens and their speed are counted for the slot", async () => {
  await using stack = await startStack();
  for (const stream of [false, true]) await (await stack.chat({ stream, tokens: 5 })).text();
  await recorded(stack, 2);
  const metrics = await (await fetch(`${stack.url}/metrics`)).text();
  expect(metrics).toContain('hal0_dispatch_tokens_total{slot="primary",kind="prompt"} 18');
  expect(metrics).toContain('hal0_dispatch_tokens_total{slot="primary",kind="completion"} 10');
  expect(metrics).toContain('hal0_dispatch_tokens_per_second_count{slot="primary"} 2');
});

test("the feed tells of each request that has ended, and what it adds to the day", async () => {
  await using stack = await startStack({ lemonade: UNNOTICED });
  await (await stack.chat({ headers: { "x-request-id": "before" } })).text();
  const feed = follow(await fetch(`${stack.url}/api/slots/events`));
  await feed.until(({ event }) => event === "history");
  await stack.child().kill();
  await (await stack.chat({ headers: { "x-request-id": "during" } })).text();
  const { data } = await feed.until(({ event }) => event === "request");
  expect(data).toEqual({ ...(await listed(stack))[0] });
  expect(data["request_id"]).toBe("during");
  const { data: totals } = await feed.until(
    ({ event, data }) => event === "totals" && JSON.stringify(data).includes('"served":2'),
  );
  expect(totals).toMatchObject({ today: { served: 2, recovered: 1 }, week: { served: 2, recovered: 1 } });
  await feed.cancel();
});

test("the last 200 are kept, and of a flood the feed tells the newest", async () => {
  await using stack = await startStack();
  const feed = follow(await fetch(`${stack.url}/api/slots/events`));
  await feed.until(({ event }) => event === "history");
  const ids = Array.from({ length: 450 }, (_, n) => `r${n}`);
  for (let at = 0; at < ids.length; at += 50)
    await Promise.all(
      ids.slice(at, at + 50).map(async (id) => (await stack.chat({ headers: { "x-request-id": id } })).text()),
    );
  const kept = await listed(stack);
  expect(kept).toHaveLength(200);
  expect(new Set(kept.map(({ request_id }) => request_id)).size).toBe(200);
  expect(kept.every(({ request_id }) => ids.indexOf(request_id) >= 200)).toBe(true);
  const newest = kept[0]?.request_id;
  await feed.until(({ event, data }) => event === "request" && data["request_id"] === newest);
  expect(feed.told.filter(({ event }) => event === "request").length).toBeLessThanOrEqual(450);
  await feed.cancel();
});

test("no record holds a prompt, an answer or a key, and records need a key where keys are set", async () => {
  await using stack = await startStack({ server: { apiKeys: ["the-key"] } });
  const headers = { authorization: "Bearer the-key" };
  await (await stack.chat({ headers })).text();
  expect((await fetch(`${stack.url}/api/requests`)).status).toBe(401);
  const reply = await fetch(`${stack.url}/api/requests`, { headers });
  const text = await reply.text();
  expect(text).toContain('"status":200');
  for (const secret of ["hello", "token 1", "the-key"]) expect(text).not.toContain(secret);
});

test("a count larger than any is not counted, and the metrics go on", async () => {
  await using stack = await startStack();
  const usage = '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1e308}}';
  const raw = btoa(`data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: ${usage}\n\ndata: [DONE]\n\n`);
  // In pieces, so that its speed is reckoned.
  await (await stack.chat({ stream: true, sim: { raw, contentType: "text/event-stream", chunkBytes: 60 } })).text();
  expect(await recorded(stack)).toMatchObject({ prompt_tokens: 3, completion_tokens: null, tokens_per_second: null });
  const metrics = await (await fetch(`${stack.url}/metrics`)).text();
  expect(metrics).toContain('hal0_dispatch_tokens_total{slot="primary",kind="prompt"} 3');
  expect(metrics).toContain('hal0_dispatch_tokens_total{slot="primary",kind="completion"} 0');
});
