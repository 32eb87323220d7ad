// Replies that break off after their first byte: a stream says so in its own dialect, what cannot say it fails.
import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { brokenOff, FAILED, farAt, reply } from "../broken.ts";
import { openRaw, parseReply, requestText } from "../lemond/raw-client.ts";
import { startRemote } from "../remote.ts";
import { startStack, type Stack } from "../stack.ts";

const MB = 1024 * 1024;
const INTERRUPTED = "dispatch.stream_interrupted";

describe("the first event of a stream", () => {
  test("may be a comment, which passes and counts", async () => {
    const { before, after, stack } = await brokenOff({ sent: ":\n\n" });
    expect([before, after.includes(INTERRUPTED)]).toEqual([":\n\n", true]);
    expect(stack.logged("dispatch.forward_stream_open_failed")).toEqual([]);
  });

  test("is seen whatever letters its type is written in", async () => {
    const type = "Text/Event-Stream; charset=UTF-8";
    const { before, after } = await brokenOff({ sent: "data: a\n\ndata: h", shown: 9, type });
    expect(before).toBe("data: a\n\n");
    expect(after).toMatch(/^data: \{.*\}\n\n$/);
  });
});

describe("a stream cut inside an event", () => {
  const dialects = [
    ["/v1/chat/completions", /^data: (\{"error":.*\})\n\n$/],
    ["/v1/messages", /^event: error\ndata: (\{"type":"error","error":.*\})\n\n$/],
    ["/v1/responses", /^event: response\.failed\ndata: (\{"type":"response\.failed",.*\})\n\n$/],
  ] as const;
  const whole = "data: grüße\n\nevent: delta\ndata: 日本\n\n";
  const sent = Buffer.from(`${whole}data: half\n\ndata: [DONE]\n\n`);
  const first = Buffer.byteLength(whole);

  test.each(["fin", "rst"] as const)(
    "by %s ends with whole events and the error event of its dialect",
    async (how) => {
      for (const [path, lastEvent] of dialects)
        for (const half of [0, 1, 9, "data: half\n".length]) {
          const { before, after, stack } = await brokenOff({
            path,
            sent: sent.subarray(0, first + half),
            shown: first,
            how,
          });
          expect(before).toBe(whole);
          expect(after).toMatch(lastEvent);
          expect(after).toContain(INTERRUPTED);
          expect(await stack.line(INTERRUPTED)).toMatchObject({ upstream: "far", cause: "truncated" });
          expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
        }
    },
    15_000,
  );

  test("by the death of the child ends the same way, and the slot is repaired for the next request", async () => {
    await using stack = await startStack();
    const sim = { raw: sent.subarray(0, first + 9).toString("base64"), silentAtEnd: true };
    const response = await stack.chat({ stream: true, sim });
    await stack.lemond.child("tiny-a")?.kill();
    const text = await response.text();
    expect(text).toStartWith(whole);
    expect(text.slice(whole.length)).toMatch(dialects[0][1]);
    expect((await stack.chat()).status).toBe(200);
    expect(stack.lemond.children().map((child) => child.prompts())).toEqual([1, 1]);
  });

  test("of more than 1 MB passes it, and the error event starts with a blank line", async () => {
    const long = `data: a\n\n${"x".repeat(1.5 * MB)}`;
    const { before, after } = await brokenOff({ sent: long, shown: MB });
    const text = before + after;
    const at = text.indexOf("\n\ndata: {");
    expect(at).toBeGreaterThan(MB);
    expect(long.startsWith(text.slice(0, at))).toBe(true);
    expect(text.slice(at)).toContain(INTERRUPTED);
  });
});

describe("a streamed reply that is neither SSE nor JSON", () => {
  test.each(["fin", "rst"] as const)("is broken off by %s: the client sees its transport fail", async (how) => {
    const { before, after, stack } = await brokenOff({ sent: "x".repeat(5000), type: "audio/mpeg", how });
    expect([before, after]).toEqual(["x".repeat(5000), FAILED]);
    await stack.line(INTERRUPTED);
  });

  test("ends with a reset on the wire, and no last chunk", async () => {
    await using remote = await startRemote(reply("audio/mpeg", "x".repeat(5000)), { staysOpen: true });
    await using stack = await startStack(farAt(remote.url));
    const connection = await openRaw(Number(new URL(stack.url).port));
    connection.send(requestText("POST", "/v1/chat/completions", [], '{"model":"far/m","stream":true}'));
    await connection.until("x".repeat(5000));
    remote.cut("fin");
    expect(await connection.end).toBe("RST");
    const { status, isComplete, body } = parseReply(connection.text());
    expect([status, isComplete, body]).toEqual([200, false, "x".repeat(5000)]);
    expect((await stack.chat()).status).toBe(200);
  });
});

