// Streams that wait, on real sockets: what their clients are sent meanwhile, and what becomes of them.
import { describe, expect, test } from "bun:test";
import { errorOf } from "../envelope.ts";
import { ended } from "../ended.ts";
import { startRemote } from "../remote.ts";
import { startStack, type Stack, type StackOptions } from "../stack.ts";

const HEARTBEAT = /^: (checking|waiting for room|loading|reading the prompt) of primary, \d+ s( of about \d+ s)?$/;
const often: StackOptions = { server: { heartbeatMs: 100 } };
const empty: StackOptions = { ...often, loaded: [] };

/** The blocks of a stream, between blank lines. */
const blocks = (text: string): string[] => text.split("\n\n").slice(0, -1);

/** Reads until the text matches; gives all of it so far. */
async function until(response: Response, match: RegExp) {
  const reader = response.body?.getReader();
  if (!reader) throw new Error("no body");
  let text = "";
  while (!match.test(text)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the stream ended: ${text}`);
    text += Buffer.from(value).toString();
  }
  return { text, reader };
}

/** The rest of a reply whose beginning was read. */
async function rest({ text, reader }: Awaited<ReturnType<typeof until>>): Promise<string> {
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return text;
    text += Buffer.from(value).toString();
  }
}

describe("a stream whose slot loads", () => {
  test("gets a heartbeat after each silence, then the whole answer and no heartbeat more", async () => {
    await using stack = await startStack({ ...empty, lemond: { loadMs: 1000 } });
    const beganMs = performance.now();
    const response = await stack.chat({ stream: true, tokens: 5, sim: { tokenMs: 150 } });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      "x-hal0-upstream": "primary",
      "x-request-id": expect.any(String),
    });
    expect(response.headers.get("x-hal0-repair")).toBeNull();
    const all = blocks(await response.text());
    const tookMs = performance.now() - beganMs;
    const first = all.findIndex((block) => !block.startsWith(":"));
    // Ten are due in a second; on a busy machine some come late, and the load takes longer.
    expect(first).toBeGreaterThanOrEqual(5);
    expect(first).toBeLessThanOrEqual(tookMs / 100);
    for (const block of all.slice(0, first)) expect(block).toMatch(HEARTBEAT);
    expect(all.slice(0, first).some((block) => block.startsWith(": loading of primary"))).toBe(true);
    expect(all.slice(first).filter((block) => !block.startsWith("data: "))).toEqual([]);
    expect(all.at(-1)).toBe("data: [DONE]");
    // The log has what no header could say any more.
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 200, repair: "loaded", upstream: "primary" });
    expect([stack.lemond.loads(), stack.child().prompts()]).toEqual([1, 1]);
  });

  test("says how long a load takes, once that is known", async () => {
    await using stack = await startStack({ ...empty, lemond: { loadMs: 1100 } });
    await (await stack.post("/api/slots/primary/load", {})).text();
    await stack.lemond.unload("tiny-a");
    await stack.slotIs(({ state }) => state === "offline");
    const { text } = await until(await stack.chat({ stream: true }), /loading of primary/);
    expect(text).toMatch(/: loading of primary, \d+ s of about [12] s\n\n/);
  });

  test("of messages gets pings and then its own events", async () => {
    await using stack = await startStack({ ...empty, lemond: { loadMs: 500 } });
    const ask = { model: "primary", max_tokens: 2, stream: true, messages: [{ role: "user", content: "hello" }] };
    const all = blocks(await (await stack.post("/v1/messages", ask)).text());
    const first = all.findIndex((block) => block.startsWith("event: message_start"));
    expect(first).toBeGreaterThan(1);
    expect(new Set(all.slice(0, first))).toEqual(new Set(['event: ping\ndata: {"type":"ping"}']));
    expect(all.at(-1)).toStartWith("event: message_stop");
  });

  test.each([
    ["/v1/chat/completions", /\n\ndata: (\{"error":.*\})\n\n$/],
    ["/v1/completions", /\n\ndata: (\{"error":.*\})\n\n$/],
    ["/v1/messages", /\n\nevent: error\ndata: (\{"type":"error","error":.*\})\n\n$/],
    ["/v1/responses", /\n\nevent: response\.failed\ndata: (\{"type":"response\.failed",.*\})\n\n$/],
  ])("in vain is told so in the stream of %s, and the log has the status", async (path, last) => {
    await using stack = await startStack(empty);
    stack.lemond.failLoads("tiny-a");
    const latch = stack.lemond.holdLoads();
    const ask = { stream: true, messages: [], prompt: "hello", input: "hello" };
    const begun = await until(await stack.post(path, ask), /loading of primary|event: ping/);
    latch.release();
    const text = await rest(begun);
    expect(text).not.toContain("[DONE]");
    const [, data] = last.exec(text) ?? [];
    const { error } = JSON.parse(data ?? "{}");
    expect(error).toMatchObject({ code: "dispatch.upstream_unavailable", retry_after_s: expect.any(Number) });
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 502, repair: "failed" });
    // The next one meets the back-off at once: nothing has begun, and it is a status.
    const next = await stack.post(path, ask);
    expect([next.status, next.headers.get("retry-after")]).toEqual([502, expect.any(String)]);
  });

  test("longer than hold_s ends with the event that a status would have been", async () => {
    const slots = [{ name: "primary", model: "tiny-a", isDefault: true, holdMs: 500 }];
    await using stack = await startStack({ ...empty, slots });
    const latch = stack.lemond.holdLoads();
    const text = await (await stack.chat({ stream: true })).text();
    latch.release();
    expect(text.trimEnd().split("\n\n").at(-1)).toMatch(/^data: \{"error":.*"slot\.loading".*"retry_after_s"/);
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 503 });
  });

  test("is told so by the gate at once, and by a gate that holds in heartbeats", async () => {
    for (const gate of ["reject", "hold"] as const) {
      const slots = [{ name: "primary", model: "tiny-a", isDefault: true, gate }];
      await using stack = await startStack({ ...empty, slots });
      const latch = stack.lemond.holdLoads();
      const load = stack.post("/api/slots/primary/load", {});
      await stack.lemond.receivedAny("/v1/load");
      const response = await stack.chat({ stream: true });
      if (gate === "reject") expect([response.status, (await errorOf(response)).code]).toEqual([503, "slot.loading"]);
      const begun = gate === "hold" ? await until(response, /: loading of primary/) : null;
      latch.release();
      if (begun) expect(await rest(begun)).toEndWith("data: [DONE]\n\n");
      expect((await load).status).toBe(200);
    }
  });

  test("costs nothing when its client leaves, and the load goes on", async () => {
    await using stack = await startStack(empty);
    const latch = stack.lemond.holdLoads();
    const leave = new AbortController();
    const { reader } = await until(await stack.chat({ stream: true, signal: leave.signal }), /loading of primary/);
    leave.abort();
    await reader.read().catch(() => null);
    await stack.slotIs(({ waiting }) => waiting === 0);
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 499 });
    latch.release();
    await stack.slotIs(({ state }) => state === "ready");
    expect([stack.child().prompts(), stack.lemond.loads(), stack.lemond.unloads()]).toEqual([0, 1, 0]);
  });

  test("gets none where heartbeat_s is 0", async () => {
    await using stack = await startStack({ ...empty, lemond: { loadMs: 400 }, server: { heartbeatMs: 0 } });
    const response = await stack.chat({ stream: true });
    expect(response.headers.get("x-hal0-repair")).toBe("loaded");
    expect(await response.text()).toStartWith("data: ");
  });
});

describe("no heartbeat", () => {
  test("reaches a plain request", async () => {
    await using stack = await startStack({ ...empty, lemond: { loadMs: 400 } });
    const response = await stack.chat();
    expect([response.headers.get("x-hal0-repair"), response.headers.get("content-type")]).toEqual([
      "loaded",
      "application/json; charset=utf-8",
    ]);
    expect(await response.text()).toStartWith("{");
  });

  test("reaches a client of a remote: its 429 stays a status", async () => {
    const answer =
      "HTTP/1.1 429 Slow\r\nRetry-After: 9\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let isSlow = true;
    await using remote = await startRemote(() => (isSlow ? null : answer));
    const upstreams = [{ name: "far", url: remote.url, apiKey: null, models: ["far/*"] }];
    await using stack = await startStack({ ...often, upstreams });
    const slow = stack.chat({ stream: true, model: "far/m" });
    const began = await Promise.race([slow, Bun.sleep(400).then(() => "silence")]);
    expect(began).toBe("silence");
    remote.cut("fin");
    expect((await slow).status).toBe(502);
    isSlow = false;
    const response = await stack.chat({ stream: true, model: "far/m" });
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "9"]);
  });
});

describe("a stream whose child reads a long prompt", () => {
  test("is told so", async () => {
    await using stack = await startStack(often);
    const text = await (await stack.chat({ stream: true, sim: { firstTokenMs: 500 } })).text();
    expect(text).toMatch(/^: reading the prompt of primary, 0 s\n\n/);
    expect(text).toEndWith("data: [DONE]\n\n");
  });

  test("gets the child's own error as an event", async () => {
    await using stack = await startStack(often);
    const error = { code: 400, message: "too long", type: "exceed_context_size_error", n_ctx: 4096 };
    const raw = Buffer.from(JSON.stringify({ error })).toString("base64");
    const sim = { firstByteMs: 400, status: 400, contentType: "application/json; charset=utf-8", raw };
    const text = await (await stack.chat({ stream: true, sim })).text();
    expect(blocks(text).at(-1)).toBe(`data: ${JSON.stringify({ error })}`);
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 400 });
  });

  test("is sent again when the child dies, although heartbeats have gone out", async () => {
    await using stack = await startStack(often);
    const first = stack.child();
    const begun = await until(await stack.chat({ stream: true, sim: { firstTokenMs: 700 } }), /reading the prompt/);
    await first.kill();
    const text = await rest(begun);
    expect(text.match(/"role":"assistant"/g)?.length).toBe(1);
    expect(text).toEndWith("data: [DONE]\n\n");
    expect([first.prompts(), stack.child().prompts(), stack.lemond.loads()]).toEqual([1, 1, 2]);
    expect(await stack.line("dispatch.decision")).toMatchObject({ status: 200, repair: "recovered" });
  });
});

describe("a comment of the child before its first event", () => {
  const pinging: StackOptions = { lemond: { pingMs: 100 }, server: { heartbeatMs: 0 } };
  const raw = Buffer.from(": hello\n\ndata: [DONE]\n\n").toString("base64");

  test("passes at once, and the stream is still sent again when the child dies", async () => {
    await using stack = await startStack(pinging);
    const first = stack.child();
    const response = await stack.chat({ stream: true, sim: { firstTokenMs: 350 } });
    const begun = await until(response, /^:\n\n/);
    await first.kill();
    expect((await ended(new Response(await rest(begun), response))).how).toBe("whole");
    expect([first.prompts(), stack.child().prompts()]).toEqual([1, 1]);
  });

  test("that comes with the event passes with it", async () => {
    await using stack: Stack = await startStack(pinging);
    const response = await stack.chat({ stream: true, sim: { raw } });
    expect(await response.text()).toBe(": hello\n\ndata: [DONE]\n\n");
    expect(response.headers.get("server")).toBe("llama.cpp");
  });
});
