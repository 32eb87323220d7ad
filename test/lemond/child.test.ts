// The simulated llama-server sends what a request scripts, and keeps its connections as the real one does.
import { describe, expect, test } from "bun:test";
import { startLemond } from "./index.ts";
import { openRaw, parseReply, rawRequest, requestText } from "./raw-client.ts";
import { fetchCode, outcome, post, probe, startChild } from "./child-steps.ts";

/** A stream without a known length: fetch sends it chunked. */
const inPieces = (bytes: Buffer): ReadableStream => {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, (at += 1 << 20)));
    },
  });
};

describe("a scripted reply", () => {
  test("is cut inside a chunk by FIN, by RST, and by the death of the child", async () => {
    for (const [cut, end] of [
      ["fin", "FIN"],
      ["rst", "RST"],
      ["kill", "FIN"],
    ] as const) {
      await using lemond = await startLemond();
      const child = await startChild(lemond);
      const body = { messages: [], stream: true, sim: { cutAfterBytes: 700, cut } };
      const seen = await outcome(child, requestText("POST", "/v1/chat/completions", [], JSON.stringify(body)));
      expect(seen.end).toBe(end);
      if (cut !== "rst") expect(Buffer.byteLength(seen.reply.body)).toBe(700);
      expect(seen.reply.isComplete).toBe(false);
      if (cut === "kill") await child.exited;
      else expect(await fetchCode(child, body)).toBe("ECONNRESET");
      expect(child.isAlive).toBe(cut !== "kill");
    }
  });

  test("is sent byte for byte, in pieces of the size asked for", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    const bytes = "data: grüße\n\ndata: [DONE]\n\n";
    const raw = Buffer.from(bytes).toString("base64");
    const reply = await rawRequest(child.port, post({ raw, chunkBytes: 3 }, { stream: true }));
    expect(Buffer.from(reply.chunks.join("")).length).toBeGreaterThan(0);
    expect(reply.chunks.length).toBe(Math.ceil(Buffer.byteLength(bytes) / 3));
    const whole = await fetch(`${child.url}/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ messages: [], stream: true, sim: { raw, chunkBytes: 1 } }),
      keepalive: false,
    });
    expect(await whole.text()).toBe(bytes);
  });

  test("has the status, headers, type, length lie, padding and closing that were asked for", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    const told = await rawRequest(
      child.port,
      post({ status: 418, headers: { "x-a": "b" }, contentType: "text/plain" }),
    );
    expect([told.status, told.headers.includes("x-a: b"), told.headers.includes("Content-Type: text/plain")]).toEqual([
      418,
      true,
      true,
    ]);
    expect(JSON.parse((await rawRequest(child.port, post({ bodyKb: 300 }))).body).choices.length).toBe(1);
    expect((await rawRequest(child.port, post({ bodyKb: 300 }))).body.length).toBe(300 * 1024);
    const { headers } = (await outcome(child, post({ closeDelimited: true, raw: "YQ==" }))).reply;
    expect(headers.filter((line) => /^(content-length|transfer-encoding)/i.test(line))).toEqual([]);
    const lie = await openRaw(child.port);
    lie.send(post({ contentLength: 99_999, cutAfterBytes: 10 }));
    expect([await lie.end, parseReply(lie.text()).body.length]).toEqual(["FIN", 10]);
  });

  test("echoes the digest of a 64 MB body, with a length and chunked", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    const body = Buffer.alloc(64 << 20, " ");
    body.set(Buffer.from('{"sim":{"echo":true}'));
    body.set(Buffer.from("}"), body.length - 1);
    const sha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
    const send = async (what: Buffer | ReadableStream) =>
      (await fetch(`${child.url}/chat/completions`, { method: "POST", body: what, keepalive: false })).json();
    expect(await send(body)).toEqual({ sha256, bytes: body.length });
    expect(await send(inPieces(body))).toEqual({ sha256, bytes: body.length });
    const [plain, chunked] = child.requests.slice(-2);
    expect([plain?.headers["content-length"], chunked?.headers["transfer-encoding"]]).toEqual([
      String(body.length),
      "chunked",
    ]);
    expect([plain?.bodySha256, plain?.bodyText]).toEqual([sha256, null]);
  });

  test("carries `:` into a long silence", async () => {
    await using lemond = await startLemond({ pingMs: 30 });
    const child = await startChild(lemond);
    const reply = await rawRequest(child.port, post({ firstTokenMs: 100 }, { stream: true }));
    expect(reply.body.startsWith(":\n\n:\n\n:\n\ndata: ")).toBe(true);
  });
});

describe("connections", () => {
  test("close without a word after a streamed reply, and on the hundredth request with one", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    const stream = await outcome(child, post({}, { stream: true }));
    expect([stream.end, stream.reply.isComplete, stream.reply.headers.at(-1)]).toEqual([
      "FIN",
      true,
      "Keep-Alive: timeout=5, max=100",
    ]);
    const connection = await openRaw(child.port);
    for (let nth = 1; nth <= 100; nth += 1) {
      connection.send(probe);
      while (connection.text().split('"ok"').length <= nth) await connection.until("").then(() => Bun.sleep(0));
    }
    expect(await connection.end).toBe("FIN");
    expect(connection.text().split("Connection: close").length).toBe(2);
  });

  test("close after an idle time, five seconds in the real world", async () => {
    await using lemond = await startLemond({ idleMs: 400 });
    const child = await startChild(lemond);
    const connection = await openRaw(child.port);
    connection.send(probe);
    await connection.until('"ok"');
    const begin = performance.now();
    expect(await connection.end).toBe("FIN");
    expect(performance.now() - begin).toBeGreaterThan(300);
  });

  test("five hundred at once are served, and a client that leaves is reported", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    const all = await Promise.all(Array.from({ length: 500 }, () => openRaw(child.port)));
    for (const connection of all) connection.send(post({ tokens: 3, tokenMs: 20 }, { stream: true }));
    expect(await child.openSockets()).toBe(500);
    await Promise.all(all.map((connection) => connection.until("[DONE]")));
    expect([child.prompts(), child.aborted]).toEqual([500, 0]);
    const leaver = await openRaw(child.port);
    leaver.send(post({ tokens: 100_000, tokenMs: 5 }, { stream: true, user: "leaver" }));
    await leaver.until("token 1 ");
    leaver.close();
    expect((await child.abortedAny()).bodyText).toContain("leaver");
    expect(child.aborted).toBe(1);
  });
});
