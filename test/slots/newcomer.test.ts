// Another client has lemond load its model and ours is evicted for it: noticed at once, and not fought (sections 2 and 3,
// facts 12, 14 and 21, laws 2 and 6).
import { describe, expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended, type Ended } from "../ended.ts";
import { startLemond, type LemondOptions } from "../lemond/index.ts";
import { promptsOf } from "../prompts.ts";
import { chatBody, startStack, type Stack } from "../stack.ts";

/** As at a real lemond, but a child that waits for us waits longer than any test would. */
const lemond: LemondOptions = {
  version: "11.7",
  maxModels: 1,
  graceMs: 30_000,
  closeMs: 60,
  unloadMs: 2000,
  loadMs: 300,
};
const GRACE_MS = 30_000;
const PATIENCE_MS = 60_000;
/** A newcomer is waited for half as long as its request can wait, and a busy machine needs some seconds to start one. */
const slots = [{ name: "primary", model: "tiny-a", isDefault: true, holdMs: PATIENCE_MS }];
/** Thirty seconds. */
const long = { tokens: 3000, tokenMs: 10 };

/**
 * Where a cut stream goes on, somebody waits for a load. And no touch: one that is on its way when lemond begins to evict is a load
 * that comes right behind.
 */
const start = (more: LemondOptions = {}): Promise<Stack> =>
  startStack({ lemond: { ...lemond, ...more }, slots, lemonade: { touchMs: 0 }, continues: false });

/** A chat of another client through lemond, which loads its model for it. */
async function otherChat({ lemond }: Stack, tokens = 4): Promise<Ended> {
  const body = JSON.stringify({ ...chatBody({ model: "tiny-b", tokens }) });
  const headers = { "content-type": "application/json", connection: "close" };
  return ended(fetch(`${lemond.url}/v1/chat/completions`, { method: "POST", headers, body, keepalive: false }));
}

const since = (beganMs: number): number => performance.now() - beganMs;

describe.concurrent("a stream whose child lemond evicts while its health is blocked", () => {
  test(
    "ends aloud within two seconds, and the other client's load need not wait for the kill",
    async () => {
      await using stack = await start();
      const stream = await stack.chat({ stream: true, sim: long });
      const beganMs = performance.now();
      const load = stack.lemond.load("tiny-b").then(({ status }) => ({ status, tookMs: since(beganMs) }));
      const reply = await ended(stream);
      expect(since(beganMs)).toBeLessThan(2500);
      expect(reply).toMatchObject({ status: 200, how: "interrupted", code: "dispatch.stream_interrupted" });
      expect(await stack.line("dispatch.stream_interrupted")).toMatchObject({ cause: "evicted" });
      const { status, tookMs } = await load;
      expect(status).toBe(200);
      expect(tookMs).toBeLessThan(GRACE_MS / 3);
    },
    PATIENCE_MS,
  );

  test("a child that is silent and listens is left alone", async () => {
    await using stack = await start();
    const reply = ended(stack.chat({ stream: true, sim: { firstTokenMs: 3000, tokens: 3 } }));
    expect(await reply).toMatchObject({ status: 200, label: null, how: "whole" });
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
  }, 30_000);
});

