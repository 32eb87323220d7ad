// Section 5 over real sockets: what a request meets while an operator acts on its slot.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack, type Stack } from "../stack.ts";

const holding = [{ name: "primary", model: "tiny-a", isDefault: true, gate: "hold" as const }];
const act = (stack: Stack, action: string, body: unknown = {}): Promise<Response> =>
  stack.post(`/api/slots/primary/${action}`, body);

describe("a gate that rejects", () => {
  test("answers 503 slot.loading at once, with Retry-After and how far it is", async () => {
    await using stack = await startStack();
    const latch = stack.lemond.holdLoads();
    const restarted = act(stack, "restart");
    await stack.slotIs(({ state }) => state === "starting");
    for (const stream of [false, true]) {
      const { status, code, details, headers, label } = await ended(stack.chat({ stream }));
      expect({ status, code, label }).toEqual({ status: 503, code: "slot.loading", label: null });
      expect(details).toEqual({
        slot: "primary",
        state: "starting",
        retry_after_s: 15, // No load of ours is known yet.
        progress: { phase: "loading", requested_model: "tiny-a", upstream: "primary" },
      });
      expect(headers.get("retry-after")).toBe("15");
      expect(headers.get("x-hal0-upstream")).toBe("primary");
    }
    latch.release();
    expect((await restarted).status).toBe(200);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
    expect(await promptsOf(stack.child())).toEqual([1]);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 1]);
    expect(stack.repairs).toEqual([]);
  });

  test("knows from its own past loads how long this one may take", async () => {
    await using stack = await startStack();
    stack.lemond.setLoadMs(1200);
    expect((await act(stack, "restart")).status).toBe(200);
    expect((await stack.slot()).last_load_s).toBeWithin(1.2, 4);
    stack.lemond.setLoadMs(60);
    const latch = stack.lemond.holdLoads();
    const restarted = act(stack, "restart");
    await stack.slotIs(({ state }) => state === "starting");
    const { details, headers } = await ended(stack.chat());
    expect(details["retry_after_s"]).toBeWithin(1, 5);
    expect(headers.get("retry-after")).toBe(String(details["retry_after_s"]));
    latch.release();
    await restarted;
  });

  test("names the model that is asked for while it is swapped in", async () => {
    await using stack = await startStack();
    const latch = stack.lemond.holdLoads();
    const swapped = act(stack, "swap", { model: "tiny-b" });
    await stack.slotIs(({ state }) => state === "starting");
    const { details } = await ended(stack.chat({ model: "primary" }));
    expect(details).toMatchObject({ progress: { requested_model: "tiny-b", phase: "loading", upstream: "primary" } });
    latch.release();
    expect(await (await swapped).json()).toMatchObject({ name: "primary", model: "tiny-b", state: "ready" });
  });
});

describe("a gate that holds", () => {
  test("lets the request in when the action is done", async () => {
    await using stack = await startStack({ slots: holding });
    const latch = stack.lemond.holdLoads();
    const restarted = act(stack, "restart");
    await stack.slotIs(({ state }) => state === "starting");
    const replies = [false, true].map((stream) => ended(stack.chat({ stream })));
    await stack.slotIs(({ waiting }) => waiting === 2);
    latch.release();
    for (const reply of await Promise.all(replies)) expect(reply).toMatchObject({ status: 200, how: "whole" });
    expect((await restarted).status).toBe(200);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 1]);
  });

  test("says slot.loading when hold_s ends first", async () => {
    await using stack = await startStack({ slots: holding.map((slot) => ({ ...slot, holdMs: 200 })) });
    const latch = stack.lemond.holdLoads();
    const restarted = act(stack, "restart");
    await stack.slotIs(({ state }) => state === "starting");
    const reply = await ended(stack.chat());
    expect(reply).toMatchObject({ status: 503, code: "slot.loading", details: { state: "starting" } });
    expect((await stack.slot()).waiting).toBe(0);
    latch.release();
    expect((await restarted).status).toBe(200);
    expect(await promptsOf(stack.child())).toEqual([0]);
  });

  test("lets a client go that leaves, and sends nothing for it", async () => {
    await using stack = await startStack({ slots: holding });
    const latch = stack.lemond.holdLoads();
    const restarted = act(stack, "restart");
    await stack.slotIs(({ state }) => state === "starting");
    const client = new AbortController();
    const reply = stack.chat({ signal: client.signal }).catch((error: unknown) => error);
    await stack.slotIs(({ waiting }) => waiting === 1);
    client.abort();
    expect(await reply).toBeInstanceOf(Error);
    await stack.slotIs(({ waiting }) => waiting === 0);
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 499 });
    latch.release();
    expect((await restarted).status).toBe(200);
    expect(await promptsOf(stack.child())).toEqual([0]);
  });
});

