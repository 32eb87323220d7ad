// Which state of a slot follows which: section 5 of the contract, every pair. Pure.
import { describe, expect, test } from "bun:test";
import { isRoutine, mayFollow, SLOT_STATES } from "../../src/slots/transitions.ts";

/**
 * `from → to` of the contract, with adoption (`offline|error → ready`), eviction (`… → offline`), drain
 * (`serving → unloading`) and an unload that lemond refused (`unloading → ready`).
 */
const allowed = new Set([
  "offline → starting",
  "offline → ready",
  "starting → warming",
  "starting → offline",
  "warming → ready",
  "warming → offline",
  "ready → serving",
  "ready → idle",
  "ready → unloading",
  "ready → offline",
  "serving → ready",
  "serving → unloading",
  "serving → offline",
  "idle → ready",
  "idle → unloading",
  "idle → offline",
  "unloading → ready",
  "unloading → offline",
  "error → starting",
  "error → ready",
  "error → offline",
]);

describe("a transition", () => {
  for (const from of SLOT_STATES)
    for (const to of SLOT_STATES) {
      if (to === from) continue;
      const pair = `${from} → ${to}`;
      const isAllowed = to === "error" || allowed.has(pair);
      test(`${pair} is ${isAllowed ? "allowed" : "a bug"}`, () => {
        expect(mayFollow(from, to)).toBe(isAllowed);
      });
    }

  test("is routine only between ready, serving and idle", () => {
    const routine = SLOT_STATES.flatMap((from) => SLOT_STATES.map((to) => [from, to] as const))
      .filter(([from, to]) => from !== to && mayFollow(from, to) && isRoutine(from, to))
      .map(([from, to]) => `${from} → ${to}`);
    expect(routine.toSorted()).toEqual(["idle → ready", "ready → idle", "ready → serving", "serving → ready"]);
  });
});
