// Section 4 over real sockets: lemond lists the very child that was dialled, and the child itself decides.
import { describe, expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond, type Faults } from "../lemond/index.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

/** The poll stays out of the way: what is noticed is noticed by requests. */
const unwatched = { pollMs: 60_000, touchMs: 0 };

describe.each(["10.6", "11.7"] as const)("listed by lemond %s", (version) => {
  const dead: readonly (readonly [string, Faults])[] = [
    ["its port refuses", { refuse: true }],
    ["its port resets a fresh connection", { resetNew: true }],
  ];
  test.each(dead)("and %s: unload, then load", async (_, faults) => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const child = stack.child();
    await child.set(faults);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect([stack.lemond.loads(), stack.lemond.unloads(), stack.lemond.unloadAlls()]).toEqual([2, 1, 0]);
    expect(await promptsOf(child, stack.child())).toEqual([0, 1]);
    const order = stack.lines.map(({ event }) => event).filter((event) => /provider|recover/.test(event));
    expect(order).toEqual([
      "dispatch.upstream_dead_attempting_recover",
      "slot.recover_evicted_dispatched",
      "lemonade.provider.unload",
      "lemonade.provider.load",
      "dispatch.upstream_recovered",
    ]);
  });

  test.each([
    ["closes", { closeBeforeReply: 1 }],
    ["resets", { resetBeforeReply: 1 }],
  ] as const)("and healthy, though it %s one connection: attempt 2, lemond untouched", async (_, faults) => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    await stack.child().set(faults);
    expect(await ended(stack.chat({ stream: true }))).toMatchObject({ status: 200, label: "alive", how: "whole" });
    expect(await promptsOf(stack.child())).toEqual([2]);
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(await stack.slot()).toMatchObject({ generation: 1, state: "ready", repairs: { alive: 1, recovered: 0 } });
    expect(stack.logged("slot.recover_evicted_dispatched")).toEqual([]);
    expect(stack.logged("dispatch.upstream_recovered")).toEqual([
      expect.objectContaining({ outcome: "alive", from: stack.child().url, to: stack.child().url }),
    ]);
  });

  test("and healthy, though it loses both attempts: 502, no third attempt, lemond untouched", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    await stack.child().set({ closeBeforeReply: 10 });
    const reply = await ended(stack.chat());
    expect(reply).toMatchObject({ status: 502, label: "alive", code: "dispatch.upstream_unavailable" });
    expect(reply.headers.get("x-should-retry")).toBe("false");
    expect(await promptsOf(stack.child())).toEqual([2]);
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover").length).toBe(1);
  });

  test("and its health says 503: it is loading, wait until 200, attempt 2", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const child = stack.child();
    await child.set({ closeBeforeReply: 1, loading: true });
    const reply = ended(stack.chat());
    const isHealth = ({ path }: { path: string }): boolean => path === "/health";
    await child.receivedAny(isHealth);
    await child.received(isHealth); // It is asked again, not dialled.
    expect(await promptsOf(child)).toEqual([1]);
    await child.set({});
    expect(await reply).toMatchObject({ status: 200, label: "alive", how: "whole" });
    expect(await promptsOf(child)).toEqual([2]);
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
  });
});

test("its pid is gone on lemond 10.6, which lists it for ever: unload, then load", async () => {
  await using stack = await startStack({ lemond: { version: "10.6" }, lemonade: unwatched });
  await stack.child().kill();
  expect(stack.lemond.listed()).toEqual(["tiny-a"]);
  expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "recovered", how: "whole" });
  expect([stack.lemond.loads(), stack.lemond.unloads(), stack.lemond.unloadAlls()]).toEqual([2, 1, 0]);
  expect(stack.lemond.count("/v1/load")).toBe(2); // No load that starts nothing.
});

test.each([404, 500] as const)(
  "an unload that fails with %i is logged, and the load tried all the same",
  async (status) => {
    await using lemond = await startLemond();
    let refusals = 0;
    await using between = startBetween(lemond, async ({ path, pass }) => {
      if (path !== "/v1/unload") return pass();
      refusals++;
      await lemond.unload("tiny-a");
      return Response.json({ error: "Model not loaded: tiny-a" }, { status });
    });
    await using stack = await startStack({ sharedLemond: between, lemonade: unwatched });
    await stack.child().set({ refuse: true });
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(refusals).toBe(1);
    expect(lemond.loads()).toBe(2);
    expect(stack.logged("slot.recover_unload_failed")).toEqual([
      expect.objectContaining({ slot: "primary", status, error: "Model not loaded: tiny-a" }),
    ]);
  },
);

describe("after a load", () => {
  test("the new port is read back, the child is waited for until its health is 200, and the generation goes up", async () => {
    const lemond = { warmMs: 400, answerLoadEarly: true };
    await using stack = await startStack({ lemond, lemonade: unwatched });
    const first = stack.child();
    await first.kill();
    const reply = ended(stack.chat());
    const warming = await stack.slotIs(({ state }) => state === "warming");
    expect(warming).toMatchObject({ generation: 1, url: null, pid: null, waiting: 1 });
    const second = stack.child();
    expect(await promptsOf(second)).toEqual([0]);
    expect(await reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(await promptsOf(second)).toEqual([1]);
    expect(await stack.slot()).toMatchObject({ url: second.url, pid: second.pid, generation: 2, state: "ready" });
    expect((await stack.slot()).last_load_s).toBeGreaterThan(0.3);
    const states = stack.logged("slot.transition").map((line) => `${line["from"]} → ${line["to"]}`);
    expect(states).toEqual([
      "offline → ready",
      // The attempt counts from the decision to dial, also where the process turns out to be gone.
      "ready → serving",
      "serving → ready",
      "ready → offline",
      "offline → starting",
      "starting → warming",
      "warming → ready",
      "ready → serving",
      "serving → ready",
    ]);
  });

  test.each(["hidden", "visible"] as const)(
    "a child that is unloaded before it serves fails the load at once, with %s pids",
    async (pids) => {
      const lemond = { version: "10.6", warmMs: 4000, answerLoadEarly: true, pids } as const;
      await using stack = await startStack({ lemond, loaded: [], lemonade: unwatched });
      const reply = ended(stack.chat());
      await stack.slotIs(({ state }) => state === "warming");
      const startedMs = performance.now();
      expect((await stack.lemond.unload("tiny-a")).status).toBe(200);
      expect(await reply).toMatchObject({ status: 502, label: "failed" });
      expect(performance.now() - startedMs).toBeLessThan(3000);
      expect((await stack.slot()).last_error).toBe("load failed: the model is not listed after the load");
    },
  );

  test("attempt 2 that is lost as well: 502, no third attempt, no second recovery", async () => {
    await using stack = await startStack({ lemond: { version: "10.6" }, lemonade: unwatched });
    await stack.child().kill();
    const reply = await ended(stack.chat({ sim: { cutAfterBytes: 10, cut: "kill" } }));
    expect(reply).toMatchObject({ status: 502, label: "recovered", details: { error: "RemoteProtocolError" } });
    expect(reply.headers.get("x-should-retry")).toBe("false");
    expect(await promptsOf(stack.child())).toEqual([1]);
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.repairs.length).toBe(1);
    // The next request finds the slot dead and is served.
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "recovered" });
    expect(stack.lemond.loads()).toBe(3);
  });
});