describe("while a repair or an on-demand load is in flight", () => {
  test("requests are held by a gate that rejects, too; when hold_s ends first it says slot.loading", async () => {
    const slots = [{ name: "primary", model: "tiny-a", holdMs: 400 }];
    await using stack = await startStack({ slots, loaded: [] });
    const latch = stack.lemond.holdLoads();
    const replies = [false, true].map((stream) => ended(stack.chat({ stream })));
    await stack.slotIs(({ waiting }) => waiting === 2);
    for (const reply of await Promise.all(replies)) {
      expect(reply).toMatchObject({ status: 503, code: "slot.loading", details: { state: "starting" } });
      expect(reply.details["progress"]).toEqual({ phase: "loading", requested_model: "tiny-a", upstream: "primary" });
      expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
    }
    // The load goes on without them, and serves whoever comes then.
    latch.release();
    await stack.slotIs(({ state }) => state === "ready");
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
    expect(stack.lemond.loads()).toBe(1);
  });

  test("no more than max_waiting are held: the next gets slot.overloaded at once", async () => {
    await using stack = await startStack({ server: { maxWaiting: 3 }, loaded: [] });
    const latch = stack.lemond.holdLoads();
    const held = Array.from({ length: 3 }, () => ended(stack.chat()));
    await stack.slotIs(({ waiting }) => waiting === 3);
    const reply = await ended(stack.chat());
    expect(reply).toMatchObject({ status: 503, code: "slot.overloaded", details: { waiting: 3, limit: 3 } });
    expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
    latch.release();
    for (const { status, label } of await Promise.all(held)) expect([status, label]).toEqual([200, "loaded"]);
    expect(stack.lemond.loads()).toBe(1);
  });

  test("loading is not said while no load of the slot is: one that waits for its turn gets its own error and the reason", async () => {
    const slots = [
      { name: "first", model: "tiny-a", isDefault: true },
      { name: "second", model: "tiny-b", holdMs: 300 },
    ];
    await using stack = await startStack({ slots, loaded: [] });
    const latch = stack.lemond.holdLoads();
    const first = ended(stack.chat({ model: "first" }));
    await stack.lemond.received("/v1/load");
    const reply = await ended(stack.chat({ model: "second" }));
    expect(reply).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable" });
    expect(reply.details["cause"]).toBe("not loaded: lemond loads another model");
    expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
    latch.release();
    expect(await first).toMatchObject({ status: 200, how: "whole" });
    expect(stack.lemond.count("/v1/load", "tiny-b")).toBe(0);
  });
});

test("a slot's states are seen as it passes through them", async () => {
  const slots = [{ name: "primary", model: "tiny-a", isDefault: true, idleAfterMs: 150 }];
  await using stack = await startStack({ slots, loaded: [], lemonade: { pollMs: 20, touchMs: 0 } });
  const [first] = JSON.parse(await (await fetch(`${stack.url}/api/slots`)).text());
  expect(first).toMatchObject({ name: "primary", state: "offline", url: null, pid: null, last_used_at: null });
  const stream = ended(stack.chat({ stream: true, sim: { tokens: 10, tokenMs: 30 } }));
  expect(await stack.slotIs(({ state }) => state === "serving")).toMatchObject({ in_flight: 1 });
  expect(await stream).toMatchObject({ status: 200, label: "loaded" });
  await stack.slotIs(({ state }) => state === "ready");
  const idle = await stack.slotIs(({ state }) => state === "idle"); // Quiet for idle_after_s.
  expect(idle).toMatchObject({ pid: stack.child().pid, in_flight: 0, generation: 1 });
  expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
  expect((await act(stack, "unload")).status).toBe(200);
  const states = stack.logged("slot.transition").map((line) => `${line["to"]}`);
  expect(states.join(" ")).toMatch(
    /^starting warming ready serving ready idle ready serving ready (idle )?unloading offline$/,
  );
  const routine = stack.logged("slot.transition").filter(({ from }) => from !== "offline" && from !== "starting");
  for (const { level, to } of routine)
    expect([`${to}`, level]).toEqual([
      `${to}`,
      /ready|serving|idle/.test(`${to}`) && level === "debug" ? "debug" : "info",
    ]);
});
