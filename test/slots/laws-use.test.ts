// Laws 9 to 11 of the contract over real sockets: remotes are left alone, use is told to lemond, prompts are nobody's business.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { startStack, type Stack } from "../stack.ts";

describe("law 9: remotes are left alone", () => {
  test("no gate, no repair, no slot state: one attempt, its status is the answer, its key is its own", async () => {
    const seen: { authorization: string | null; body: string }[] = [];
    await using remote = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        seen.push({ authorization: request.headers.get("authorization"), body: await request.text() });
        return Response.json({ error: { message: "overloaded" } }, { status: 503 });
      },
    });
    const url = `http://127.0.0.1:${remote.port}/v1`;
    const upstreams = [{ name: "cloud", url, apiKey: "remote-key", models: ["cloud/*"] }];
    await using stack = await startStack({ upstreams, loaded: [], lemonade: { pollMs: 60_000 } });
    const headers = { authorization: "Bearer client-key" };
    const reply = await ended(stack.chat({ model: "cloud/x", headers }));
    expect(reply).toMatchObject({ status: 503, label: null, text: '{"error":{"message":"overloaded"}}' });
    expect(reply.headers.get("x-hal0-upstream")).toBe("cloud");
    expect(seen.map(({ authorization }) => authorization)).toEqual(["Bearer remote-key"]);
    const slots = await (await fetch(`${stack.url}/api/slots`)).text();
    expect(slots).not.toContain("cloud");
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([0, 0]);
  });

  test("a connection that a remote drops is not tried again", async () => {
    let connections = 0;
    const drop = { open: () => void connections++, data: (socket: { terminate(): void }) => socket.terminate() };
    using remote = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: drop });
    const upstreams = [{ name: "cloud", url: `http://127.0.0.1:${remote.port}/v1`, apiKey: null, models: ["cloud"] }];
    await using stack = await startStack({ upstreams, loaded: [], lemonade: { pollMs: 60_000 } });
    for (const stream of [false, true]) {
      const reply = await ended(stack.chat({ model: "cloud", stream }));
      expect(reply).toMatchObject({ status: 502, label: null, details: { upstream: "cloud", cause: "reset" } });
    }
    expect(connections).toBe(2);
    expect(stack.lemond.count("/v1/load")).toBe(0);
  });

  test("a remote's broken stream ends aloud, and nothing is repaired", async () => {
    await using other = await startStack(); // An OpenAI-compatible server like any other.
    const upstreams = [{ name: "cloud", url: `${other.child().url}`, apiKey: null, models: ["cloud"] }];
    await using stack = await startStack({ upstreams, loaded: [], lemonade: { pollMs: 60_000 } });
    const response = await stack.chat({ model: "cloud", stream: true, sim: { tokens: 1000, tokenMs: 20 } });
    await other.child().kill();
    const reply = await ended(response);
    expect(reply).toMatchObject({ status: 200, label: null, how: "interrupted", code: "dispatch.stream_interrupted" });
    expect(await stack.line("dispatch.stream_interrupted")).toMatchObject({ upstream: "cloud" });
    expect(stack.lemond.count("/v1/load")).toBe(0);
    expect(stack.repairs).toEqual([]);
  });
});

