// Laws 1 to 5 of the contract over real sockets: when a request is sent twice, and when lemond is asked to act.
import { describe, expect, test } from "bun:test";
import type { DeathPoint } from "../lemond/index.ts";
import { ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

/** The poll stays out of the way: what is noticed is noticed by requests. */
const unwatched = { pollMs: 60_000, touchMs: 0 };

describe.each(["10.6", "11.7"] as const)("law 1: retry once, before the first body byte (lemond %s)", (version) => {
  const retried: readonly (readonly [string, boolean, DeathPoint])[] = [
    ["a plain request whose child dies before the headers", false, "before-headers"],
    ["a plain reply whose child dies after the headers", false, "after-headers"],
    ["a plain reply that is cut short inside its body", false, "mid-body"],
    ["a stream whose child dies before the headers", true, "before-headers"],
    ["a stream whose child dies after its headers, before its first token", true, "after-headers"],
  ];
  test.each(retried)("%s is sent once more", async (_, stream, when) => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const dying = stack.child();
    await dying.set({ dieOnPost: { when } });
    const reply = await ended(stack.chat({ stream, tokens: 8 }));
    expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(reply.text).toContain("tiny-a token 8");
    expect(await promptsOf(dying, stack.child())).toEqual([1, 1]);
    expect([stack.lemond.loads()]).toEqual([2]);
  });

  const broken: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ["between two events", { tokenMs: 40, tokens: 100 }],
    ["inside an event", { tokenMs: 40, tokens: 100, cutAfterBytes: 1000, cut: "kill" }],
  ];
  test.each(broken)("a stream whose child dies %s is not sent again, and says so", async (_, sim) => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched, continues: false });
    const dying = stack.child();
    const response = await stack.chat({ stream: true, sim });
    if (!("cut" in sim)) await dying.kill(); // The first event is here.
    const reply = await ended(response);
    expect(reply).toMatchObject({ status: 200, label: null, how: "interrupted", code: "dispatch.stream_interrupted" });
    expect(reply.text).toContain("tiny-a token 1");
    expect(reply.text).not.toContain("[DONE]");
    expect(await stack.line("dispatch.stream_interrupted")).toMatchObject({ upstream: "primary" });
    // The slot is repaired in the background, so that the next request is served.
    await stack.line("dispatch.upstream_recovered");
    expect(await promptsOf(dying, stack.child())).toEqual([1, 0]);
    expect([stack.lemond.loads()]).toEqual([2]);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
  });
});

describe("law 2: only a lost connection is repaired", () => {
  test.each([false, true])("a timeout is not: 504, one attempt, no load (stream: %p)", async (stream) => {
    await using stack = await startStack({ server: { firstByteTimeoutMs: 200 }, lemonade: unwatched });
    const child = stack.child();
    const sim = stream ? { firstTokenMs: 60_000 } : { firstByteMs: 60_000 };
    const reply = await ended(stack.chat({ stream, sim }));
    expect(reply).toMatchObject({ status: 504, label: null, code: "dispatch.upstream_timeout" });
    expect(reply.details).toEqual({ upstream: "primary", target: `${child.url}/chat/completions`, timeout_s: 0.2 });
    await child.abortedAny();
    expect(await promptsOf(child)).toEqual([1]);
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
    expect((await stack.slot()).in_flight).toBe(0);
  });

  test.each([400, 404, 500, 502, 503])("a reply of %i is the answer, and passes as it is", async (status) => {
    await using stack = await startStack({ lemonade: unwatched });
    const body = JSON.stringify({ error: { code: status, message: "the child's own words", type: "its_own_type" } });
    const sim = { status, raw: btoa(body), contentType: "application/json; charset=utf-8" };
    for (const stream of [false, true]) {
      const response = await stack.chat({ stream, sim });
      expect([response.status, response.headers.get("x-hal0-repair")]).toEqual([status, null]);
      // A stream's framing is the child's; what it carries is the body.
      expect(await response.text()).toBe(body);
    }
    expect(await promptsOf(stack.child())).toEqual([2]);
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
  });

  test.each([false, true])("a client that has gone is no failure: 499, no load (stream: %p)", async (stream) => {
    await using stack = await startStack({ lemonade: unwatched });
    const client = new AbortController();
    const reply = stack.chat({ stream, sim: { firstTokenMs: 60_000 }, signal: client.signal });
    const outcome = reply.catch((error: unknown) => error);
    await stack.child().receivedAny();
    client.abort();
    expect(await outcome).toBeInstanceOf(Error);
    await stack.child().abortedAny();
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 499 });
    expect(await stack.slotIs(({ in_flight }) => in_flight === 0)).toMatchObject({ state: "ready", generation: 1 });
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    for (const event of ["dispatch.forward_failed", "dispatch.stream_interrupted", "dispatch.upstream_recovered"])
      expect(stack.logged(event)).toEqual([]);
  });
});

