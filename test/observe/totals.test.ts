// What is counted by day.
import { expect, test } from "bun:test";
import { savedOf } from "../../src/observe/requests.ts";
import { createTotals, type Day } from "../../src/observe/totals.ts";

const at = (day: number, hour = 12): number => new Date(2026, 10, day, hour).getTime();
const served = { isServed: true, saved: null, waitedMs: 0 };
const nothing = { served: 0, continued: 0, fell_back: 0, recovered: 0, waited_ms: 0 };

test("a request counts for today and for the seven days with today", () => {
  const totals = createTotals([]);
  for (const day of [10, 17, 18, 24]) totals.add(at(day), served);
  totals.add(at(24), { isServed: true, saved: "recovered", waitedMs: 1500 });
  totals.add(at(23), { isServed: true, saved: "continued", waitedMs: 500 });
  totals.add(at(24), { isServed: false, saved: null, waitedMs: 3000 });
  const { today, week } = totals.headline(at(24, 23));
  expect(today).toEqual({ ...nothing, served: 2, recovered: 1, waited_ms: 4500 });
  expect(week).toEqual({ ...nothing, served: 4, recovered: 1, continued: 1, waited_ms: 5000 });
  expect(totals.headline(at(25, 0)).today).toEqual(nothing);
});

test("days go on where an earlier run left them, and a day that a wrong clock made pushes none of the week out", () => {
  const before: Day[] = [18, 19, 20, 21, 22, 23, 24].map((day) => ({ day: `2026-11-${day}`, ...nothing, served: 1 }));
  const totals = createTotals(before);
  totals.add(new Date(1970, 0, 1).getTime(), served);
  totals.add(new Date(2031, 0, 1).getTime(), served);
  totals.add(at(24), served);
  expect(totals.headline(at(24)).week.served).toBe(8);
  expect(before.at(-1)?.served).toBe(1);
});

test("a year leaves a handful of days", () => {
  const totals = createTotals([]);
  for (let day = 1; day <= 365; day++) totals.add(new Date(2026, 0, day).getTime(), served);
  expect(totals.days().length).toBeLessThan(20);
  expect(totals.headline(new Date(2026, 0, 365).getTime()).week.served).toBe(7);
});

test.each([
  [{ label: null }, null],
  [{ label: "recovered" }, "recovered"],
  [{ label: "retargeted" }, "recovered"],
  [{ label: "alive" }, "recovered"],
  // Nothing was lost: it only had to be loaded.
  [{ label: "loaded" }, null],
  [{ label: "recovered", status: 502 }, null],
  [{ fallback: "primary" }, "fell_back"],
  [{ fallback: "primary", status: 499 }, null],
  [{ label: "recovered", isContinued: true }, "continued"],
  [{ isContinued: true, status: 502 }, null],
] as const)("a request with %j counts as saved: %p", (more, saved) => {
  expect(savedOf({ status: 200, label: null, fallback: null, isContinued: false, ...more })).toBe(saved);
});
