// A request never gets another model's answer: models whose names are nearly the same, and slots that have one model between them.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack, stackConfig, type Stack } from "../stack.ts";

const act = (stack: Stack, slot: string, action: string, model?: string): Promise<Response> =>
  stack.post(`/api/slots/${slot}/${action}`, { model });
const names = async ({ url }: Stack): Promise<string[]> =>
  JSON.parse(await (await fetch(`${url}/api/slots`)).text()).map(({ name }: { name: string }) => name);
/** So many answers of lemond's health, each of which shows every slot what is loaded. */
async function polls(stack: Stack, times: number): Promise<void> {
  for (let nth = 0; nth < times; nth++) await stack.lemond.received("/v1/health");
}

describe("two models that differ in lemond's prefix alone", () => {
  const models = [{ id: "tiny-a" }, { id: "user.tiny-a" }];

  test.each([
    ["user.tiny-a", "tiny-a", true],
    ["tiny-a", "user.tiny-a", true],
    ["tiny-a", "user.tiny-a", false],
  ] as const)(
    "a slot of %s does not take the child of %s, which was loaded before (auto_slots = %p)",
    async (own, other, autoSlots) => {
      await using stack = await startStack({
        lemond: { models, maxModels: -1 },
        slots: [{ name: "primary", model: own, isDefault: true }],
        loaded: [other],
        lemonade: { autoSlots },
      });
      const reply = await ended(stack.chat({ model: "primary" }));
      expect(reply).toMatchObject({ status: 200, label: "loaded", how: "whole" });
      expect(await promptsOf(stack.child(own), stack.child(other))).toEqual([1, 0]);
    },
  );

  test("a swap from one to the other brings none of its options along", async () => {
    await using stack = await startStack({
      lemond: { models, maxModels: -1 },
      slots: [{ name: "primary", model: "tiny-a" }],
      loaded: [],
    });
    expect((await fetch(`${stack.url}/v1/models`)).status).toBe(200);
    await stack.lemond.load("tiny-a", { ctx_size: 2048 });
    await stack.slotIs(({ state }) => state === "ready");
    expect((await act(stack, "primary", "swap", "user.tiny-a")).status).toBe(200);
    const load = stack.lemond.calls.findLast(({ route }) => route === "/v1/load");
    expect(load?.body).toEqual({ model_name: "user.tiny-a" });
  });

  test("where lemond knows one of them alone, both names are one slot's", async () => {
    await using stack = await startStack({
      lemond: { models: [{ id: "user.tiny-a" }] },
      slots: [{ name: "primary", model: "tiny-a", isDefault: true }],
      loaded: ["user.tiny-a"],
    });
    for (const model of ["primary", "tiny-a", "user.tiny-a"])
      expect(await ended(stack.chat({ model }))).toMatchObject({ status: 200, label: null });
    expect((await fetch(`${stack.url}/v1/models`)).status).toBe(200);
    await polls(stack, 2);
    expect(await names(stack)).toEqual(["primary"]);
  });
});

describe("a slot without a section of its own", () => {
  test("cannot be swapped: it stays the one slot of its child, and its name means its model", async () => {
    await using stack = await startStack({ slots: [], loaded: ["tiny-a"], lemond: { maxModels: 2 } });
    const reply = await ended(act(stack, "tiny-a", "swap", "tiny-b"));
    expect(reply).toMatchObject({ status: 409, code: "slot.busy" });
    await polls(stack, 2);
    expect(await names(stack)).toEqual(["tiny-a"]);
    expect((await ended(stack.chat({ model: "tiny-a" }))).text).toContain("tiny-a token 1");
    expect([stack.lemond.unloads(), stack.lemond.loads()]).toEqual([0, 1]);
  });

  const slots = [{ name: "primary", model: "tiny-a", isDefault: true }];
  /** Thirty seconds. */
  const long = { tokens: 3000, tokenMs: 10 };

  test("is drained before a configured slot is swapped to its model", async () => {
    await using stack = await startStack({
      slots,
      lemond: { maxModels: 2 },
      loaded: ["tiny-a", "tiny-b"],
      server: { drainMs: 10_000 },
    });
    await stack.slotIs(({ state }) => state === "ready", "tiny-b");
    const sim = { tokens: 20, tokenMs: 40 };
    const stream = ended(stack.chat({ model: "tiny-b", stream: true, sim }));
    await stack.slotIs(({ in_flight }) => in_flight === 1, "tiny-b");
    const swapped = act(stack, "primary", "swap", "tiny-b");
    const held = await ended(stack.chat({ model: "tiny-b" }));
    expect(held).toMatchObject({ status: 503, code: "slot.loading", details: { slot: "primary" } });
    expect(stack.lemond.unloads()).toBe(0);
    expect(await stream).toMatchObject({ status: 200, how: "whole" });
    expect((await swapped).status).toBe(200);
    expect(await names(stack)).toEqual(["primary"]);
  });

  test("whose stream outlasts drain_s ends aloud, and the configured slot counts all that is on the child", async () => {
    await using stack = await startStack({
      slots,
      lemond: { maxModels: 2 },
      loaded: ["tiny-a", "tiny-b"],
      server: { drainMs: 300 },
    });
    await stack.slotIs(({ state }) => state === "ready", "tiny-b");
    const stream = await stack.chat({ model: "tiny-b", stream: true, sim: long });
    expect((await act(stack, "primary", "swap", "tiny-b")).status).toBe(200);
    expect(await ended(stream)).toMatchObject({ status: 200, how: "interrupted", code: "dispatch.stream_interrupted" });
    await polls(stack, 2);
    expect(await names(stack)).toEqual(["primary"]);
    expect(await stack.slot()).toMatchObject({ state: "ready", model: "tiny-b", pid: stack.child("tiny-b").pid });
    expect(stack.lemond.loads("tiny-b")).toBe(1);
  });

  describe("that a reload gave a section", () => {
    const given = async (drainMs: number): Promise<Stack> => {
      const stack = await startStack({ slots: [], loaded: ["tiny-a"], server: { drainMs } });
      await stack.slotIs(({ state }) => state === "ready", "tiny-a");
      return stack;
    };
    const reload = async (stack: Stack, drainMs: number): Promise<void> => {
      stack.server.reload(stackConfig(stack.lemond.url, { slots, server: { drainMs } }));
      await stack.slotIs(({ state }) => state === "ready");
    };

    test("is drained by an order to that section's slot", async () => {
      await using stack = await given(10_000);
      const stream = ended(stack.chat({ model: "tiny-a", stream: true, sim: { tokens: 30, tokenMs: 20 } }));
      await stack.slotIs(({ in_flight }) => in_flight === 1, "tiny-a");
      await reload(stack, 10_000);
      expect((await act(stack, "primary", "unload")).status).toBe(200);
      expect(await stream).toMatchObject({ status: 200, how: "whole" });
    });

    test("ends aloud when that order has waited for drain_s, and repairs nothing behind it", async () => {
      await using stack = await given(300);
      const stream = await stack.chat({ model: "tiny-a", stream: true, sim: long });
      await reload(stack, 300);
      expect((await act(stack, "primary", "unload")).status).toBe(200);
      expect(await ended(stream)).toMatchObject({ status: 200, how: "interrupted" });
      await polls(stack, 5);
      expect(stack.lemond.listed()).toEqual([]);
      expect(stack.lemond.loads()).toBe(1);
    });
  });
});
