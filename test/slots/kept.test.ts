// Slots that are kept loaded: at the start, after a death, never at the expense of a model in use, and never in a loop.
// Side by side, since they wait for polls and back-offs.
import { expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { startStack } from "../stack.ts";

const kept = [{ name: "primary", model: "tiny-a", isDefault: true, keep: true }];

test.concurrent.each(["10.6", "11.7"] as const)(
  "a kept slot is loaded at the start and again after a death (lemond %s)",
  async (version) => {
    await using stack = await startStack({ lemond: { version }, slots: kept, loaded: [] });
    await stack.slotIs(({ state }) => state === "ready");
    const first = stack.child();
    await first.kill();
    await stack.slotIs(({ state, pid }) => state === "ready" && pid !== first.pid);
    expect(stack.lemond.loads()).toBe(2);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null, how: "whole" });
  },
  20_000, // A death within a minute of the load is followed by a back-off of 5 s.
);

test.concurrent("one that an operator unloaded stays unloaded until a request asks for it", async () => {
  await using stack = await startStack({ slots: kept });
  expect((await stack.post("/api/slots/primary/unload", {})).status).toBe(200);
  const polls = stack.lemond.count("/v1/health");
  while (stack.lemond.count("/v1/health") < polls + 3) await Bun.sleep(20);
  expect(stack.lemond.loads()).toBe(1);
  expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "loaded", how: "whole" });
  expect(stack.lemond.loads()).toBe(2);
});

test.concurrent("two kept slots with room for one do not fight", async () => {
  const slots = [
    { name: "primary", model: "tiny-a", isDefault: true, keep: true },
    { name: "second", model: "tiny-b", keep: true },
  ];
  await using stack = await startStack({ slots, loaded: [] });
  await stack.slotIs(({ state }) => state === "ready");
  const polls = stack.lemond.count("/v1/health");
  while (stack.lemond.count("/v1/health") < polls + 5) await Bun.sleep(20);
  expect([stack.lemond.loads("tiny-a"), stack.lemond.loads("tiny-b")]).toEqual([1, 0]);
});

test.concurrent("one whose load fails backs off", async () => {
  await using stack = await startStack({
    slots: [{ ...kept[0], name: "primary", model: "no-such-model", keep: true }],
    loaded: [],
  });
  await stack.slotIs(({ state }) => state === "error");
  const polls = stack.lemond.count("/v1/health");
  while (stack.lemond.count("/v1/health") < polls + 5) await Bun.sleep(20);
  expect(stack.lemond.count("/v1/load")).toBe(1);
});

test.concurrent(
  "one that is lost again soon after its load is loaded later and later, not at once for ever",
  async () => {
    await using stack = await startStack({ slots: kept, loaded: [] });
    await stack.slotIs(({ state }) => state === "ready");
    await stack.child().kill();
    await stack.slotIs(({ state }) => state === "offline");
    const polls = stack.lemond.count("/v1/health");
    while (stack.lemond.count("/v1/health") < polls + 5) await Bun.sleep(20);
    expect(stack.lemond.loads()).toBe(1);
  },
);