for (const endsAtTerm of ["none", "all"] as const)
  describe.concurrent(
    `another client's eviction is not fought (children that end by themselves: ${endsAtTerm})`,
    () => {
      test(
        "its first chat is answered, and our slot is offline until somebody asks for it",
        async () => {
          await using stack = await start({ endsAtTerm });
          const stream = await stack.chat({ stream: true, sim: long });
          const other = otherChat(stack);
          expect(await ended(stream)).toMatchObject({ how: "interrupted" });
          expect(await other).toMatchObject({ status: 200, how: "whole" });
          for (let polls = 0; polls < 5; polls++) await stack.lemond.received("/v1/health");
          expect(await stack.slotIs(({ state }) => state === "offline")).toMatchObject({ in_flight: 0 });
          expect(stack.lemond.loads("tiny-a")).toBe(1);
          expect(stack.logged("dispatch.recover_evicted_slot_failed")).toEqual([]);
          expect(await ended(stack.chat())).toMatchObject({ status: 200, how: "whole" });
        },
        PATIENCE_MS,
      );

      test(
        "a request that waits for our model gets it when the newcomer has answered and stands still",
        async () => {
          await using stack = await start({ endsAtTerm });
          const child = stack.child();
          const replies = [true, false].map((stream) =>
            ended(stack.chat({ stream, sim: { firstTokenMs: 2500, tokens: 3 } })),
          );
          await stack.slotIs(({ in_flight }) => in_flight === 2);
          await child.receivedAny();
          const other = otherChat(stack);
          expect(await other).toMatchObject({ status: 200, how: "whole" });
          const newcomer = stack.child("tiny-b");
          const [streamed, plain] = await Promise.all(replies);
          expect(streamed).toMatchObject({ status: 200, how: "whole" });
          expect(plain).toMatchObject({ status: 200, label: "recovered", how: "whole" });
          expect(await promptsOf(stack.child())).toEqual([2]);
          expect(newcomer.isAlive).toBe(false);
          expect([stack.lemond.loads("tiny-a"), stack.lemond.loads("tiny-b"), stack.lemond.unloads()]).toEqual([
            2, 1, 0,
          ]);
          expect(stack.logged("slot.transition").filter(({ to }) => to === "error")).toEqual([]);
        },
        PATIENCE_MS,
      );
    },
  );

describe.concurrent("a slot whose model was evicted while nobody was on it", () => {
  test(
    "is not loaded for a request before the newcomer has answered",
    async () => {
      // Health is blocked for longer than a second also where a busy machine asks late.
      await using stack = await start({ loadMs: 1500, unloadMs: 2800 });
      const other = otherChat(stack);
      // Health is blocked while lemond stops the child, and then lists nothing: the newcomer is still being loaded.
      await stack.slotIs(({ state }) => state === "offline");
      const ours = ended(stack.chat());
      expect(await other).toMatchObject({ status: 200, how: "whole" });
      expect(await ours).toMatchObject({ status: 200, label: "loaded", how: "whole" });
      expect([stack.lemond.loads("tiny-a"), stack.lemond.loads("tiny-b")]).toEqual([2, 1]);
    },
    PATIENCE_MS,
  );

  test(
    "long ago is loaded at once, whatever took its room then",
    async () => {
      await using stack = await start({ unloadMs: 1200 });
      expect((await stack.lemond.load("tiny-b")).status).toBe(200);
      await stack.slotIs(({ state }) => state === "offline");
      expect((await stack.lemond.unload("tiny-b")).status).toBe(200);
      await Bun.sleep(11_000); // So long a newcomer is waited for.
      const startedMs = performance.now();
      expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "loaded", how: "whole" });
      expect(since(startedMs)).toBeLessThan(5000);
    },
    PATIENCE_MS,
  );

  test(
    "while its child starts is loaded again when the newcomer stands still, with no error and no back-off",
    async () => {
      await using stack = await start({ warmMs: 1500, answerLoadEarly: true, pids: "hidden", unloadMs: 1200 });
      await stack.child().kill();
      const reply = ended(stack.chat());
      await stack.slotIs(({ state }) => state === "warming");
      expect((await stack.lemond.load("tiny-b")).status).toBe(200);
      // A poll may have found the child dead before the chat did.
      expect(await reply).toMatchObject({
        status: 200,
        label: expect.stringMatching(/^(recovered|loaded)$/),
        how: "whole",
      });
      expect(stack.logged("slot.transition").filter(({ to }) => to === "error")).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "again and again behind its load is offline, with no error and no back-off",
    async () => {
      await using lemond = await startLemond({ version: "11.7", maxModels: 1, unloadMs: 50 });
      await using between = startBetween(lemond, async ({ path, pass }) => {
        const answer = await pass();
        if (path === "/v1/load") await lemond.load("tiny-b");
        return answer;
      });
      await using stack = await startStack({ sharedLemond: between, slots, loaded: [], lemonade: { touchMs: 0 } });
      const reply = await ended(stack.chat());
      expect(reply).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable" });
      expect(String(reply.details["cause"])).toContain("another client");
      expect(await stack.slot()).toMatchObject({ state: "offline" });
      expect(lemond.loads("tiny-a")).toBeWithin(2, 4);
      expect(stack.logged("slot.transition").filter(({ to }) => to === "error")).toEqual([]);
    },
    PATIENCE_MS,
  );
});
