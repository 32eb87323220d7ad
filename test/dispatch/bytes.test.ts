// Bytes on real sockets: what the child sent is what the client gets, and the other way round.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { errorOf } from "../envelope.ts";
import { farAt } from "../broken.ts";
import { openRaw, requestText } from "../lemond/raw-client.ts";
import { startRemote } from "../remote.ts";
import { startStack, type Stack } from "../stack.ts";

const MB = 1024 * 1024;
const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString("base64");
const sha256 = (bytes: Uint8Array): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
const body = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());

const streamText = (lineEnd: string): string =>
  [
    ["data: grüße"],
    [":"],
    ["event: delta", "id: 7", "data: 日本語", "data: 𝄞"],
    [": ping 🙂", "data:x"],
    ["data: [DONE]"],
  ]
    .map((lines) => lines.map((line) => line + lineEnd).join("") + lineEnd)
    .join("");

/** The repairs that a test expects none of. */
async function wasLeftAlone({ lemond }: Stack): Promise<void> {
  expect([lemond.loads(), lemond.unloads(), lemond.unloadAlls()]).toEqual([1, 0, 0]);
}

describe("a stream", () => {
  test.each([
    ["LF", "\n"],
    ["CRLF", "\r\n"],
    ["CR", "\r"],
  ])("with %s arrives as the child sent it, in pieces of any size", async (_, lineEnd) => {
    await using stack = await startStack();
    const sent = Buffer.from(streamText(lineEnd));
    const got = await Promise.all(
      Array.from({ length: 64 }, async (_, at) =>
        body(await stack.chat({ stream: true, sim: { raw: base64(sent), chunkBytes: at + 1 } })),
      ),
    );
    expect(got.filter((bytes) => !bytes.equals(sent))).toEqual([]);
    expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
    await wasLeftAlone(stack);
  });

  test("reaches the client event by event, not when it is over", async () => {
    await using stack = await startStack();
    const connection = await openRaw(Number(new URL(stack.url).port));
    const raw = base64("data: one\n\ndata: tw");
    const asked = { stream: true, messages: [], sim: { raw, silentAtEnd: true } };
    connection.send(requestText("POST", "/v1/chat/completions", [], JSON.stringify(asked)));
    await connection.until("data: one\n\n");
    expect(connection.text()).not.toContain("data: tw");
    connection.close();
    await stack.slotIs(({ in_flight }) => in_flight === 0);
  });

  test("of a kind that is not SSE arrives as it is", async () => {
    await using stack = await startStack();
    const sent = Buffer.from([0, 255, 10, 10, 13, 10, 128, 7]);
    for (const chunkBytes of [1, 3, 8]) {
      const sim = { raw: base64(sent), chunkBytes, contentType: "audio/mpeg" };
      const response = await stack.chat({ stream: true, sim });
      expect(response.headers.get("content-type")).toBe("audio/mpeg");
      expect(await body(response)).toEqual(sent);
    }
  });

  test("that the child refuses is plain JSON, unchanged", async () => {
    await using stack = await startStack();
    const direct = await fetch(`${stack.lemond.child("tiny-a")?.url}/chat/completions`, {
      method: "POST",
      body: '{"stream":true,"messages":[],"sim":{"promptTokens":999999}}',
      keepalive: false,
    });
    const response = await stack.chat({ stream: true, sim: { promptTokens: 999_999 } });
    expect([response.status, response.headers.get("content-type")]).toEqual([400, "application/json; charset=utf-8"]);
    expect(response.headers.get("x-accel-buffering")).toBeNull();
    expect(await response.text()).toBe(await direct.text());
    expect(response.headers.get("content-length")).not.toBeNull();
  });

  test("without a last chunk, ended by the close alone, arrives whole", async () => {
    await using stack = await startStack();
    const sent = streamText("\n");
    const response = await stack.chat({ stream: true, sim: { raw: base64(sent), closeDelimited: true } });
    expect(await response.text()).toBe(sent);
  });

  test("without a byte in it is an empty one", async () => {
    await using stack = await startStack();
    const response = await stack.chat({ stream: true, sim: { raw: "" } });
    expect([response.status, await response.text()]).toEqual([200, ""]);
    await stack.slotIs(({ in_flight }) => in_flight === 0);
    await wasLeftAlone(stack);
  });
});

