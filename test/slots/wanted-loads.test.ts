// A load takes another model's room only when somebody waits for it, and it is made while that request can still be answered.
import { describe, expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { startStack, type Stack } from "../stack.ts";

const HOLD_MS = 4000;
const slots = [
  { name: "first", model: "tiny-a", isDefault: true },
  { name: "second", model: "tiny-b", holdMs: HOLD_MS },
];
/** Thirty seconds. */
const long = { tokens: 3000, tokenMs: 10 };

/** So many answers of lemond's health, each of which shows every slot what is loaded. */
async function polls(stack: Stack, times: number): Promise<void> {
  for (let nth = 0; nth < times; nth++) await stack.lemond.received("/v1/health");
}

describe.each(["10.6", "11.7"] as const)("room for one model (lemond %s)", (version) => {
  const start = (): Promise<Stack> =>
    startStack({ lemond: { version, maxModels: 1 }, slots, lemonade: { pollMs: 100, touchMs: 0 } });

  test("a stream that was cut for another slot's load is not followed by a load that takes the room back", async () => {
    await using stack = await start();
    // Its first byte is there: one that is cut before is repeated, and somebody waits for its model.
    const stream = await stack.chat({ model: "first", stream: true, sim: long });
    // Two of them: the first has waited for half of its hold when the stream is cut at the latest, the second is there then.
    const early = ended(stack.chat({ model: "second" }));
    await Bun.sleep(HOLD_MS / 2 - 100); // The time itself is what is tested.
    const late = await ended(stack.chat({ model: "second" }));
    expect(late).toMatchObject({ status: 200, how: "whole" });
    await early;
    expect(await ended(stream)).toMatchObject({ status: 200, how: "interrupted", code: "dispatch.stream_interrupted" });
    const newcomer = stack.child("tiny-b");
    for (let nth = 0; nth < 5; nth++) {
      await polls(stack, 2);
      expect(await ended(stack.chat({ model: "second" }))).toMatchObject({ status: 200, label: null, how: "whole" });
    }
    expect([stack.lemond.loads("tiny-a"), stack.lemond.loads("tiny-b")]).toEqual([1, 1]);
    expect(newcomer.isAlive).toBe(true);
    expect(await stack.slot("first")).toMatchObject({ state: "offline", in_flight: 0 });
    // Whoever asks for it gets it.
    expect(await ended(stack.chat({ model: "first" }))).toMatchObject({ status: 200, how: "whole" });
  });

  test("a request held for a slot without room has its load begun when half of its hold is over", async () => {
    await using stack = await start();
    // Its first byte is there: one that is cut before is repeated, and somebody waits for its model.
    const stream = await stack.chat({ model: "first", stream: true, sim: long });
    const began = performance.now();
    const load = stack.lemond.received("/v1/load").then(() => performance.now() - began);
    const reply = await ended(stack.chat({ model: "second" }));
    expect(reply).toMatchObject({ status: 200, label: "loaded", how: "whole" });
    expect(await load).toBeWithin(HOLD_MS / 2 - 50, HOLD_MS);
    expect(await ended(stream)).toMatchObject({ status: 200, how: "interrupted" });
  });
});

test("a client that has left before its slot was found costs no load", async () => {
  await using lemond = await startLemond();
  const asked = Promise.withResolvers<void>();
  const send = Promise.withResolvers<void>();
  let isStarted = false;
  await using between = startBetween(lemond, async ({ path, pass }) => {
    if (path !== "/v1/models") return pass();
    // Not known at the start, so that it is asked for again.
    if (!isStarted) return new Response(null, { status: 500 });
    asked.resolve();
    await send.promise;
    return pass();
  });
  await using stack = await startStack({ sharedLemond: between, loaded: [] });
  isStarted = true;
  const client = new AbortController();
  const left = stack.chat({ model: "tiny-b", signal: client.signal }).catch((error: unknown) => error);
  await asked.promise;
  client.abort();
  expect(await left).toBeInstanceOf(Error);
  await Bun.sleep(100); // Its end has reached the server.
  send.resolve();
  expect(await stack.line("dispatch.decision")).toMatchObject({ status: 499 });
  await polls(stack, 3);
  expect(lemond.count("/v1/load")).toBe(0);
});
