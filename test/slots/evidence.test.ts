// A connection that stays open proves nothing: who is gone is noticed by evidence, who is merely slow is left alone.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

/** As the product polls. */
const watched = { pollMs: 1000, touchMs: 0 };
const within = async <T>(ms: number, promise: Promise<T>): Promise<T> => {
  const startedMs = performance.now();
  const value = await promise;
  expect(performance.now() - startedMs).toBeLessThan(ms);
  return value;
};

describe.concurrent("a child that is evicted and keeps its socket open in silence", () => {
  for (const version of ["10.6", "11.7"] as const) {
    test(`is noticed within 5 s, and a request without its first byte is repaired (lemond ${version})`, async () => {
      // Without heartbeats: with one the headers are out, and no label tells of the repair.
      await using stack = await startStack({ lemond: { version }, lemonade: watched, server: { heartbeatMs: 0 } });
      const old = stack.child();
      // The reply would come after a second: an evicted child generates nothing any more.
      const replies = [false, true].map((stream) =>
        ended(stack.chat({ stream, sim: { firstByteMs: 1000, firstTokenMs: 1000 } })),
      );
      await old.receivedAny(({ bodyText }) => bodyText?.includes('"stream":true') === true);
      await old.receivedAny(({ bodyText }) => bodyText?.includes('"stream":false') === true);
      void stack.lemond.evict("tiny-a", { silentMs: 79_000 });
      await within(5000, stack.line("dispatch.upstream_dead_attempting_recover"));
      // Whoever had it evicted is left 10 s to show up: nobody does.
      for (const reply of await within(20_000, Promise.all(replies)))
        expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
      const losses = stack.logged("dispatch.upstream_dead_attempting_recover").map(({ cause }) => cause);
      expect(losses).toEqual(["evicted", "evicted"]); // By evidence: the socket said nothing.
      expect(await promptsOf(stack.child())).toEqual([2]);
      expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 0]);
    }, 40_000);

    test(`is noticed within 10 s, and a stream past its first byte ends with the event (lemond ${version})`, async () => {
      await using stack = await startStack({ lemond: { version }, lemonade: watched, continues: false });
      const old = stack.child();
      const response = await stack.chat({ stream: true, sim: { tokens: 1000, tokenMs: 20 } });
      void stack.lemond.evict("tiny-a", { silentMs: 79_000 });
      const reply = await within(10_000, ended(response));
      expect(reply).toMatchObject({ status: 200, label: null, how: "interrupted" });
      expect(await stack.line("dispatch.stream_interrupted")).toMatchObject({ cause: "evicted" });
      expect(await promptsOf(old)).toEqual([1]);
      expect([stack.lemond.unloads()]).toEqual([0]);
      expect(await ended(stack.chat())).toMatchObject({ status: 200, how: "whole" });
    }, 20_000);
  }
});

describe.concurrent("a child that is merely slow", () => {
  test("is left alone: silent before its headers, before its first token, and in mid-stream, with lemond up", async () => {
    await using stack = await startStack({ lemonade: { pollMs: 100 } });
    const replies = await Promise.all([
      ended(stack.chat({ sim: { firstByteMs: 5000 } })),
      ended(stack.chat({ stream: true, sim: { firstTokenMs: 5000 } })),
      ended(stack.chat({ stream: true, sim: { tokens: 2, tokenMs: 2500 } })),
    ]);
    for (const reply of replies) expect(reply).toMatchObject({ status: 200, label: null, how: "whole" });
    expect(await promptsOf(stack.child())).toEqual([3]);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
  }, 15_000);

  test("is left alone while it is stopped, and answers when it goes on", async () => {
    await using stack = await startStack({ lemonade: { pollMs: 100 } });
    const child = stack.child();
    await child.kill("SIGSTOP");
    const reply = ended(stack.chat({ stream: true }));
    await Bun.sleep(4000); // Longer than any question to a child may take.
    await child.kill("SIGCONT");
    expect(await reply).toMatchObject({ status: 200, label: null, how: "whole" });
    expect(await promptsOf(child)).toEqual([1]);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
  }, 15_000);

  test("is left alone with lemond down, as long as it answers /slots", async () => {
    await using stack = await startStack({ lemond: { version: "10.6" }, lemonade: { pollMs: 100 } });
    const child = stack.child();
    const reply = ended(stack.chat({ stream: true, sim: { firstTokenMs: 7500 } }));
    await child.receivedAny();
    await stack.lemond.kill();
    expect(await reply).toMatchObject({ status: 200, label: null, how: "whole" });
    expect(await promptsOf(child)).toEqual([1]);
    expect([child.isAlive]).toEqual([true]);
    // It serves on: lemond is needed for loads only.
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
  }, 20_000);
});

describe.concurrent("an orphan that still listens and answers /health 200 but nothing else", () => {
  for (const version of ["10.6", "11.7"] as const) {
    test(`is seen for what it is within 15 s with lemond down: 502 (lemond ${version})`, async () => {
      await using stack = await startStack({ lemond: { version }, lemonade: watched, continues: false });
      const orphan = stack.child();
      const running = await stack.chat({ stream: true, sim: { tokens: 1000, tokenMs: 20 } });
      await stack.lemond.kill({ wedge: true });
      const [stream, fresh] = await within(15_000, Promise.all([ended(running), ended(stack.chat())]));
      expect(stream).toMatchObject({ status: 200, how: "interrupted" });
      expect(fresh).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable" });
      expect(fresh.details).toMatchObject({ error: "RemoteProtocolError", cause: "wedged" });
      expect(orphan.isAlive).toBe(true);
      expect(await stack.slotIs(({ in_flight }) => in_flight === 0)).toMatchObject({ url: null, state: "offline" });
      expect(stack.logged("lemonade.provider.load")).toEqual([]);
      // And once lemond is back, the next request is served by a new child.
      await stack.lemond.restart();
      await stack.line("lemonade.back");
      expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "loaded", how: "whole" });
      expect(await promptsOf(orphan)).toEqual([2]);
    }, 30_000);

    test(`is seen for what it is within 15 s with lemond back: recovered (lemond ${version})`, async () => {
      await using stack = await startStack({ lemond: { version }, lemonade: watched });
      const orphan = stack.child();
      const reply = ended(stack.chat({ sim: { firstByteMs: 500 } }));
      await orphan.receivedAny();
      await stack.lemond.kill({ wedge: true });
      await stack.lemond.restart();
      expect(await within(15_000, reply)).toMatchObject({ status: 200, label: "recovered", how: "whole" });
      expect(orphan.isAlive).toBe(true);
      expect(await promptsOf(orphan, stack.child())).toEqual([1, 1]);
      expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 0]);
    }, 40_000);
  }
});
