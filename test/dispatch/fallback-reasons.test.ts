// What a slot's fallbacks answer for, and what is the slot's own answer although it has fallbacks.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { OK, startRemote } from "../remote.ts";
import { startStack, type Stack, type StackOptions } from "../stack.ts";

/** Slot `primary` with a remote to fall back to, and how often that was asked. */
async function start(more: StackOptions = {}, own: object = {}) {
  const far = await startRemote(OK);
  const stack = await startStack({
    lemonade: { pollMs: 60_000 },
    upstreams: [{ name: "cloud", url: far.url, apiKey: null, models: ["big"] }],
    slots: [
      { name: "primary", model: "tiny-a", isDefault: true, fallback: [{ upstream: "cloud", model: "big" }], ...own },
    ],
    ...more,
  });
  return {
    ...stack,
    asked: () => far.requests.length,
    [Symbol.asyncDispose]: async () => {
      await stack[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
    },
  };
}

const operate = (stack: Stack, action: string): Promise<Response> => stack.post(`/api/slots/primary/${action}`, {});

describe("a fallback answers", () => {
  const expectFellBack = async (stack: Awaited<ReturnType<typeof start>>, reason: string): Promise<void> => {
    const answer = await ended(stack.chat());
    expect([answer.status, answer.text, answer.headers.get("x-hal0-upstream")]).toEqual([200, "{}", "cloud"]);
    expect(stack.logged("dispatch.fell_back").map((line) => line["reason"])).toEqual([reason]);
    expect(stack.asked()).toBe(1);
  };

  test("where the second attempt is lost, too", async () => {
    await using stack = await start();
    await stack.child().set({ closeBeforeReply: 2 });
    await expectFellBack(stack, "lost");
    expect([stack.child().prompts(), stack.lemond.loads()]).toEqual([2, 1]);
  });

  test("where lemond is down", async () => {
    await using stack = await start({ lemond: { version: "10.6" } });
    await stack.lemond.kill();
    await stack.child().kill();
    await expectFellBack(stack, "failed");
  });

  test("where lemond denies us", async () => {
    await using stack = await start({ lemond: { apiKey: "lemon-key" } });
    await expectFellBack(stack, "failed");
    expect(stack.lemond.loads()).toBe(1);
  });

  test("where the load takes longer than hold_s, and the load goes on", async () => {
    await using stack = await start({ loaded: [] }, { holdMs: 300 });
    const latch = stack.lemond.holdLoads();
    await expectFellBack(stack, "held too long");
    latch.release();
    await stack.slotIs(({ state }) => state === "ready");
    expect(stack.lemond.loads()).toBe(1);
  });
});

describe("no fallback answers", () => {
  const expectOwn = async (stack: Awaited<ReturnType<typeof start>>, reply: object): Promise<void> => {
    const answer = await ended(stack.chat());
    expect(answer).toMatchObject(reply);
    expect([answer.headers.get("x-hal0-upstream"), answer.headers.get("x-hal0-fallback")]).toEqual(["primary", null]);
    expect([stack.asked(), stack.logged("dispatch.fell_back")]).toEqual([0, []]);
  };

  test("for a gate: an operator's order is under way", async () => {
    await using stack = await start({ loaded: [] });
    const latch = stack.lemond.holdLoads();
    const load = operate(stack, "load");
    await stack.lemond.receivedAny("/v1/load");
    await expectOwn(stack, { status: 503, code: "slot.loading" });
    latch.release();
    expect((await load).status).toBe(200);
  });

  test("for too many that wait", async () => {
    await using stack = await start({ loaded: [], server: { maxWaiting: 1 } });
    const latch = stack.lemond.holdLoads();
    const held = ended(stack.chat());
    await stack.slotIs(({ waiting }) => waiting === 1);
    await expectOwn(stack, { status: 503, code: "slot.overloaded" });
    latch.release();
    expect(await held).toMatchObject({ status: 200, label: "loaded" });
  });

  test("for a time-out: the child is busy", async () => {
    await using stack = await start({ server: { firstByteTimeoutMs: 300 } });
    await stack.child().set({ hang: true });
    await expectOwn(stack, { status: 504, code: "dispatch.upstream_timeout" });
  });

  test("for an answer of the child, whatever its status", async () => {
    await using stack = await start();
    for (const status of [400, 500, 503]) {
      const answer = await stack.chat({ sim: { status } });
      expect([answer.status, answer.headers.get("x-hal0-upstream")]).toEqual([status, "primary"]);
    }
    expect([stack.asked(), stack.lemond.loads()]).toEqual([0, 1]);
  });

  test("for a client that has gone", async () => {
    await using stack = await start({ loaded: [] }, { fallbackAfterMs: 400 });
    const latch = stack.lemond.holdLoads();
    const leave = new AbortController();
    const left = stack.chat({ signal: leave.signal }).catch(() => "gone");
    await stack.lemond.receivedAny("/v1/load");
    leave.abort();
    expect(await left).toBe("gone");
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 499 });
    latch.release();
    await stack.slotIs(({ state }) => state === "ready");
    expect([stack.asked(), stack.child().prompts()]).toEqual([0, 0]);
  });
});
