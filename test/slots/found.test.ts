// Faults that a review and the fault campaign found, each with the scene in which it showed.
import { expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { promptsOf } from "../prompts.ts";
import { startStack, stackConfig } from "../stack.ts";

const unwatched = { pollMs: 60_000, touchMs: 0 };
const both = [
  { name: "primary", model: "tiny-a", isDefault: true },
  { name: "second", model: "tiny-b" },
];

test.each(["10.6", "11.7"] as const)(
  "a load that waited for room is not followed by a new attempt on the child that goes (lemond %s)",
  async (version) => {
    await using stack = await startStack({ lemond: { version }, slots: both, loaded: ["tiny-b"] });
    let isOver = false;
    // An agent: each stream begins the moment the last one has ended.
    const agent = (async () => {
      const ends: string[] = [];
      while (!isOver)
        ends.push((await ended(stack.chat({ model: "second", stream: true, sim: { tokens: 6, tokenMs: 20 } }))).how);
      return ends;
    })();
    for (let round = 0; round < 3; round++) {
      expect((await ended(stack.chat({ model: "primary" }))).status).toBe(200);
      await stack.slotIs(({ state }) => state === "serving", "second");
    }
    isOver = true;
    expect(new Set(await agent)).toEqual(new Set(["whole"]));
  },
);

test("a client that leaves before a child with a hidden pid has said who it is leaves no socket", async () => {
  await using stack = await startStack({ lemond: { pids: "hidden" } });
  await stack.child().set({ hang: true });
  const leave = new AbortController();
  const chats = Array.from({ length: 20 }, () => stack.chat({ signal: leave.signal }).catch(() => null));
  await stack.slotIs(({ in_flight }) => in_flight === 20);
  leave.abort();
  await Promise.all(chats);
  await stack.slotIs(({ in_flight }) => in_flight === 0);
  for (let tries = 0; tries < 200 && (await stack.child().openSockets()) > 0; tries++) await Bun.sleep(10);
  expect(await stack.child().openSockets()).toBe(0);
});

test("a stream of a slot that a reload took away runs to its end while the server drains", async () => {
  await using stack = await startStack({ slots: both, loaded: ["tiny-b"], server: { drainMs: 5000 } });
  const response = await stack.chat({ model: "second", stream: true, sim: { tokens: 20, tokenMs: 50 } });
  stack.server.reload(stackConfig(stack.lemond.url, { slots: both.slice(0, 1) }));
  const stopped = stack.server.stop();
  expect(await ended(Promise.resolve(response))).toMatchObject({ how: "whole" });
  await stopped;
});

test("a request that is held when the server's patience ends is told so", async () => {
  await using stack = await startStack({ loaded: [], server: { drainMs: 100 } });
  const latch = stack.lemond.holdLoads();
  const held = ended(stack.chat());
  await stack.slotIs(({ waiting }) => waiting === 1);
  const stopped = stack.server.stop();
  expect(await held).toMatchObject({ status: 503, code: "server.draining" });
  latch.release();
  await stopped;
});

test("a stream that loses its child by the evidence alone is repaired in the background too", async () => {
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  let isHidden = false;
  await using between = startBetween(lemond, async ({ path, pass }) => {
    if (path === "/v1/load") {
      isHidden = false;
      await lemond.unload("tiny-a"); // What it lost sight of it does not bring back.
    }
    const answer = await pass();
    if (path !== "/v1/health" || !isHidden) return answer;
    return Response.json({ ...JSON.parse(await answer.text()), all_models_loaded: [] });
  });
  await using stack = await startStack({
    sharedLemond: between,
    loaded: [],
    lemonade: { pollMs: 200, touchMs: 0 },
    continues: false,
  });
  const response = await stack.chat({ stream: true, sim: { tokens: 1000, tokenMs: 20 } });
  isHidden = true;
  expect(await ended(response)).toMatchObject({ how: "interrupted" });
  await stack.line("dispatch.upstream_recovered", ({ outcome }) => outcome === "recovered");
  expect(stack.repairs).toMatchObject([{ cause: "evicted", outcome: "recovered" }]);
  expect(lemond.count("/v1/load")).toBe(2);
});

test("a lemond that denies our key fails a request at once, and says why", async () => {
  await using stack = await startStack({ lemond: { apiKey: "right" }, loaded: [], lemonade: { apiKey: "wrong" } });
  const began = performance.now();
  const reply = await ended(stack.chat());
  expect(reply).toMatchObject({ status: 502, label: "failed" });
  expect(JSON.stringify(reply.details)).toContain("denies access");
  expect(performance.now() - began).toBeLessThan(3000);
  expect(await stack.line("lemonade.unreachable")).toMatchObject({ error: expect.stringContaining("401") });
});

test("between two touches lemond is asked again what it lists", async () => {
  const lemonade = { touchMs: 100, pollMs: 100 };
  await using stack = await startStack({
    lemond: { maxModels: 2 },
    slots: both,
    loaded: ["tiny-a", "tiny-b"],
    lemonade,
  });
  const stream = (model: string) => ended(stack.chat({ model, stream: true, sim: { tokens: 20, tokenMs: 50 } }));
  await Promise.all([stream("primary"), stream("second")]);
  const asked = stack.lemond.calls.map(({ route }) => route);
  const touches = asked.flatMap((route, at) => (route === "/v1/load" ? [at] : [])).slice(2);
  expect(touches.length).toBeGreaterThan(3);
  expect(touches.filter((at) => asked[at - 1] !== "/v1/health")).toEqual([]);
});

test("two swaps at once never end with one model in two slots", async () => {
  await using stack = await startStack({ slots: both, lemond: { maxModels: 2 }, loaded: ["tiny-a", "tiny-b"] });
  const swap = (name: string): Promise<Response> => stack.post(`/api/slots/${name}/swap`, { model: "tiny-slow" });
  const statuses = (await Promise.all([swap("primary"), swap("second")])).map(({ status }) => status);
  expect(statuses.toSorted()).toEqual([200, 400]);
});

test("a load that fails tells its reason to the client where nothing could be dialled", async () => {
  await using stack = await startStack({ loaded: [] });
  stack.lemond.failLoads("tiny-a", 1, "out of memory");
  const reply = await ended(stack.chat());
  expect(reply).toMatchObject({ status: 502, label: "failed", details: { error: "ConnectError" } });
  expect(String(reply.details["cause"])).toMatch(/^not loaded: .*out of memory/);
  const again = await ended(stack.chat());
  expect(again).toMatchObject({ status: 502, label: "backed_off" });
  expect(String(again.details["cause"])).toContain("out of memory");
});

test.each(["10.6", "11.7"] as const)(
  "a child that lives and no longer listens gets no prompt through the model that took its port (lemond %s)",
  async (version) => {
    const lemond = { version, ports: "reuse", maxModels: -1 } as const;
    await using stack = await startStack({ lemond, slots: both, loaded: ["tiny-a", "tiny-b"], lemonade: unwatched });
    const deaf = stack.child("tiny-a");
    await deaf.set({ refuse: true });
    await stack.child("tiny-b").kill();
    expect((await ended(stack.chat({ model: "second" }))).text).toContain("tiny-b token 1");
    expect(stack.child("tiny-b").port).toBe(deaf.port);
    expect(deaf.isAlive).toBe(true);

    const replies = await Promise.all([false, true].map((stream) => ended(stack.chat({ model: "primary", stream }))));
    for (const reply of replies) {
      expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
      expect(reply.text).toContain("tiny-a token 1");
    }
    expect(await promptsOf(stack.child("tiny-b"))).toEqual([1]);
    expect([stack.lemond.loads("tiny-a"), stack.lemond.loads("tiny-b")]).toEqual([2, 2]);
    expect(stack.child("tiny-b").isAlive).toBe(true);
  },
);

test("a request that comes when a load is about to take its child's room is not sent to that child", async () => {
  await using stack = await startStack({ slots: both, loaded: ["tiny-a"], lemonade: unwatched });
  const goes = stack.child("tiny-a");
  const stream = ended(stack.chat({ model: "primary", stream: true, sim: { tokens: 40, tokenMs: 20 } }));
  await stack.slotIs(({ in_flight }) => in_flight === 1, "primary");
  const asked = stack.lemond.count("/v1/health");
  const second = ended(stack.chat({ model: "second" }));
  // It asks what is loaded, and once more when it has its turn: then it waits for the stream.
  while (stack.lemond.count("/v1/health") < asked + 2) await Bun.sleep(1);
  const latch = stack.lemond.holdHealth();
  expect((await stream).how).toBe("whole");
  const primary = ended(stack.chat({ model: "primary" }));
  await stack.slotIs(({ waiting }) => waiting === 1, "primary");
  expect(await promptsOf(goes)).toEqual([1]);
  latch.release();
  expect([(await second).status, (await primary).status]).toEqual([200, 200]);
});

test("a load waits for a stream that began while another one was waited for", async () => {
  const slots = [...both, { name: "third", model: "tiny-slow" }];
  await using stack = await startStack({
    lemond: { maxModels: 2 },
    slots,
    loaded: ["tiny-a", "tiny-b"],
    lemonade: unwatched,
  });
  const stream = (model: string, tokens: number) =>
    ended(stack.chat({ model, stream: true, sim: { tokens, tokenMs: 20 } }));
  const [long, short] = [stream("second", 40), stream("primary", 5)];
  await stack.slotIs(({ in_flight }) => in_flight === 1, "second");
  await stack.slotIs(({ in_flight }) => in_flight === 1, "primary");
  const third = ended(stack.chat({ model: "third" }));
  await stack.slotIs(({ waiting }) => waiting === 1, "third");
  expect((await short).how).toBe("whole");
  const again = stream("primary", 60);
  expect([(await long).how, (await again).how, (await third).status]).toEqual(["whole", "whole", 200]);
});

test("a child that has its port to itself may call its model by another name than lemond does", async () => {
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  await using between = startBetween(lemond, async ({ path, pass }) => {
    const answer = await pass();
    return path === "/v1/health" ? new Response((await answer.text()).replaceAll("/models/", "repo:")) : answer;
  });
  await using stack = await startStack({ sharedLemond: between, loaded: [], lemonade: unwatched });
  await stack.child().set({ closeBeforeReply: 1 });
  expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "alive", how: "whole" });
  expect([lemond.count("/v1/load"), lemond.unloads()]).toEqual([1, 0]);
});

