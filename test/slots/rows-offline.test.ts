// A slot that is known to be offline when a request arrives, and what the poll may and may not adopt.
import { describe, expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { startStack } from "../stack.ts";

const unwatched = { pollMs: 60_000, touchMs: 0 };
const EVICTED = "model evicted from lemond (auto-reloads on next request)";

describe.each(["10.6", "11.7"] as const)("lemond %s", (version) => {
  test("a slot that was never loaded is loaded for the first request, once for all who come meanwhile", async () => {
    await using stack = await startStack({ lemond: { version }, loaded: [], lemonade: { touchMs: 0 } });
    expect(await stack.slot()).toMatchObject({ state: "offline", url: null, pid: null, generation: 0 });
    const latch = stack.lemond.holdLoads();
    const replies = Array.from({ length: 8 }, (_, nth) => ended(stack.chat({ stream: nth % 2 === 0 })));
    await stack.slotIs(({ waiting }) => waiting === 8);
    latch.release();
    for (const reply of await Promise.all(replies))
      expect(reply).toMatchObject({ status: 200, label: "loaded", how: "whole" });
    expect(stack.lemond.count("/v1/load")).toBe(1);
    expect(stack.lemond.unloads()).toBe(0);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
    expect((await stack.slot()).repairs).toEqual({ recovered: 0, retargeted: 0, alive: 0, failed: 0 });
  });

  test("an eviction that was noticed is mended by the next request: outcome loaded", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: { pollMs: 50 } });
    await stack.child().kill();
    const slot = await stack.slotIs(({ state }) => state === "offline");
    expect(slot).toMatchObject({ url: null, pid: null, generation: 1, last_error: EVICTED });
    expect(stack.lemond.loads()).toBe(1); // Nobody asked for it.
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "loaded", how: "whole" });
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.lemond.unloads()).toBe(version === "10.6" ? 1 : 0); // Listed and dead: unload and load.
    expect(await stack.slot()).toMatchObject({ state: "ready", generation: 2, last_error: null });
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
  });

  test("a held client that leaves costs no load", async () => {
    await using stack = await startStack({ lemond: { version }, loaded: ["tiny-b"], lemonade: unwatched });
    const health = stack.lemond.holdHealth();
    const client = new AbortController();
    const reply = stack.chat({ signal: client.signal }).catch((error: unknown) => error);
    await stack.slotIs(({ waiting }) => waiting === 1);
    client.abort();
    expect(await reply).toBeInstanceOf(Error);
    await stack.slotIs(({ waiting }) => waiting === 0);
    health.release();
    await stack.line("dispatch.decision", ({ status }) => status === 499);
    // Busy for as long as it looks around; then whoever asks is served by a load of their own.
    while ((await stack.post("/api/slots/primary/load", "")).status === 409) await Bun.sleep(5);
    expect(stack.repairs).toEqual([]);
    expect(stack.lemond.count("/v1/load", "tiny-a")).toBe(1);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
  });
});

test("a dead child that lemond 10.6 goes on listing is not adopted again", async () => {
  await using stack = await startStack({ lemond: { version: "10.6" }, lemonade: { pollMs: 20 } });
  await stack.child().kill();
  await stack.slotIs(({ state }) => state === "offline");
  for (let polls = 0; polls < 5; polls++) await stack.lemond.received("/v1/health");
  expect(stack.lemond.listed()).toEqual(["tiny-a"]);
  expect(await stack.slot()).toMatchObject({ state: "offline", url: null, generation: 1 });
  expect(stack.logged("slot.transition").filter(({ to }) => to === "ready").length).toBe(1);
});

test("a child that another client loaded is adopted by the poll, and no load of ours is sent", async () => {
  await using stack = await startStack({ loaded: [], lemonade: { pollMs: 20, touchMs: 0 } });
  await stack.lemond.load("tiny-a");
  const slot = await stack.slotIs(({ state }) => state === "ready");
  expect(slot).toMatchObject({ url: stack.child().url, pid: stack.child().pid, generation: 1 });
  expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
  expect(stack.lemond.count("/v1/load")).toBe(1);
});

test("a snapshot that was asked for before the last adoption does not overrule it", async () => {
  await using lemond = await startLemond();
  const delay = { next: false, asked: Promise.withResolvers<void>(), send: Promise.withResolvers<void>() };
  await using between = startBetween(lemond, async ({ path, pass }) => {
    const answer = await pass();
    if (path !== "/v1/health" || !delay.next) return answer;
    delay.next = false;
    delay.asked.resolve();
    await delay.send.promise;
    return answer;
  });
  await using stack = await startStack({ sharedLemond: between, lemonade: { pollMs: 20, touchMs: 0 } });
  const old = stack.child();
  // A poll that has read the old child, and is still on its way when the new one has been adopted.
  delay.next = true;
  await delay.asked.promise;
  await old.kill();
  expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "recovered" });
  const now = await stack.slot();
  expect(now).toMatchObject({ generation: 2, url: stack.child().url });
  delay.send.resolve();
  for (let polls = 0; polls < 3; polls++) await lemond.received("/v1/health");
  expect(await stack.slot()).toMatchObject({ generation: 2, url: now.url, pid: now.pid, state: "ready" });
  expect(lemond.loads()).toBe(2);
});

test("losing a child does not change the generation, adopting another one does, the same one does not", async () => {
  await using stack = await startStack({ lemond: { version: "11.7" }, lemonade: { pollMs: 20 } });
  expect((await stack.slot()).generation).toBe(1);
  await stack.lemond.unload("tiny-a");
  expect(await stack.slotIs(({ state }) => state === "offline")).toMatchObject({ generation: 1 });
  await stack.lemond.load("tiny-a");
  expect(await stack.slotIs(({ state }) => state === "ready")).toMatchObject({ generation: 2 });
  for (let polls = 0; polls < 3; polls++) await stack.lemond.received("/v1/health");
  expect((await stack.slot()).generation).toBe(2);
});
