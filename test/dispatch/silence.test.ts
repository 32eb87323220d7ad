// Silence is work: nothing is cut for it, and a first byte that is too late is answered, never repaired.
// Side by side, so that 40 s are waited for once.
import { describe, expect, test } from "bun:test";
import { errorOf } from "../envelope.ts";
import { startRemote } from "../remote.ts";
import { startStack } from "../stack.ts";

const SILENCE_MS = 40_000;

test.concurrent(
  "40 s before the first byte and 40 s in the middle of a stream pass, of a slot and of a remote",
  async () => {
    await using remote = await startRemote(() => null);
    const far = [{ name: "far", url: remote.url, apiKey: null, models: ["far/*"] }];
    await using stack = await startStack({ upstreams: far });
    const startedMs = performance.now();
    const whole = async (reply: Promise<Response>) => {
      const response = await reply;
      return { status: response.status, text: await response.text(), tookMs: performance.now() - startedMs };
    };
    const client = new AbortController();
    const still = stack.chat({ model: "far/m", signal: client.signal }).catch(() => "still waiting");
    const replies = await Promise.all([
      whole(stack.chat({ sim: { firstByteMs: SILENCE_MS } })),
      whole(stack.chat({ stream: true, sim: { firstByteMs: SILENCE_MS } })),
      // The stand-in says `:` after 30 s, as llama-server does; the others are silent to the end.
      whole(stack.chat({ stream: true, sim: { firstTokenMs: SILENCE_MS } })),
      whole(stack.chat({ stream: true, tokens: 1, sim: { tokenMs: SILENCE_MS / 2 - 500 } })),
      whole(
        stack.chat({ stream: true, sim: { raw: btoa("data: a\n\ndata: b\n\n"), chunkBytes: 9, tokenMs: SILENCE_MS } }),
      ),
    ]);
    for (const { status, tookMs } of replies) {
      expect(status).toBe(200);
      expect(tookMs).toBeGreaterThan(SILENCE_MS - 2000);
    }
    expect(replies.map(({ text }) => text.includes("dispatch."))).toEqual([false, false, false, false, false]);
    expect(replies[4]?.text).toMatch(/^data: a\n\n(:\n\n)?data: b\n\n$/);
    client.abort();
    expect(await still).toBe("still waiting");
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(stack.lemond.child("tiny-a")?.prompts()).toBe(5);
    expect(stack.repairs).toEqual([]);
  },
  60_000,
);

describe("a first byte that is later than first_byte_timeout_s", () => {
  test.concurrent.each([
    ["before the headers", { sim: { hang: true } }],
    ["before the headers of a stream", { stream: true, sim: { hang: true } }],
    ["before the first token", { stream: true, sim: { firstTokenMs: 60_000 } }],
    ["inside a plain reply", { sim: { raw: btoa("half"), silentAtEnd: true, contentLength: 99 } }],
  ])("%s is a 504, without a retry or a repair", async (_, chat) => {
    await using stack = await startStack({ server: { firstByteTimeoutMs: 300 } });
    const child = stack.lemond.child("tiny-a");
    const startedMs = performance.now();
    const response = await stack.chat(chat);
    expect(response.status).toBe(504);
    expect(performance.now() - startedMs).toBeGreaterThan(290);
    expect(await errorOf(response)).toMatchObject({
      code: "dispatch.upstream_timeout",
      type: "server_error",
      details: { upstream: "primary", target: `${child?.url}/chat/completions`, timeout_s: 0.3 },
    });
    expect(response.headers.get("x-hal0-repair")).toBeNull();
    await child?.abortedAny();
    await stack.slotIs(({ in_flight, state }) => in_flight === 0 && state === "ready");
    expect([child?.prompts(), stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 1, 0]);
    expect(stack.repairs).toEqual([]);
    expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
  });

  test.concurrent("of a remote is a 504 too", async () => {
    await using remote = await startRemote(() => null);
    await using stack = await startStack({
      server: { firstByteTimeoutMs: 200 },
      upstreams: [{ name: "far", url: remote.url, apiKey: null, models: ["far/*"] }],
    });
    const response = await stack.chat({ model: "far/m" });
    expect(response.status).toBe(504);
    expect(await errorOf(response)).toMatchObject({ details: { upstream: "far", timeout_s: 0.2 } });
    expect(remote.requests.length).toBe(1);
  });

  test.concurrent("says nothing about the bytes after it", async () => {
    await using stack = await startStack({ server: { firstByteTimeoutMs: 1000 } });
    const sim = { raw: btoa("data: a\n\ndata: b\n\n"), chunkBytes: 9, tokenMs: 1500 };
    expect(await (await stack.chat({ stream: true, sim })).text()).toBe("data: a\n\ndata: b\n\n");
  });

  test.concurrent("is no limit where it is 0", async () => {
    await using stack = await startStack({ server: { firstByteTimeoutMs: 0 } });
    expect((await stack.chat({ sim: { firstByteMs: 300 } })).status).toBe(200);
  });
});
