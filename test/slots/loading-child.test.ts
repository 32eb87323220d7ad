// A child that says 503 of itself before anything was sent: it loads, and is waited for. Nothing was lost (section 4).
import { expect, test } from "bun:test";
import { ended } from "../ended.ts";
import type { ChildRequest } from "../lemond/index.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

/** Where pids are not visible each attempt is preceded by a question to the port. */
const hidden = { lemond: { pids: "hidden" }, lemonade: { pollMs: 60_000, touchMs: 0 } } as const;
const isIdentity = ({ path }: ChildRequest): boolean => path === "/v1/models";

test("requests wait for it, with one repair for all, and none of them counts as lost", async () => {
  await using stack = await startStack(hidden);
  const child = stack.child();
  await child.set({ loading: true });
  const replies = [false, true, false, true].map((stream) => ended(stack.chat({ stream })));
  await stack.slotIs(({ waiting }) => waiting === 4);
  await child.received(isIdentity); // It is asked again, and nothing is sent.
  expect(await promptsOf(child)).toEqual([0]);
  await child.set({});
  for (const reply of await Promise.all(replies)) expect(reply).toMatchObject({ status: 200, how: "whole" });
  expect(await promptsOf(child)).toEqual([4]);
  expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
  expect(stack.repairs.map(({ outcome, cause }) => [outcome, cause])).toEqual([["alive", "loading"]]);
  expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
});

test.each([false, true])("a request that has waited still has both its attempts (stream: %p)", async (stream) => {
  await using stack = await startStack(hidden);
  const child = stack.child();
  await child.set({ loading: true });
  const reply = ended(stack.chat({ stream }));
  await stack.slotIs(({ waiting }) => waiting === 1);
  await child.received(isIdentity);
  // Its first attempt gets no answer, the second does.
  await child.set({ closeBeforeReply: 1 });
  expect(await reply).toMatchObject({ status: 200, label: "alive", how: "whole" });
  expect(await promptsOf(child)).toEqual([2]);
  const [lost, ...others] = stack.logged("dispatch.upstream_dead_attempting_recover");
  expect([lost?.["error"], others]).toEqual(["RemoteProtocolError", []]);
});

test("one that loads for longer than hold_s is said to be loading", async () => {
  const slots = [{ name: "primary", model: "tiny-a", holdMs: 600 }];
  await using stack = await startStack({ ...hidden, slots });
  await stack.child().set({ loading: true });
  const reply = await ended(stack.chat());
  expect(reply).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable" });
  expect(String(reply.details["cause"])).toContain("the child is still loading");
  expect(reply.headers.has("retry-after")).toBe(true);
  expect(await promptsOf(stack.child())).toEqual([0]);
  expect(await stack.slotIs(({ waiting }) => waiting === 0)).toMatchObject({ in_flight: 0 });
});