describe("a plain reply that is cut", () => {
  test.each([
    ["with a length", { sim: { bodyKb: 512 } }],
    // A reply that is JSON is a plain one, whatever was asked for.
    ["in chunks", { stream: true, sim: { tokens: 2500, contentType: "application/json" } }],
  ])("is asked for again up to max_reply_mb, and shown in no part, %s", async (_, { sim, ...more }) => {
    await using stack = await startStack({ server: { maxReplyBytes: MB } });
    const response = await stack.chat({ ...more, sim: { ...sim, cutAfterBytes: 400 * 1024 } });
    expect(response.status).toBe(502);
    expect(stack.child().prompts()).toBe(2);
  });

  const sent = "x".repeat(5000);
  test.each([
    ["with a length", `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n${sent}`],
    ["in chunks", reply("application/json", sent)],
  ])("breaks off above max_reply_mb, where it was passed on as it came, %s", async (_, bytes) => {
    await using remote = await startRemote(bytes, { staysOpen: true });
    await using stack = await startStack({ ...farAt(remote.url), server: { maxReplyBytes: 4096 } });
    const connection = await openRaw(Number(new URL(stack.url).port));
    connection.send(requestText("POST", "/v1/chat/completions", [], '{"model":"far/m"}'));
    await connection.until(sent);
    remote.cut("fin");
    expect(await connection.end).toBe("RST");
    expect(parseReply(connection.text())).toMatchObject({ status: 200, isComplete: false, body: sent });
    await stack.line(INTERRUPTED);
    expect(remote.requests.length).toBe(1);
  });
});

describe("an encoded reply", () => {
  const events = "data: grüße\n\n".repeat(500);
  const zipped = gzipSync(events);
  const encoded = (type: string, bytes = zipped.length): Uint8Array => {
    const head = `Content-Type: ${type}\r\nContent-Encoding: gzip\r\nContent-Length: ${zipped.length}`;
    return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`), zipped.subarray(0, bytes)]);
  };
  const ask = async (stack: Stack, stream: boolean): Promise<Response> => {
    const response = await fetch(`${stack.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "accept-encoding": "gzip" },
      body: JSON.stringify({ model: "far/m", stream }),
      decompress: false,
    });
    expect([response.status, response.headers.get("content-encoding")]).toEqual([200, "gzip"]);
    return response;
  };

  test.each([
    ["application/json", false],
    ["text/event-stream", true],
  ] as const)("of %s passes untouched", async (type, stream) => {
    await using remote = await startRemote(encoded(type));
    await using stack = await startStack(farAt(remote.url));
    expect(Buffer.from(await (await ask(stack, stream)).arrayBuffer())).toEqual(zipped);
    // No event can be seen in an encoded stream: none is asked for, and some upstreams encode all the same.
    expect(remote.requests[0]?.headers["accept-encoding"]).toBe(stream ? "identity" : "gzip");
  });

  test("is not held back for a blank line that cannot be seen in it", async () => {
    await using remote = await startRemote(encoded("text/event-stream", 60), { staysOpen: true });
    await using stack = await startStack(farAt(remote.url));
    const reader = (await ask(stack, true)).body?.getReader();
    expect((await reader?.read())?.value).toEqual(new Uint8Array(zipped.subarray(0, 60)));
    await reader?.cancel();
  });

  test("that breaks off has no plain event put into it", async () => {
    await using remote = await startRemote(encoded("text/event-stream", 60), { staysOpen: true });
    await using stack = await startStack(farAt(remote.url));
    const reader = (await ask(stack, true)).body?.getReader();
    await reader?.read();
    remote.cut("fin");
    const ended = await reader?.read().catch(() => "transport failed");
    expect(ended).toBe("transport failed");
    await stack.line(INTERRUPTED);
  });
});