describe.concurrent("law 10: a model in use is not idle", () => {
  /** Direct chats for that long, one after the other. */
  const chatFor = async (stack: Stack, ms: number): Promise<(string | null)[]> => {
    const labels: (string | null)[] = [];
    for (const end = performance.now() + ms; performance.now() < end;) {
      const reply = await ended(stack.chat());
      expect(reply).toMatchObject({ status: 200, how: "whole" });
      labels.push(reply.label);
      await Bun.sleep(100); // The pace of a chat, not a wait for a state.
    }
    return labels;
  };

  test("with touches, idle eviction never takes it", async () => {
    await using stack = await startStack({ lemond: { idleEvictMs: 1500 }, lemonade: { pollMs: 50, touchMs: 250 } });
    const { pid } = stack.child();
    expect(new Set(await chatFor(stack, 3200))).toEqual(new Set([null]));
    expect(stack.child().pid).toBe(pid);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(stack.lemond.touches()).toBeWithin(3, 16); // At most every `touch_s`.
    expect(stack.logged("lemonade.touch").every(({ level }) => level === "debug")).toBe(true);
  });

  test("a stream that runs is use", async () => {
    await using stack = await startStack({ lemond: { idleEvictMs: 1200 }, lemonade: { pollMs: 50, touchMs: 200 } });
    const reply = await ended(stack.chat({ stream: true, sim: { tokens: 25, tokenMs: 100 } }));
    expect(reply).toMatchObject({ status: 200, how: "whole" });
    expect(stack.lemond.loads()).toBe(1);
  });

  test("without touches it is evicted while it is chatted with, and comes back", async () => {
    await using stack = await startStack({ lemond: { idleEvictMs: 800 }, lemonade: { pollMs: 50, touchMs: 0 } });
    const labels = await chatFor(stack, 1800);
    expect(stack.lemond.touches()).toBe(0);
    expect(stack.lemond.loads()).toBeGreaterThan(1);
    expect(labels.some((label) => label === "recovered" || label === "loaded")).toBe(true);
  });

  test("a touch carries exactly the options that health shows, and is sent only after use", async () => {
    await using stack = await startStack({ loaded: [], lemonade: { pollMs: 20, touchMs: 40 } });
    await stack.lemond.load("tiny-a", { ctx_size: 2048 });
    await stack.slotIs(({ state }) => state === "ready");
    const { pid } = stack.child();
    for (let polls = 0; polls < 10; polls++) await stack.lemond.received("/v1/health");
    expect(stack.lemond.touches()).toBe(0);
    const touch = stack.lemond.received("/v1/load");
    expect((await ended(stack.chat())).status).toBe(200);
    const listed = JSON.parse(await (await fetch(`${stack.lemond.url}/v1/health`)).text()).all_models_loaded[0];
    expect((await touch).body).toEqual({ ...listed.recipe_options, model_name: "tiny-a" });
    // What comes after the chat is told once, whatever was told while it ran.
    const duringChat = stack.lemond.touches();
    for (let polls = 0; polls < 10; polls++) await stack.lemond.received("/v1/health");
    expect(stack.lemond.touches()).toBeWithin(1, Math.max(duringChat, 1) + 2);
    expect([stack.lemond.loads(), stack.child().pid]).toEqual([1, pid]);
  });

  test("nothing is touched while a load is under way", async () => {
    const slots = [
      { name: "primary", model: "tiny-a", isDefault: true },
      { name: "second", model: "tiny-b" },
    ];
    await using stack = await startStack({ lemond: { maxModels: -1 }, slots, lemonade: { pollMs: 20, touchMs: 20 } });
    const latch = stack.lemond.holdLoads();
    const loading = ended(stack.chat({ model: "second" }));
    await stack.lemond.receivedAny("/v1/load", ({ model }) => model === "tiny-b");
    const touched = stack.lemond.count("/v1/load", "tiny-a");
    expect((await ended(stack.chat())).status).toBe(200);
    for (let polls = 0; polls < 5; polls++) await stack.lemond.received("/v1/health");
    expect(stack.lemond.count("/v1/load", "tiny-a")).toBe(touched);
    latch.release();
    expect(await loading).toMatchObject({ status: 200, label: "loaded" });
  });
});

test("law 11: no prompt, reply or key is in any line of the log, at any level, whatever happens", async () => {
  const canary = "canary-7f3a";
  await using stack = await startStack({
    lemond: { apiKey: `lemond-${canary}` },
    server: { apiKeys: [`own-${canary}`] },
    lemonade: { apiKey: `lemond-${canary}`, pollMs: 60_000 },
    upstreams: [{ name: "cloud", url: "http://127.0.0.1:1/v1", apiKey: `cloud-${canary}`, models: ["cloud"] }],
  });
  const say = (more: object, key = `own-${canary}`): Promise<Response> =>
    stack.post(
      "/v1/chat/completions",
      { messages: [{ role: "user", content: `my secret ${canary}` }], ...more },
      { headers: { authorization: `Bearer ${key}`, "x-api-key": key } },
    );
  expect((await ended(say({}))).status).toBe(200);
  expect((await ended(say({ stream: true }))).status).toBe(200);
  expect((await ended(say({}, `wrong-${canary}`))).status).toBe(401);
  expect((await ended(say({ model: "cloud" }))).status).toBe(502);
  expect((await ended(say({ stream: canary }))).status).toBe(400);
  expect((await ended(say({ sim: { status: 500 } }))).status).toBe(500);
  await stack.child().kill();
  expect(await ended(say({}))).toMatchObject({ status: 200, label: "recovered" });
  const broken = say({ stream: true, sim: { tokens: 9, tokenMs: 30, cutAfterBytes: 900, cut: "kill" } });
  expect(await ended(broken)).toMatchObject({ how: "interrupted" });
  await stack.line("dispatch.upstream_recovered", ({ outcome }) => outcome === "recovered");
  await stack.child().kill();
  stack.lemond.failLoads("tiny-a", 10);
  expect((await ended(say({}))).status).toBe(502);
  const log = JSON.stringify(stack.lines);
  expect(stack.lines.length).toBeGreaterThan(20);
  expect(log).not.toContain(canary);
  expect(log).not.toContain(btoa(canary));
  expect(log).not.toContain("tiny-a token");
});