test("law 3: a healthy child is never unloaded: 500 requests over one that resets re-used connections", async () => {
  await using stack = await startStack();
  const child = stack.child();
  await child.set({ resetReused: true });
  let left = 500;
  const client = async (nth: number): Promise<void> => {
    for (; left > 0;) {
      left--;
      expect(await ended(stack.chat({ stream: nth % 2 === 0, tokens: 1 }))).toMatchObject({
        status: 200,
        how: "whole",
      });
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, nth) => client(nth)));
  expect(await promptsOf(child)).toEqual([500]); // Not one was sent twice.
  expect(child.requests.filter(({ nth }) => nth > 1)).toEqual([]);
  expect([stack.lemond.loads(), stack.lemond.unloads(), stack.lemond.unloadAlls()]).toEqual([1, 0, 0]);
  expect(stack.repairs).toEqual([]);
  expect((await stack.slot()).generation).toBe(1);
}, 20_000);

test.each(["10.6", "11.7"] as const)(
  "law 4: one recovery per death, latecomers included (lemond %s)",
  async (version) => {
    await using stack = await startStack({ lemond: { version, loadMs: 20 }, lemonade: { pollMs: 20 } });
    for (let deaths = 1; deaths <= 3; deaths++) {
      const dying = stack.child();
      await dying.set({ dieOnPost: { when: "before-headers" } });
      const replies: ReturnType<typeof ended>[] = [];
      // They come before the death, at it, during the repair and after it.
      for (let nth = 0; nth < 24; nth++) {
        replies.push(ended(stack.chat({ stream: nth % 2 === 0 })));
        await Bun.sleep(8);
      }
      for (const reply of await Promise.all(replies)) expect(reply).toMatchObject({ status: 200, how: "whole" });
      expect(stack.lemond.loads()).toBe(1 + deaths);
      expect(stack.lemond.unloads()).toBeLessThanOrEqual(deaths);
      expect((await stack.slot()).generation).toBe(1 + deaths);
    }
    expect(stack.lemond.unloadAlls()).toBe(0);
  },
);

describe("law 5: lemond is the truth", () => {
  test("the port moves with every load of another client, and requests follow it", async () => {
    await using stack = await startStack({ lemonade: { pollMs: 20, touchMs: 0 } });
    const ports = new Set<number>();
    for (let cycle = 1; cycle <= 3; cycle++) {
      await stack.lemond.unload("tiny-a");
      await stack.lemond.load("tiny-a");
      const { port, pid } = stack.child();
      ports.add(port);
      await stack.slotIs((slot) => slot.pid === pid);
      expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
      expect(await promptsOf(stack.child())).toEqual([1]);
    }
    expect(ports.size).toBe(3);
    expect(stack.lemond.count("/v1/load")).toBe(4); // The stack's first and the other client's.
    expect(stack.repairs).toEqual([]);
  });

  test("nothing is persisted: a second server in front of the same lemond adopts what is loaded", async () => {
    await using first = await startStack({ lemonade: { touchMs: 0 } });
    expect(await ended(first.chat())).toMatchObject({ status: 200 });
    await using second = await startStack({ sharedLemond: first.lemond, loaded: [], lemonade: { touchMs: 0 } });
    expect(await second.slot()).toMatchObject({ state: "ready", generation: 1, pid: first.child().pid });
    expect(await ended(second.chat())).toMatchObject({ status: 200, label: null });
    expect(first.lemond.count("/v1/load")).toBe(1);
  });
});