describe("a plain reply", () => {
  test("of 20 MB arrives byte for byte", async () => {
    await using stack = await startStack();
    const sent = Buffer.alloc(20 * MB);
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
    await using remote = await startRemote(
      Buffer.concat([
        Buffer.from(
          `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${sent.length}\r\n\r\n`,
        ),
        sent,
      ]),
    );
    await using far = await startStack({ sharedLemond: stack.lemond, loaded: [], ...farAt(remote.url) });
    for (const stream of [false, true]) {
      const got = await body(await far.post("/v1/chat/completions", { model: "far/m", stream }));
      expect([got.length, sha256(got)]).toEqual([sent.length, sha256(sent)]);
    }
    const padded = await body(await stack.chat({ sim: { bodyKb: 20_480 } }));
    expect(padded.length).toBe(20 * MB);
    expect(padded.at(-1)).toBe("}".charCodeAt(0));
  });

  test("whose end is the close of the connection, and one without a body, arrive", async () => {
    await using stack = await startStack();
    const closed = await stack.chat({ sim: { raw: base64('{"a":1}'), closeDelimited: true } });
    expect(await closed.text()).toBe('{"a":1}');
    const empty = await stack.chat({ sim: { raw: "" } });
    expect([empty.status, await empty.text()]).toEqual([200, ""]);
    for (const status of [204, 418, 500, 503]) {
      const odd = await stack.chat({ sim: { status, raw: status === 204 ? "" : base64("short and stout") } });
      expect([odd.status, await odd.text()]).toEqual([status, status === 204 ? "" : "short and stout"]);
    }
    await wasLeftAlone(stack);
  });

  test.each([false, true])("with a status that no reply can have is a lost connection (stream: %p)", async (stream) => {
    for (const status of ["000", "099", "199", "600"]) {
      await using remote = await startRemote(`HTTP/1.1 ${status} X\r\nContent-Type: text/event-stream\r\n\r\n`);
      await using stack = await startStack(farAt(remote.url));
      const response = await stack.chat({ model: "far/m", stream });
      expect([status, response.status]).toEqual([status, 502]);
      expect(await errorOf(response)).toMatchObject({
        code: "dispatch.upstream_unavailable",
        details: { upstream: "far", error: "RemoteProtocolError", cause: "reset" },
      });
      const metrics = await (await fetch(`${stack.url}/metrics`)).text();
      expect(metrics).toContain('hal0_dispatch_in_flight{upstream="far"} 0');
      expect(stack.logged("server.internal")).toEqual([]);
    }
  });

  test("cut short is never shown half", async () => {
    await using stack = await startStack();
    const sim = { raw: base64('{"half":"'.padEnd(5000, "x")), cutAfterBytes: 2000 };
    const response = await stack.chat({ sim });
    expect(response.status).toBe(502);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(await errorOf(response)).toMatchObject({
      code: "dispatch.upstream_unavailable",
      details: { error: "RemoteProtocolError", cause: "truncated" },
    });
    expect(stack.lemond.child("tiny-a")?.prompts()).toBe(2);
    await wasLeftAlone(stack);
  });
});

describe("a request's body", () => {
  test("of 30 MB arrives byte for byte, with a length and chunked", async () => {
    await using stack = await startStack();
    const sent = Buffer.alloc(30 * MB, "é");
    const head = Buffer.from('{"model":"primary","messages":[],"sim":{"echo":true},"x":"');
    sent.set(head);
    sent.set(Buffer.from(head.length % 2 === 0 ? '"}' : ' "}'), sent.length - (head.length % 2 === 0 ? 2 : 3));
    const expected = { sha256: sha256(sent), bytes: sent.length };
    expect(await (await stack.post("/v1/chat/completions", sent)).json()).toEqual(expected);
    let at = 0;
    const chunked = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= sent.length) return controller.close();
        controller.enqueue(sent.subarray(at, (at += 100_003)));
      },
    });
    const response = await fetch(`${stack.url}/api/v1/chat/completions`, { method: "POST", body: chunked });
    expect(await response.json()).toEqual(expected);
  }, 15_000);

  test("of a stream arrives whole and with its length, also where it is sent again", async () => {
    await using stack = await startStack();
    for (const size of [60_000, 70_000, 3 * MB]) {
      const text = JSON.stringify({ stream: true, messages: [], sim: { tokens: 2 }, x: "é".repeat(size) });
      const sent = { bodyBytes: Buffer.byteLength(text), bodySha256: sha256(Buffer.from(text)) };
      await stack.child().set({ dieOnPost: { when: "after-headers" } });
      const first = stack.child();
      const response = await stack.post("/v1/chat/completions", text);
      expect([response.headers.get("x-hal0-repair"), (await ended(response)).how]).toEqual(["recovered", "whole"]);
      for (const child of [first, stack.child()]) {
        const request = child.requests.findLast(({ method }) => method === "POST");
        expect(request).toMatchObject(sent);
        expect(request?.headers).toMatchObject({ "content-length": String(sent.bodyBytes) });
      }
    }
  });
});
