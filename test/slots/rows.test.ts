// Section 4 over real sockets: the rows that a request decides for itself, before lemond is asked.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

/** The poll stays out of the way: what is noticed is noticed by requests. */
const unwatched = { pollMs: 60_000, touchMs: 0 };

describe("the client has gone", () => {
  test("while its repair runs: 499 in the log, no attempt 2, and the repair finishes", async () => {
    await using stack = await startStack({ lemonade: unwatched });
    await stack.child().kill();
    const latch = stack.lemond.holdLoads();
    const client = new AbortController();
    const reply = stack.chat({ signal: client.signal }).catch((error: unknown) => error);
    await stack.lemond.receivedAny("/v1/load", (call) => call.status === undefined);
    client.abort();
    expect(await reply).toBeInstanceOf(Error);
    const line = await stack.line("dispatch.decision");
    expect(line).toMatchObject({ status: 499, upstream: "primary" });
    expect(line["repair"]).toBeUndefined();
    expect((await stack.slot()).waiting).toBe(0);
    latch.release();
    expect(await stack.slotIs(({ state }) => state === "ready")).toMatchObject({ generation: 2, in_flight: 0 });
    expect(await promptsOf(stack.child())).toEqual([0]);
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.logged("dispatch.forward_failed")).toEqual([]);
  });

  test("before its child died: nothing is repaired at all", async () => {
    await using stack = await startStack({ lemonade: unwatched });
    const client = new AbortController();
    const reply = stack.chat({ sim: { hang: true }, signal: client.signal }).catch((error: unknown) => error);
    await stack.child().receivedAny();
    client.abort();
    expect(await reply).toBeInstanceOf(Error);
    await stack.child().abortedAny();
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 499 });
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
    expect(stack.repairs).toEqual([]);
  });
});

describe("an operator's action is under way", () => {
  test("and cuts a request: it meets the gate, which rejects", async () => {
    await using stack = await startStack({ server: { drainMs: 50 } });
    const reply = ended(stack.chat({ sim: { hang: true } }));
    await stack.child().receivedAny();
    const latch = stack.lemond.holdLoads();
    const restarted = stack.post("/api/slots/primary/restart", "");
    expect(await reply).toMatchObject({ status: 503, label: null, code: "slot.loading" });
    latch.release();
    expect((await restarted).status).toBe(200);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 1]);
    expect(await promptsOf(stack.child())).toEqual([0]);
  });

  test("and cuts a request: a gate that holds lets it in afterwards", async () => {
    await using stack = await startStack({
      server: { drainMs: 50 },
      slots: [{ name: "primary", model: "tiny-a", gate: "hold" }],
    });
    const first = stack.child();
    const reply = ended(stack.chat({ sim: { firstByteMs: 400 } }));
    await first.receivedAny();
    expect((await stack.post("/api/slots/primary/restart", "")).status).toBe(200);
    expect(await reply).toMatchObject({ status: 200, label: "retargeted", how: "whole" });
    expect(await promptsOf(first, stack.child())).toEqual([1, 1]);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 1]);
    expect(stack.repairs).toEqual([]);
  });
});

test("the slot's generation is newer than the one dialled: attempt 2 goes to the current target", async () => {
  await using stack = await startStack({ lemonade: unwatched });
  const old = stack.child();
  const late = ended(stack.chat({ sim: { firstByteMs: 1_000 } }));
  await old.receivedAny();
  // Another client moves the model while the old child keeps its socket, and a second request finds the new one.
  await stack.lemond.evict("tiny-a", { silentMs: 60_000 });
  expect((await stack.lemond.load("tiny-a")).status).toBe(200);
  expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "retargeted" });
  expect(await stack.slot()).toMatchObject({ generation: 2, url: stack.child().url });

  const calls = stack.lemond.calls.length;
  await old.kill();
  expect(await late).toMatchObject({ status: 200, label: "retargeted", how: "whole" });
  expect(stack.lemond.calls.length).toBe(calls);
  expect(await promptsOf(old, stack.child())).toEqual([1, 2]);
  expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 0]);
  expect(stack.repairs.map(({ outcome }) => outcome)).toEqual(["retargeted"]); // The other's.
});

describe("a repair of the slot is under way", () => {
  test.each(["10.6", "11.7"] as const)("everyone joins it, and has its outcome (lemond %s)", async (version) => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    await stack.child().kill();
    const latch = stack.lemond.holdLoads();
    const replies = Array.from({ length: 5 }, (_, nth) => ended(stack.chat({ stream: nth % 2 === 0 })));
    await stack.slotIs(({ waiting }) => waiting === 5);
    const arrived = ended(stack.chat());
    await stack.slotIs(({ waiting }) => waiting === 6);
    await stack.slotIs(({ state }) => state === "starting");
    expect(await stack.slot()).toMatchObject({ url: null, pid: null, in_flight: 0 });
    latch.release();
    for (const reply of await Promise.all([...replies, arrived]))
      expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.lemond.unloads()).toBeLessThanOrEqual(1);
    expect(stack.repairs.length).toBe(1);
    expect(stack.logged("dispatch.upstream_recovered").length).toBe(1);
    expect((await stack.slot()).repairs).toEqual({ recovered: 1, retargeted: 0, alive: 0, failed: 0 });
  });

  test("one that fails, fails for everyone, each with its own original error", async () => {
    await using stack = await startStack({ lemonade: unwatched });
    await stack.child().kill();
    stack.lemond.failLoads("tiny-a", 10);
    const latch = stack.lemond.holdLoads();
    const replies = Array.from({ length: 4 }, () => ended(stack.chat()));
    await stack.slotIs(({ waiting }) => waiting === 4);
    latch.release();
    for (const reply of await Promise.all(replies))
      expect(reply).toMatchObject({ status: 502, label: "failed", details: { error: "ConnectError" } });
    expect(stack.lemond.count("/v1/load")).toBe(2);
    expect(stack.repairs.length).toBe(1);
  });
});

test("the slot has no child and backs off: the original error at once, and lemond is not asked", async () => {
  await using stack = await startStack({ lemonade: unwatched });
  await stack.child().kill();
  stack.lemond.failLoads("tiny-a", 10);
  expect(await ended(stack.chat())).toMatchObject({ status: 502, label: "failed" });
  const calls = stack.lemond.calls.length;

  for (const stream of [false, true]) {
    const reply = await ended(stack.chat({ stream }));
    expect(reply).toMatchObject({ status: 502, label: "backed_off", code: "dispatch.upstream_unavailable" });
    expect(reply.details).toMatchObject({ upstream: "primary", error: "ConnectError" });
    const retryAfterS = Number(reply.headers.get("retry-after"));
    expect(retryAfterS).toBeGreaterThanOrEqual(1);
    expect(retryAfterS).toBeLessThanOrEqual(5);
    expect(reply.headers.get("x-should-retry")).toBeNull();
  }
  expect(stack.lemond.calls.length).toBe(calls);
  expect(stack.repairs.length).toBe(1);
  expect((await stack.slot()).state).toBe("error");
});
