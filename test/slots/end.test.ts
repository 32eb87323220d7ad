// The end of the server: what was accepted is finished or told that the server stops, and nothing is left half done.
import { describe, expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { startRemote } from "../remote.ts";
import { startStack, type Stack } from "../stack.ts";

const act = (stack: Stack, action: string): Promise<Response> =>
  stack.post(`/api/slots/primary/${action}`, { model: "tiny-b" });
const holding = [{ name: "primary", model: "tiny-a", isDefault: true, gate: "hold" as const }];

describe("told to stop while an operator's order is carried out", () => {
  test.each(["restart", "swap"])("%s is finished: what it unloaded it loads", async (action) => {
    await using stack = await startStack({ lemond: { unloadMs: 1000 }, server: { drainMs: 20_000 } });
    const done = act(stack, action);
    await stack.lemond.receivedAny("/v1/unload");
    const stopped = stack.server.stop();
    expect((await done).status).toBe(200);
    await stopped;
    expect(stack.lemond.listed()).toEqual([action === "swap" ? "tiny-b" : "tiny-a"]);
  });

  test("the request that waits at its gate is answered too", async () => {
    await using stack = await startStack({ lemond: { unloadMs: 500 }, slots: holding, server: { drainMs: 20_000 } });
    const done = act(stack, "restart");
    await stack.lemond.receivedAny("/v1/unload");
    const held = ended(stack.chat());
    await stack.slotIs(({ waiting }) => waiting === 1);
    const stopped = stack.server.stop();
    expect(await held).toMatchObject({ status: 200, how: "whole" });
    expect((await done).status).toBe(200);
    await stopped;
  });

  test("one that outlasts drain_s is told that the server stops", async () => {
    await using stack = await startStack({ server: { drainMs: 200 } });
    const latch = stack.lemond.holdLoads();
    const done = ended(act(stack, "restart"));
    await stack.slotIs(({ state }) => state === "starting");
    const stopped = stack.server.stop();
    const reply = await done;
    expect(reply).toMatchObject({ status: 503, code: "server.draining" });
    expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
    latch.release();
    await stopped;
  });
});

test("a request that waits for lemond's list of models is counted: it is answered before the end", async () => {
  await using lemond = await startLemond();
  const asked = Promise.withResolvers<void>();
  let isStarted = false;
  await using between = startBetween(lemond, async ({ path, pass }) => {
    if (path !== "/v1/models") return pass();
    // Not known at the start, so that it is asked for again.
    if (!isStarted) return new Response(null, { status: 500 });
    asked.resolve();
    await Bun.sleep(1500); // Longer than the time that replies under way are given at the end.
    return pass();
  });
  await using stack = await startStack({ sharedLemond: between, loaded: [], server: { drainMs: 20_000 } });
  isStarted = true;
  const reply = ended(stack.chat({ model: "tiny-b" }));
  await asked.promise;
  const stopped = stack.server.stop();
  expect(await reply).toMatchObject({ status: 200, how: "whole" });
  await stopped;
});

test("requests and an order that outlast drain_s on several slots are all told that the server stops", async () => {
  const slots = [...holding, { name: "second", model: "tiny-b" }];
  await using stack = await startStack({ slots, lemond: { maxModels: 2 }, server: { drainMs: 300 } });
  const latch = stack.lemond.holdLoads();
  const restarted = ended(act(stack, "restart"));
  await stack.slotIs(({ state }) => state === "starting");
  const held = [false, true].flatMap((stream) =>
    ["primary", "second"].map((model) => ended(stack.chat({ model, stream }))),
  );
  await stack.slotIs(({ waiting }) => waiting === 2, "primary");
  await stack.slotIs(({ waiting }) => waiting === 2, "second");
  const stopped = stack.server.stop();
  for (const reply of await Promise.all([restarted, ...held]))
    expect(reply).toMatchObject({ status: 503, code: "server.draining" });
  latch.release();
  await stopped;
  const statuses = stack.logged("dispatch.decision").map(({ status }) => status);
  expect(statuses).toEqual([503, 503, 503, 503]);
});

test("a stream that breaks while the server ends starts no load that the end would leave half done", async () => {
  const slots = [
    { name: "primary", model: "tiny-a" },
    { name: "second", model: "tiny-b" },
  ];
  const loaded = ["tiny-a", "tiny-b"];
  await using stack = await startStack({
    lemond: { version: "10.6", maxModels: 2 },
    slots,
    loaded,
    server: { drainMs: 20_000 },
  });
  const broken = await stack.chat({ model: "primary", stream: true, sim: { tokens: 1000, tokenMs: 20 } });
  const whole = await stack.chat({ model: "second", stream: true, sim: { tokens: 50, tokenMs: 20 } });
  const stopped = stack.server.stop();
  await stack.child().kill();
  expect(await ended(broken)).toMatchObject({ how: "interrupted" });
  expect(await ended(whole)).toMatchObject({ how: "whole" });
  await stopped;
  expect([stack.lemond.loads("tiny-a"), stack.lemond.unloads()]).toEqual([1, 0]);
});

test("streams that outlast drain_s end with the words that the server stops, each in its dialect", async () => {
  const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  await using far = await startRemote(`${head}data: {"choices":[]}\n\n`, { staysOpen: true });
  const upstreams = [{ name: "far", url: far.url, apiKey: null, models: ["far/*"] }];
  await using stack = await startStack({ server: { drainMs: 200 }, upstreams });
  const sim = { tokens: 1000, tokenMs: 20 };
  const ask = { stream: true, messages: [{ role: "user", content: "x" }], prompt: "x", input: "x", max_tokens: 9, sim };
  const openai = /\n\ndata: (.*)\n\n$/;
  const table = [
    ["/v1/chat/completions", ask, openai],
    ["/v1/chat/completions", { ...ask, model: "far/m" }, openai],
    ["/v1/completions", ask, openai],
    ["/v1/messages", ask, /\n\nevent: error\ndata: (.*)\n\n$/],
    ["/v1/responses", ask, /\n\nevent: response\.failed\ndata: (.*)\n\n$/],
    ["/api/chat", ask, /\n(.*)\n$/],
  ] as const;
  const streams = await Promise.all(table.map(([path, body]) => stack.post(path, body)));
  const texts = streams.map((stream) => stream.text());
  await stack.server.stop();
  for (const [at, [path, , last]] of table.entries()) {
    const text = (await texts[at]) ?? "";
    const { error } = JSON.parse(last.exec(text)?.[1] ?? "{}");
    const { code, message, retry_after_s } = typeof error === "string" ? { message: error } : error;
    expect([path, message]).toEqual([path, "The server is stopping."]);
    if (path !== "/api/chat") expect([code, retry_after_s]).toEqual(["server.draining", 1]);
    expect(text).not.toContain("[DONE]");
  }
  expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
});
