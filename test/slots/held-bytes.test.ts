// What waits is bounded by its bytes too, for each slot by itself.
import { expect, test } from "bun:test";
import { ended, type Ended } from "../ended.ts";
import { startStack } from "../stack.ts";

const MAX_BODY_BYTES = 100_000;
const slots = [
  { name: "primary", model: "tiny-a", isDefault: true },
  { name: "second", model: "tiny-b" },
];

test("four bodies of the largest size may wait for a slot, and no more: the next is told so at once", async () => {
  await using stack = await startStack({
    server: { maxBodyBytes: MAX_BODY_BYTES },
    slots,
    loaded: [],
    lemond: { maxModels: 2 },
  });
  const latch = stack.lemond.holdLoads();
  const ask = (model: string, bytes: number): Promise<Ended> =>
    ended(stack.post("/v1/chat/completions", { model, messages: [{ role: "user", content: "x".repeat(bytes) }] }));
  const large = MAX_BODY_BYTES - 1000;
  const held = Array.from({ length: 4 }, () => ask("primary", large));
  await stack.slotIs(({ waiting }) => waiting === 4, "primary");
  const startedMs = performance.now();
  const refused = await ask("primary", large);
  expect(performance.now() - startedMs).toBeLessThan(2000);
  expect(refused).toMatchObject({ status: 503, code: "slot.overloaded", details: { waiting: 4, limit: 4 } });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  // A small one still fits, and another slot has room of its own.
  const small = ask("primary", 10);
  const other = ask("second", large);
  await stack.slotIs(({ waiting }) => waiting === 5, "primary");
  await stack.slotIs(({ waiting }) => waiting === 1, "second");
  latch.release();
  for (const reply of await Promise.all([...held, small, other]))
    expect(reply).toMatchObject({ status: 200, how: "whole" });
  // What has left makes room.
  expect(await ask("primary", large)).toMatchObject({ status: 200, how: "whole" });
});
