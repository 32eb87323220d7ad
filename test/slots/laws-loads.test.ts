// Law 6 of the contract over real sockets: nothing is loaded again and again, loads take turns, and carry their options.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { startStack } from "../stack.ts";

const unwatched = { pollMs: 60_000, touchMs: 0 };
const two = [
  { name: "primary", model: "tiny-a", isDefault: true },
  { name: "second", model: "tiny-b" },
];

describe("after a failed load", () => {
  test("requests get the error at once with Retry-After, and lemond gets nothing", async () => {
    await using stack = await startStack({ loaded: [], lemonade: unwatched });
    stack.lemond.failLoads("tiny-a", 10);
    expect(await ended(stack.chat())).toMatchObject({ status: 502, label: "failed" });
    const calls = stack.lemond.calls.length;
    const replies = await Promise.all(Array.from({ length: 20 }, (_, nth) => ended(stack.chat({ stream: nth > 9 }))));
    for (const { status, label, headers } of replies) {
      expect({ status, label }).toEqual({ status: 502, label: "backed_off" });
      expect(Number(headers.get("retry-after"))).toBeWithin(1, 6);
    }
    expect(stack.lemond.calls.length).toBe(calls);
    expect(stack.lemond.count("/v1/load")).toBe(1);
  });

  test("adopting a child that somebody else loaded ends the back-off", async () => {
    await using stack = await startStack({ loaded: [], lemonade: { pollMs: 20, touchMs: 0 } });
    stack.lemond.failLoads("tiny-a", 1);
    expect(await ended(stack.chat())).toMatchObject({ status: 502, label: "failed" });
    expect(await ended(stack.chat())).toMatchObject({ status: 502, label: "backed_off" });
    expect((await stack.lemond.load("tiny-a")).status).toBe(200);
    await stack.slotIs(({ state }) => state === "ready");
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
    expect((await stack.slot()).last_error).toBeNull();
    // The next death is not held against it: its repair starts at once.
    await stack.child().kill();
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: expect.stringMatching(/recovered|loaded/) });
  });

  test("all slots are read back: what lemond evicted for it is known to be offline", async () => {
    await using stack = await startStack({
      lemond: { maxModels: -1 },
      slots: two,
      loaded: ["tiny-a"],
      lemonade: unwatched,
    });
    expect(await stack.slot("primary")).toMatchObject({ state: "ready" });
    stack.lemond.failLoads("tiny-b", 10);
    expect(await ended(stack.chat({ model: "second" }))).toMatchObject({ status: 502, label: "failed" });
    expect(stack.lemond.listed()).toEqual([]); // A failed load evicts every other model.
    expect(await stack.slot("primary")).toMatchObject({ state: "offline", url: null });
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "loaded", how: "whole" });
    expect(stack.lemond.count("/v1/load", "tiny-b")).toBe(1);
  });
});

describe("loads of all slots take turns", () => {
  test("the second is not sent before the first is done", async () => {
    await using stack = await startStack({ lemond: { maxModels: -1 }, slots: two, loaded: [], lemonade: unwatched });
    const latch = stack.lemond.holdLoads();
    const replies = two.map(({ name }) => ended(stack.chat({ model: name })));
    await stack.lemond.receivedAny("/v1/load");
    await stack.slotIs(({ waiting }) => waiting === 1, "second");
    await stack.slotIs(({ waiting }) => waiting === 1, "primary");
    expect(stack.lemond.count("/v1/load")).toBe(1);
    latch.release();
    for (const reply of await Promise.all(replies)) expect(reply).toMatchObject({ status: 200, label: "loaded" });
    expect(stack.lemond.count("/v1/load")).toBe(2);
  });

  test("read-back and warm-up included", async () => {
    const lemond = { maxModels: -1, warmMs: 400, answerLoadEarly: true };
    await using stack = await startStack({ lemond, slots: two, loaded: [], lemonade: unwatched });
    const first = ended(stack.chat({ model: "primary" }));
    await stack.slotIs(({ state }) => state === "warming", "primary");
    const sent = stack.lemond.received("/v1/load", ({ model }) => model === "tiny-b");
    const second = ended(stack.chat({ model: "second" }));
    await sent;
    expect(["ready", "serving"]).toContain((await stack.slot("primary")).state);
    for (const reply of [await first, await second]) expect(reply).toMatchObject({ status: 200, label: "loaded" });
  });
});

describe("a load carries options", () => {
  test.each(["10.6", "11.7"] as const)("the slot's own, as they are configured (lemond %s)", async (version) => {
    const load = { ctx_size: 8192, llamacpp_args: "--no-mmap" };
    await using stack = await startStack({
      lemond: { version },
      slots: [{ name: "primary", model: "tiny-a", load }],
      loaded: [],
      lemonade: unwatched,
    });
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "loaded" });
    await stack.child().kill();
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "recovered" });
    const bodies = stack.lemond.calls.filter(({ route }) => route === "/v1/load").map(({ body }) => body);
    expect(bodies).toEqual([
      { ...load, model_name: "tiny-a" },
      { ...load, model_name: "tiny-a" },
    ]);
  });

  test.each(["10.6", "11.7"] as const)(
    "those another client gave the model, where none are configured (lemond %s)",
    async (version) => {
      await using stack = await startStack({ lemond: { version }, loaded: [], lemonade: { pollMs: 20, touchMs: 0 } });
      const own = { ctx_size: 2048, llamacpp_args: "--no-mmap" };
      await stack.lemond.load("tiny-a", own);
      const { pid } = stack.child();
      await stack.slotIs((slot) => slot.pid === pid);
      const before = await shownOptions(stack.lemond.url);
      expect(before).toMatchObject(own);
      await stack.child().kill();
      expect((await ended(stack.chat())).status).toBe(200);
      expect(stack.child().pid).not.toBe(pid);
      expect(await shownOptions(stack.lemond.url)).toEqual(before);
      const load = stack.lemond.calls.findLast(({ route }) => route === "/v1/load");
      expect(load?.body).toEqual({ ...before, model_name: "tiny-a" });
    },
  );
});

/** `recipe_options` of the only model in lemond's health. */
async function shownOptions(url: string): Promise<Record<string, unknown>> {
  const health = JSON.parse(await (await fetch(`${url}/v1/health`, { headers: { connection: "close" } })).text());
  return health.all_models_loaded[0].recipe_options;
}