test.each([false, true])(
  "a status that no reply can have is a broken peer, and nothing is left behind (stream %p)",
  async (stream) => {
    await using stack = await startStack();
    const reply = await ended(stack.chat({ stream, sim: { status: 999 } }));
    expect(reply).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable" });
    expect(await stack.slot()).toMatchObject({ in_flight: 0 });
    expect(stack.logged("dispatch.decision").length).toBe(1);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
  },
);

test("a slot that has just been loaded is not idle, however long it was empty", async () => {
  await using stack = await startStack({ loaded: [], slots: [{ name: "primary", model: "tiny-a", idleAfterMs: 700 }] });
  await Bun.sleep(800); // The time itself is what is tested.
  await stack.lemond.load("tiny-a");
  expect(await stack.slotIs(({ pid }) => pid !== null)).toMatchObject({ state: "ready" });
  await stack.slotIs(({ state }) => state === "idle");
});

test("the request id of whoever found the slot dead is in every line of its repair", async () => {
  await using stack = await startStack({ lemond: { version: "10.6" }, lemonade: unwatched });
  await stack.child().kill();
  await ended(stack.chat({ headers: { "x-request-id": "mine" } }));
  for (const event of [
    "slot.recover_evicted_dispatched",
    "lemonade.provider.unload",
    "lemonade.provider.load",
    "dispatch.upstream_recovered",
  ])
    expect(stack.logged(event)).toMatchObject([{ request_id: "mine" }]);
});
