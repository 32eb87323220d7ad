// An operator's order while lemond is down, or refuses it: a child is let go of only when lemond has said that it is unloaded.
import { describe, expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { promptsOf } from "../prompts.ts";
import { startStack, type Stack } from "../stack.ts";

const takingDown = ["unload", "restart", "swap"] as const;
const act = (stack: Stack, action: string): Promise<Response> =>
  stack.post(`/api/slots/primary/${action}`, { model: "tiny-b" });

describe.each(takingDown)("%s while lemond 10.6 is down and its child lives", (action) => {
  test("fails and names the cause; the slot keeps its child and answers", async () => {
    await using stack = await startStack({ lemond: { version: "10.6" } });
    const child = stack.child();
    await stack.lemond.kill();
    const reply = await ended(act(stack, action));
    expect(reply).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable" });
    expect(String(reply.details["cause"])).toContain("lemond refuses connections");
    const { url, pid } = child;
    expect(await stack.slot()).toMatchObject({ state: "ready", model: "tiny-a", url, pid, generation: 1 });
    expect(await ended(stack.chat({ model: "primary" }))).toMatchObject({ status: 200, label: null, how: "whole" });
    expect(await promptsOf(child)).toEqual([1]);
    expect(stack.lemond.unloads()).toBe(0);
  });

  test("cuts no stream, although it has waited for drain_s", async () => {
    await using stack = await startStack({ lemond: { version: "10.6" }, server: { drainMs: 100 } });
    const stream = ended(stack.chat({ stream: true, sim: { tokens: 40, tokenMs: 20 } }));
    await stack.child().receivedAny();
    await stack.lemond.kill();
    expect(await ended(act(stack, action))).toMatchObject({ status: 502 });
    expect(await stream).toMatchObject({ status: 200, label: null, how: "whole" });
    expect(await stack.slotIs(({ in_flight }) => in_flight === 0)).toMatchObject({ state: "ready", generation: 1 });
  });
});

test.each(takingDown)("%s whose unload lemond answers with 500 leaves the slot as it was", async (action) => {
  await using lemond = await startLemond();
  await using between = startBetween(lemond, ({ path, pass }) =>
    path === "/v1/unload" ? Response.json({ error: "the child does not end" }, { status: 500 }) : pass(),
  );
  await using stack = await startStack({ sharedLemond: between });
  const { url, pid } = stack.child();
  const reply = await ended(act(stack, action));
  expect(reply).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable" });
  expect(String(reply.details["cause"])).toContain("500: the child does not end");
  expect(await stack.slot()).toMatchObject({ state: "ready", model: "tiny-a", url, pid, generation: 1 });
  expect(await ended(stack.chat({ model: "primary" }))).toMatchObject({ status: 200, label: null });
  expect([lemond.loads("tiny-a"), lemond.loads("tiny-b")]).toEqual([1, 0]);
});
