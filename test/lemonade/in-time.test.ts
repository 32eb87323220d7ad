// A question always ends: with its answer, its own error, or that none came in time.
import { expect, test } from "bun:test";
import { createWatch } from "../../src/lemonade/watch.ts";
import { inTime } from "../../src/lemonade/in-time.ts";
import type { Event } from "../../src/slots/events.ts";

test("what never settles ends as late; what settles keeps its own end", async () => {
  expect(await inTime(new Promise(() => {}), 5).catch((error: Error) => error.name)).toBe("TimeoutError");
  expect(await inTime(Promise.resolve("answer"), 1000)).toBe("answer");
  expect(await inTime(Promise.reject(new Error("own")), 1000).catch((error: Error) => error.message)).toBe("own");
});

test("a child whose answer is never whole is silent, and whoever asked hears of it", async () => {
  const events: Event[] = [];
  const never = (): Promise<never> => new Promise(() => {});
  const watch = createWatch({
    lemonade: {} as never,
    probe: { health: never, identity: never, slots: never, refuses: never },
    clock: { now: () => 0, sleep: async () => {} },
    log: {} as never,
    happen: (event) => void events.push(event),
  });
  const child = { id: 7, url: "http://127.0.0.1:1/v1", checkpoint: "a.gguf" } as never;
  await watch.askChild({ question: 3, child, how: "port", isShared: false });
  expect(events).toEqual([{ kind: "sign", question: 3, child: 7, how: "port", sign: "silent" }]);
}, 15_000);
