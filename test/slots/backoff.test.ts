// How long a failed load keeps lemond in peace, and what Retry-After says. Pure.
import { describe, expect, test } from "bun:test";
import { afterFailure, NO_BACK_OFF, retryAfterS } from "../../src/slots/backoff.ts";

describe("back-off", () => {
  test("is 5 s after the first failed load, doubles with each in a row, and stays at 5 min", () => {
    const delays: number[] = [];
    let backOff = NO_BACK_OFF;
    for (let failures = 0; failures < 9; failures++) {
      backOff = afterFailure(backOff, 1000);
      delays.push(backOff.delayMs / 1000);
      expect(backOff.untilMs).toBe(1000 + backOff.delayMs);
    }
    expect(delays).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
  });

  test("starts again at 5 s once it was ended", () => {
    const long = afterFailure(afterFailure(NO_BACK_OFF, 0), 0);
    expect(long.delayMs).toBe(10_000);
    expect(afterFailure(NO_BACK_OFF, 0).delayMs).toBe(5000);
  });

  test("is over at once where nothing failed", () => {
    expect(NO_BACK_OFF.untilMs).toBe(0);
  });
});

describe("Retry-After", () => {
  const table: readonly (readonly [string, readonly number[], number, number])[] = [
    ["is 15 s when no load is known", [], 0, 15],
    ["is 15 s when no load is known, however long this one runs", [], 60_000, 15],
    ["is the one load time that is known", [30_000], 0, 30],
    ["is the median, not the mean", [2000, 90_000, 4000], 0, 4],
    ["does not depend on the order of loads", [90_000, 2000, 4000], 0, 4],
    ["compares as numbers", [9000, 10_000, 80_000], 0, 10],
    ["is less by what has passed of the load", [30_000], 12_000, 18],
    ["is rounded up", [2100], 0, 3],
    ["is 1 s at least", [300], 0, 1],
    ["is 1 s for a load that takes longer than usual", [3000], 60_000, 1],
    ["is 120 s at most", [600_000], 0, 120],
    ["is 120 s at most when some of a long load has passed", [600_000], 100_000, 120],
  ];
  for (const [title, loadTimesMs, elapsedMs, seconds] of table)
    test(title, () => {
      expect(retryAfterS(loadTimesMs, elapsedMs)).toBe(seconds);
    });

  test("of an even number of loads lies between the middle two", () => {
    const seconds = retryAfterS([1000, 10_000, 20_000, 90_000], 0);
    expect(seconds).toBeGreaterThanOrEqual(10);
    expect(seconds).toBeLessThanOrEqual(20);
  });

  test("leaves the load times as they were", () => {
    const loadTimesMs = Object.freeze([3000, 1000, 2000]);
    retryAfterS(loadTimesMs, 0);
    expect([...loadTimesMs]).toEqual([3000, 1000, 2000]);
  });
});
