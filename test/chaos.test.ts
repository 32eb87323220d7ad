// The fault campaign that `verify` runs: 2,000 requests over five seeds against the server as a process of its own.
import { expect, test } from "bun:test";
import { runCampaign } from "./chaos/campaign.ts";
import { EPOCH_REQUESTS, planCampaign } from "./chaos/plan.ts";

const SEEDS = [1, 2, 3, 4, 5];
const REQUESTS = 2000;

test("whatever fails, each of 2,000 requests gets a whole answer, an error of the contract, or a stream that says it broke off", async () => {
  const { totals, footprints } = await runCampaign({
    seeds: SEEDS,
    requests: REQUESTS / SEEDS.length,
    binary: null,
    onProgress: () => {},
    onLine: () => {},
  });
  expect(totals.violations).toEqual([]);
  // Each seed has a crowd besides: everything at once, a reload and the end of the server among it.
  const crowded = totals.faults["crowd request"] ?? 0;
  expect(crowded).toBeGreaterThan(50);
  expect(totals.faults["crowd order"]).toBeGreaterThan(0);
  expect(totals.faults["crowd reload"]).toBeGreaterThan(0);
  expect(totals.requests).toBe(REQUESTS + crowded);
  // A campaign in which little went wrong, or little went well, proves little.
  expect(totals.outcomes["whole"]).toBeGreaterThan(REQUESTS / 2);
  expect(totals.outcomes["interrupted"]).toBeGreaterThan(20);
  expect(totals.outcomes["continued"]).toBeGreaterThan(10);
  expect(totals.outcomes["fell-back"]).toBeGreaterThan(20);
  expect(totals.heartbeats).toBeGreaterThan(20);
  expect(totals.keptBack).toBeGreaterThan(2);
  expect(totals.attempts["2"]).toBeGreaterThan(20);
  expect(Object.keys(totals.faults).length).toBeGreaterThan(15);
  expect(footprints.at(-1)?.upstreams).toBe(0);
}, 240_000);

test("a seed makes the same campaign again, and another seed another one", () => {
  expect(planCampaign(7, 3 * EPOCH_REQUESTS)).toEqual(planCampaign(7, 3 * EPOCH_REQUESTS));
  expect(planCampaign(8, 3 * EPOCH_REQUESTS)).not.toEqual(planCampaign(7, 3 * EPOCH_REQUESTS));
});
