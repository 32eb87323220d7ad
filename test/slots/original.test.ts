// The six tests of the original fix, by their names, over real sockets and on both generations of lemond.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

/** The request finds the child dead, not a poll before it. */
const unwatched = { pollMs: 60_000, touchMs: 0 };

/** The API base of a remote whose port refuses. */
async function deadRemote(): Promise<string> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const url = `http://127.0.0.1:${server.port}/v1`;
  await server.stop(true);
  return url;
}

describe.each(["10.6", "11.7"] as const)("lemond %s", (version) => {
  /** 10.6 lists a dead child for ever; 11.7 for milliseconds, in which it is unloaded as well. */
  const unloads = version === "10.6" ? [1] : [0, 1];

  test("recovers from silent eviction and retries", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const evicted = stack.child();
    await evicted.kill();

    const reply = await ended(stack.chat());
    expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(reply.text).toContain("tiny-a token 1");

    const revived = stack.child();
    expect(revived.pid).not.toBe(evicted.pid);
    expect(await promptsOf(evicted, revived)).toEqual([0, 1]);
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.lemond.unloads()).toBeOneOf(unloads);
    expect(stack.lemond.unloadAlls()).toBe(0);

    const asked = stack.logged("dispatch.upstream_dead_attempting_recover");
    expect(asked).toEqual([expect.objectContaining({ slot: "primary", upstream: "primary", error: "ConnectError" })]);
    expect(asked[0]?.["target"]).toBe(`${evicted.url}/chat/completions`);
    expect(stack.logged("dispatch.upstream_recovered")).toEqual([
      expect.objectContaining({ slot: "primary", outcome: "recovered", from: evicted.url, to: revived.url }),
    ]);
    expect(stack.logged("dispatch.forward_failed")).toEqual([]);
  });

  test("gives up when the retry after recovery still fails", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const first = stack.child();
    await first.kill();
    const latch = stack.lemond.holdLoads();
    const reply = ended(stack.chat({ sim: { cutAfterBytes: 0, cut: "rst" } }));
    await stack.lemond.received("/v1/load");
    latch.release();

    const { status, label, code, details, headers } = await reply;
    expect({ status, label, code }).toEqual({ status: 502, label: "recovered", code: "dispatch.upstream_unavailable" });
    expect(details).toMatchObject({ upstream: "primary", error: "RemoteProtocolError" });
    expect(headers.get("x-should-retry")).toBe("false");

    const second = stack.child();
    expect(second.pid).not.toBe(first.pid);
    expect(await promptsOf(second)).toEqual([1]); // No third attempt …
    expect(stack.lemond.loads()).toBe(2); // … and no second recovery.
    expect(stack.lemond.unloads()).toBeLessThanOrEqual(1);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover").length).toBe(1);
    expect(stack.logged("dispatch.forward_failed").length).toBe(1);
  });

  test("a remote's connection error does not attempt recovery", async () => {
    const url = await deadRemote();
    const upstreams = [{ name: "cloud", url, apiKey: null, models: ["cloud/*"] }];
    await using stack = await startStack({ lemond: { version }, upstreams });
    const loads = stack.lemond.count("/v1/load");

    const { status, label, code, details, headers } = await ended(stack.chat({ model: "cloud/gpt" }));
    expect({ status, label, code }).toEqual({ status: 502, label: null, code: "dispatch.upstream_unavailable" });
    expect(details).toMatchObject({ upstream: "cloud", error: "ConnectError", cause: "refused" });
    expect(headers.get("x-hal0-upstream")).toBe("cloud");
    expect(stack.lemond.count("/v1/load")).toBe(loads);
    expect(stack.lemond.count("/v1/unload")).toBe(0);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
    expect(await promptsOf(stack.child())).toEqual([0]);
  });

  test("streaming recovers from silent eviction", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const evicted = stack.child();
    await evicted.kill();

    const reply = await ended(stack.chat({ stream: true, tokens: 8 }));
    expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(reply.text).toContain("tiny-a token 8");
    expect(reply.text.match(/\[DONE\]/g)?.length).toBe(1);
    expect(reply.text).not.toContain("error");
    expect(await promptsOf(evicted, stack.child())).toEqual([0, 1]);
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.lemond.unloads()).toBeOneOf(unloads);
    expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
  });

  test("recovers from a peer that drops mid-request", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const dying = stack.child();
    await dying.set({ dieOnPost: { when: "before-headers" } });

    const reply = await ended(stack.chat());
    expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(await promptsOf(dying, stack.child())).toEqual([1, 1]);
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.lemond.unloads()).toBeLessThanOrEqual(1);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([
      expect.objectContaining({ slot: "primary", error: "RemoteProtocolError" }),
    ]);
  });

  test("gives up when the recovery itself fails, with the original error", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const evicted = stack.child();
    await evicted.kill();
    stack.lemond.failLoads("tiny-a", 10, "out of memory");

    const { status, label, code, details, headers, text } = await ended(stack.chat());
    expect({ status, label, code }).toEqual({ status: 502, label: "failed", code: "dispatch.upstream_unavailable" });
    expect(details).toMatchObject({ upstream: "primary", target: `${evicted.url}/chat/completions` });
    expect(details).toMatchObject({ error: "ConnectError" });
    expect(text).not.toContain("out of memory");
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    expect(stack.lemond.count("/v1/load", "tiny-a")).toBe(2); // The test's own, and one recovery.
    expect(stack.lemond.unloads()).toBeOneOf(unloads);
    expect(stack.logged("dispatch.recover_evicted_slot_failed")).toEqual([
      expect.objectContaining({ slot: "primary", model: "tiny-a", error: expect.stringContaining("out of memory") }),
    ]);
    expect(await stack.slot()).toMatchObject({ state: "error", url: null, pid: null });
  });
});
