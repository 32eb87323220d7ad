// What fallback_after_s counts: the time that a request is held, not an operator's order nor an attempt under way. A client
// that leaves is answered by nobody.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { startRemote } from "../remote.ts";
import { startStack, type Stack } from "../stack.ts";

/** Slot `primary` with slot `small` to fall back to, both loaded. No poll may notice a loss before the request does. */
const start = (own: { readonly fallbackAfterMs: number; readonly gate?: "hold" }): Promise<Stack> =>
  startStack({
    lemond: { maxModels: -1 },
    slots: [
      { name: "primary", model: "tiny-a", isDefault: true, fallback: [{ upstream: "small", model: null }], ...own },
      { name: "small", model: "tiny-b" },
    ],
    loaded: ["tiny-a", "tiny-b"],
    lemonade: { pollMs: 60_000 },
  });

describe("fallback_after_s", () => {
  test("does not end the wait for an operator's order at a gate that holds", async () => {
    await using stack = await start({ fallbackAfterMs: 100, gate: "hold" });
    const latch = stack.lemond.holdLoads();
    const restarted = stack.post("/api/slots/primary/restart", {});
    await stack.slotIs(({ state }) => state === "starting");
    const held = ended(stack.chat());
    await stack.slotIs(({ waiting }) => waiting === 1);
    await Bun.sleep(400); // Several times fallback_after_s.
    expect((await stack.slot()).waiting).toBe(1);
    latch.release();
    expect(await held).toMatchObject({ status: 200, how: "whole" });
    expect([(await restarted).status, stack.logged("dispatch.fell_back")]).toEqual([200, []]);
    expect(stack.child("tiny-b").prompts()).toBe(0);
  });

  test("counts for a request that was at its child for longer, and is held only then", async () => {
    await using stack = await start({ fallbackAfterMs: 200 });
    const child = stack.child();
    await child.set({ hang: true });
    const asked = ended(stack.chat());
    await stack.slotIs(({ in_flight }) => in_flight === 1);
    await Bun.sleep(400); // Twice fallback_after_s.
    expect(stack.logged("dispatch.fell_back")).toEqual([]);
    const latch = stack.lemond.holdLoads();
    await child.kill();
    // Waited for half as long as hold_s, whose end would have the fallback answer too.
    expect(await stack.line("dispatch.fell_back")).toMatchObject({ reason: "held too long" });
    const answer = await asked;
    expect([answer.status, answer.headers.get("x-hal0-fallback")]).toEqual([200, "primary"]);
    expect(answer.text).toContain("tiny-b token 1");
    latch.release();
  });

  test("begins with the hold: a request that was at its child waits for a short repair", async () => {
    const fallbackAfterMs = 1000;
    await using stack = await start({ fallbackAfterMs });
    const child = stack.child();
    await child.set({ hang: true });
    const latch = stack.lemond.holdLoads();
    const asked = ended(stack.chat());
    await stack.slotIs(({ in_flight }) => in_flight === 1);
    await Bun.sleep(fallbackAfterMs - 200);
    await child.kill();
    await Bun.sleep(400); // Longer than fallback_after_s since it came, and shorter since it is held.
    latch.release();
    const answer = await asked;
    expect(answer).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect([answer.headers.get("x-hal0-fallback"), stack.child("tiny-b").prompts()]).toEqual([null, 0]);
  });
});

test("a client that leaves while a fallback is asked is not answered by it", async () => {
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  await using far = await startRemote(() => (reach(), null));
  await using stack = await startStack({
    slots: [{ name: "primary", model: "tiny-a", isDefault: true, fallback: [{ upstream: "cloud", model: "big" }] }],
    upstreams: [{ name: "cloud", url: far.url, apiKey: null, models: ["big"] }],
    lemonade: { pollMs: 60_000 },
  });
  stack.lemond.failLoads("tiny-a", 9);
  await stack.child().kill();
  const leave = new AbortController();
  const left = stack.chat({ signal: leave.signal }).catch(() => "gone");
  await reached;
  leave.abort();
  expect(await left).toBe("gone");
  expect(await stack.line("dispatch.decision")).toMatchObject({ status: 499 });
  expect(stack.logged("dispatch.fell_back")).toEqual([]);
  const metrics = await (await fetch(`${stack.url}/metrics`)).text();
  expect(metrics).not.toMatch(/^hal0_dispatch_fallbacks_total\{/m);
});
