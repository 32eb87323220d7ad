// Many at once: onto a slot that just died, onto one that dies again and again, and onto two slots with room for one model.
import { describe, expect, test } from "bun:test";
import { ended, type Ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack, type Stack } from "../stack.ts";

/** One every two seconds for 15 s. */
const DEATHS = 7;
const KILL_EVERY_MS = 2000;

describe.each(["10.6", "11.7"] as const)("lemond %s", (version) => {
  test("128 requests at once, half of them streams, onto a slot that just died: all 200, one load", async () => {
    await using stack = await startStack({ lemond: { version } });
    await stack.child().kill();
    const replies = await Promise.all(
      Array.from({ length: 128 }, (_, nth) => ended(stack.chat({ stream: nth % 2 === 0, tokens: 4 }))),
    );
    for (const reply of replies) expect(reply).toMatchObject({ status: 200, how: "whole" });
    for (const { text } of replies) expect(text).toContain("tiny-a token 4");
    expect(await promptsOf(stack.child())).toEqual([128]);
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.lemond.unloads()).toBeLessThanOrEqual(1);
    expect(stack.lemond.unloadAlls()).toBe(0);
    expect(await stack.slotIs(({ in_flight }) => in_flight === 0)).toMatchObject({ waiting: 0, generation: 2 });
  });
});

test("however many streams run and requests are held, the next request has a number", async () => {
  await using stack = await startStack({
    lemond: { loadMs: 3000, maxModels: 4 },
    loaded: ["tiny-a"],
    slots: [
      { name: "primary", model: "tiny-a", isDefault: true },
      { name: "other", model: "tiny-b" },
    ],
  });
  const away = new AbortController();
  const crowd: Promise<unknown>[] = [];
  for (const count of [4, 8]) {
    for (let nth = crowd.length / 2; nth < count; nth++)
      crowd.push(ended(await stack.chat({ sim: { tokens: 400, tokenMs: 50 }, stream: true, signal: away.signal })));
    while (crowd.length < 2 * count) crowd.push(ended(stack.chat({ model: "other", signal: away.signal })));
    await stack.slotIs(({ waiting }) => waiting === count, "other");
    expect(await ended(stack.chat({ tokens: 2 }))).toMatchObject({ status: 200, how: "whole" });
  }
  away.abort();
  await Promise.allSettled(crowd);
}, 20_000);

describe.concurrent("a slot that dies again and again", () => {
  for (const version of ["10.6", "11.7"] as const)
    test(
      `32 clients while the child is killed every 2 s: no reply is cut in silence, and none hangs (lemond ${version})`,
      async () => {
        await using stack = await startStack({ lemond: { version } });
        const replies: Ended[] = [];
        let isOver = false;
        const client = async (nth: number): Promise<void> => {
          while (!isOver) {
            const sim = { tokens: 6, tokenMs: 25 + nth };
            replies.push(await endsWithin(10_000, ended(stack.chat({ stream: nth % 2 === 0, sim }))));
          }
        };
        const killer = async (): Promise<void> => {
          for (let deaths = 0; deaths < DEATHS; deaths++) {
            await Bun.sleep(KILL_EVERY_MS);
            await stack.child().kill();
          }
          await Bun.sleep(500);
          isOver = true;
        };
        await Promise.all([killer(), ...Array.from({ length: 32 }, (_, nth) => client(nth))]);

        expect(replies.length).toBeGreaterThan(32 * DEATHS);
        for (const reply of replies) expect(verdict(reply)).toBeOneOf(["whole", "interrupted", "lost both attempts"]);
        expect(stack.lemond.loads()).toBe(1 + DEATHS);
        expect(stack.lemond.unloads()).toBeLessThanOrEqual(DEATHS);
        expect(await stack.slotIs(({ in_flight }) => in_flight === 0)).toMatchObject({ waiting: 0 });
        expect(await ended(stack.chat())).toMatchObject({ status: 200, how: "whole" });
      },
      DEATHS * KILL_EVERY_MS + 20_000,
    );
});

function verdict({ status, how, headers }: Ended): string {
  if (how === "error")
    return status === 502 && headers.get("x-should-retry") === "false" ? "lost both attempts" : `${status}`;
  return how;
}

function endsWithin<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`a request hangs for ${ms} ms`)), ms);
  return Promise.race([promise, late.promise]).finally(() => clearTimeout(timer));
}

describe.each(["10.6", "11.7"] as const)("two slots with room for one model (lemond %s)", (version) => {
  const start = (): Promise<Stack> =>
    startStack({
      lemond: { version, maxModels: 1 },
      slots: [
        { name: "first", model: "tiny-a", isDefault: true },
        { name: "second", model: "tiny-b" },
      ],
    });
  const textOf = { first: "tiny-a token 1", second: "tiny-b token 1" } as const;

  test("called in turn: all 200, and exactly as many loads as changes of model", async () => {
    await using stack = await start();
    let changes = 0;
    let loaded = "first";
    for (const model of ["first", "second", "second", "first", "second", "first", "first", "second"] as const) {
      if (model !== loaded) changes++;
      loaded = model;
      const reply = await ended(stack.chat({ model, stream: changes % 2 === 0 }));
      expect(reply).toMatchObject({ status: 200, how: "whole" });
      expect(reply.text).toContain(textOf[model]);
    }
    expect(stack.lemond.loads()).toBe(1 + changes);
    expect(stack.lemond.unloadAlls()).toBe(0);
  });

  test("16 requests at once on both: all 200, each from its own model", async () => {
    await using stack = await start();
    const models = Array.from({ length: 16 }, (_, nth) => (nth % 2 === 0 ? "first" : "second"));
    const replies = await Promise.all(
      models.map((model, nth) => ended(stack.chat({ model, stream: nth % 4 < 2, sim: { tokens: 4, tokenMs: 10 } }))),
    );
    for (const [nth, reply] of replies.entries()) {
      expect(reply).toMatchObject({ status: 200, how: "whole" });
      expect(reply.text).toContain(textOf[models[nth] === "first" ? "first" : "second"]);
    }
    expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
    expect(stack.lemond.loads()).toBeLessThanOrEqual(4);
  });

  test("a stream on one is not cut by a request for the other, which waits", async () => {
    await using stack = await start();
    const stream = ended(stack.chat({ model: "first", stream: true, sim: { tokens: 20, tokenMs: 50 } }));
    await stack.child().receivedAny();
    const startedMs = performance.now();
    const load = stack.lemond.received("/v1/load", ({ model }) => model === "tiny-b").then(() => performance.now());
    const other = ended(stack.chat({ model: "second" }));
    const wholeMs = stream.then(() => performance.now());
    expect(await stream).toMatchObject({ status: 200, how: "whole" });
    expect(await other).toMatchObject({ status: 200, label: "loaded", how: "whole" });
    expect((await wholeMs) - startedMs).toBeGreaterThan(700);
    expect((await load) - startedMs).toBeGreaterThan(700); // Only when the stream had ended.
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.lemond.unloads()).toBe(0);
    expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
  });
});
