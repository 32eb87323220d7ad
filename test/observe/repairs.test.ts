// What the operator reads after a week: which losses there were, what was done, how long it took.
import { expect, test } from "bun:test";
import type { LossCause } from "../../src/dispatch/attempt.ts";
import { rememberRepairs, type RepairEntry } from "../../src/observe/repairs.ts";
import type { RepairRecord } from "../../src/slots/slot.ts";
import { startStack, type Stack } from "../stack.ts";

const record = (fields: Partial<RepairRecord> = {}): RepairRecord => ({
  slot: "primary",
  cause: "refused",
  outcome: "recovered",
  from: "http://127.0.0.1:8001/v1",
  to: "http://127.0.0.1:8002/v1",
  durationMs: 2345.678,
  requestId: "r1",
  ...fields,
});

async function listed(stack: Stack): Promise<RepairEntry[]> {
  const response = await fetch(`${stack.url}/api/repairs`);
  expect(response.status).toBe(200);
  return (await response.json()) as RepairEntry[];
}

const WORDS: readonly (readonly [LossCause, string | null, string])[] = [
  ["refused", "u", "refused"],
  ["reset", "u", "reset"],
  ["truncated", "u", "truncated"],
  ["pid gone", "u", "pid gone"],
  ["evicted", "u", "evicted and noticed"],
  ["evicted", null, "not loaded"],
  ["moved", "u", "moved"],
];

for (const [cause, from, words] of WORDS)
  test(`a loss by ${cause} ${from === null ? "without a child before it " : ""}is remembered as ${words}`, () => {
    expect(rememberRepairs().add(record({ cause, from })).cause).toBe(words);
  });

test("the last 200 repairs are remembered, the newest first", () => {
  const repairs = rememberRepairs();
  for (let n = 1; n <= 205; n++) repairs.add(record({ requestId: `r${n}` }));
  const ids = repairs.list().map(({ request_id }) => request_id);
  expect(ids).toHaveLength(200);
  expect(ids[0]).toBe("r205");
  expect(ids.at(-1)).toBe("r6");
});

test("a repair has its time, its cause, both URLs, its duration in seconds and the request that found the loss", () => {
  const before = new Date().toISOString();
  const { time, ...rest } = rememberRepairs().add(record());
  expect(time >= before && time <= new Date().toISOString()).toBe(true);
  expect(rest).toEqual({
    slot: "primary",
    cause: "refused",
    outcome: "recovered",
    from: "http://127.0.0.1:8001/v1",
    to: "http://127.0.0.1:8002/v1",
    duration_s: 2.346,
    request_id: "r1",
  });
});

test("an eviction that a request ran into is in the list and in the log, with the same cause and request", async () => {
  // No poll may notice the eviction first.
  await using stack = await startStack({ lemonade: { pollMs: 60_000 } });
  expect(await listed(stack)).toEqual([]);
  const { url: from } = stack.child();
  await stack.child().kill();
  const response = await stack.chat({ headers: { "x-request-id": "the-one" } });
  expect(response.headers.get("x-hal0-repair")).toBe("recovered");
  const repairs = await listed(stack);
  const [repair] = repairs;
  expect(repairs).toHaveLength(1);
  expect(repair).toMatchObject({
    slot: "primary",
    outcome: "recovered",
    from,
    to: stack.child().url,
    request_id: "the-one",
  });
  expect(["pid gone", "refused", "reset"]).toContain(repair?.cause ?? "");
  expect(repair?.duration_s).toBeGreaterThan(0.05);
  const line = await stack.line("dispatch.upstream_recovered");
  expect(line).toMatchObject({ request_id: "the-one", outcome: "recovered", cause: repair?.cause });
  expect(line["took_ms"]).toBe(Math.round((repair?.duration_s ?? 0) * 1000));
});

test("an eviction noticed before any request is remembered as such, and a first load is no repair", async () => {
  await using stack = await startStack({ loaded: [] });
  await (await stack.chat()).text();
  await stack.lemond.evict("tiny-a");
  await stack.slotIs(({ state }) => state === "offline");
  await (await stack.chat()).text();
  const repairs = await listed(stack);
  expect(repairs.map(({ cause, outcome }) => [cause, outcome])).toEqual([["evicted and noticed", "loaded"]]);
  expect(stack.logged("dispatch.upstream_recovered").length).toBe(1);
});

test("a repair that failed is in the list without a target, and one that backs off is not a repair", async () => {
  await using stack = await startStack({ lemonade: { pollMs: 60_000 } });
  stack.lemond.failLoads("tiny-a", 9);
  await stack.child().kill();
  expect((await stack.chat()).status).toBe(502);
  expect((await stack.chat()).headers.get("x-hal0-repair")).toBe("backed_off");
  const repairs = await listed(stack);
  expect(repairs.map(({ outcome, to }) => [outcome, to])).toEqual([["failed", null]]);
});

test("a request that finds nothing amiss leaves no repair", async () => {
  await using stack = await startStack();
  await (await stack.chat()).text();
  expect(await listed(stack)).toEqual([]);
});

test("the repairs need a key where keys are set", async () => {
  await using stack = await startStack({ server: { apiKeys: ["right"] } });
  expect((await fetch(`${stack.url}/api/repairs`)).status).toBe(401);
  const headers = { authorization: "Bearer right" };
  expect((await fetch(`${stack.url}/api/repairs`, { headers })).status).toBe(200);
});
