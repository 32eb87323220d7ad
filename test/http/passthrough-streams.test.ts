// The wire under what is passed to lemond: unbuffered and with backpressure both ways, ended from either side, and never more
// of it at lemond's port than it bears. A bare HTTP server stands for lemond.
import { describe, expect, test } from "bun:test";
import { errorOf } from "../envelope.ts";
import { openRaw, requestText } from "../lemond/raw-client.ts";
import { startRemote } from "../remote.ts";
import { startStack, type Stack } from "../stack.ts";

const MB = 1024 * 1024;
const encoder = new TextEncoder();

/** What ours asks by itself. */
const OWN_QUESTIONS = ["/v1/health", "/v1/models", "/live"];

/** A server in front of which ours stands; what it answers is the test's. */
async function withLemond(
  answer: (request: Request) => Response | Promise<Response>,
  options: Parameters<typeof startStack>[0] = {},
): Promise<Stack & { readonly bare: Bun.Server<undefined> }> {
  const bare = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: (request) =>
      OWN_QUESTIONS.includes(new URL(request.url).pathname) ? new Response("{}", { status: 500 }) : answer(request),
  });
  const url = `http://127.0.0.1:${bare.port}`;
  const stack = await startStack({ ...options, loaded: [], lemonade: { pollMs: 60_000, ...options.lemonade, url } });
  return Object.assign(stack, {
    bare,
    [Symbol.asyncDispose]: async () => {
      await stack.server.stop();
      await stack.lemond[Symbol.asyncDispose]();
      await bare.stop(true);
    },
  });
}

describe("a long stream of progress", () => {
  test("passes line by line as it comes, and its end too", async () => {
    let next: () => void = () => {};
    const lines = 6;
    await using stack = await withLemond(
      () =>
        new Response(
          async function* () {
            for (let line = 0; line < lines; line++) {
              yield encoder.encode(`data: {"percent":${line}}\n\n`);
              await new Promise<void>((resolve) => (next = resolve));
            }
          },
          { headers: { "content-type": "text/event-stream" } },
        ),
    );
    const response = await fetch(`${stack.url}/v1/pull`, { method: "POST", body: "{}" });
    const reader = response.body?.getReader();
    for (let line = 0; line < lines; line++) {
      // The next one is only sent when this one has come through.
      const { value } = (await reader?.read()) ?? {};
      expect(new TextDecoder().decode(value)).toBe(`data: {"percent":${line}}\n\n`);
      next();
    }
    expect((await reader?.read())?.done).toBe(true);
  });

  test("is ended at lemond within a second when its client leaves, and nothing is counted any more", async () => {
    const gone = Promise.withResolvers<number>();
    await using stack = await withLemond((request) => {
      request.signal.addEventListener("abort", () => gone.resolve(performance.now()));
      return new Response(
        new ReadableStream(
          { start: (controller) => controller.enqueue(encoder.encode("first\n")) },
          { highWaterMark: 0 },
        ),
      );
    });
    const client = new AbortController();
    const response = await fetch(`${stack.url}/v1/pull`, { method: "POST", body: "{}", signal: client.signal });
    await response.body?.getReader().read();
    const leftMs = performance.now();
    client.abort();
    expect((await gone.promise) - leftMs).toBeLessThan(1000);
    await stack.server.stop();
    expect(await stack.line("server.draining")).toMatchObject({ in_flight: 0 });
  });

  test("is held up by a client that does not read, and takes no memory for it", async () => {
    let sent = 0;
    await using stack = await withLemond(
      () =>
        new Response(
          new ReadableStream(
            {
              pull: (controller) => {
                sent += MB;
                controller.enqueue(new Uint8Array(MB));
              },
            },
            { highWaterMark: 0 },
          ),
        ),
    );
    const rssBefore = process.memoryUsage.rss();
    const connection = await openRaw(Number(new URL(stack.url).port));
    connection.pause();
    connection.send(requestText("GET", "/v1/docs", [], ""));
    for (let still = -1, was = 0; still !== sent || was++ < 10; await Bun.sleep(50)) {
      if (still !== sent) was = 0;
      still = sent;
    }
    // What sockets and both of Bun's sides take before they stop.
    expect(sent).toBeLessThan(64 * MB);
    expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(128 * MB);
    connection.close();
  });

  test("that breaks off breaks off at the client, and is not taken for whole", async () => {
    await using remote = await startRemote("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    await using stack = await startStack({ loaded: [], lemonade: { url: remote.url, pollMs: 60_000 } });
    // What comes with the end of a connection may be lost with it; it is never an answer.
    const pull = fetch(`${stack.url}/v1/pull`, { method: "POST", body: "{}" });
    expect(await pull.then((response) => response.text()).catch(() => "broken off")).toBe("broken off");
  });
});

test("a body goes on while its client is still sending it", async () => {
  const begun = Promise.withResolvers<string>();
  await using stack = await withLemond(async (request) => {
    let text = "";
    for await (const chunk of request.body ?? []) {
      text += new TextDecoder().decode(chunk);
      begun.resolve(text);
    }
    return new Response(`${request.headers.get("content-length")} ${text}`);
  });
  const connection = await openRaw(Number(new URL(stack.url).port));
  connection.send(requestText("POST", "/v1/pull", ["Content-Length: 10"], "").replace(/\r\n\r\n$/, "\r\n\r\nfirst"));
  expect(await begun.promise).toBe("first");
  connection.send("later");
  await connection.until("10 firstlater");
  connection.close();
});

describe("places at lemond's port", () => {
  test("are shared by what is read; what controls, and health, needs none, and nobody is refused", async () => {
    const held: (() => void)[] = [];
    let atOnce = 0;
    let most = 0;
    await using stack = await withLemond(
      async (request) => {
        const { pathname } = new URL(request.url);
        if (pathname !== "/v1/stats") return new Response(pathname);
        most = Math.max(most, ++atOnce);
        await new Promise<void>((resolve) => held.push(resolve));
        atOnce--;
        return new Response("stats");
      },
      { lemonade: { maxRequests: 2 } },
    );
    const reads = Array.from({ length: 6 }, () => fetch(`${stack.url}/v1/stats`));
    while (held.length < 2) await Bun.sleep(1);
    expect((await fetch(`${stack.url}/v1/pull`, { method: "POST" })).status).toBe(200);
    expect((await fetch(`${stack.url}/v1/health`)).status).toBe(500);
    expect(held.length).toBe(2);
    const answers = Promise.all(reads.map(async (read) => (await read).text()));
    for (let released = 0; released < reads.length; await Bun.sleep(1)) {
      const release = held.shift();
      release?.();
      if (release) released++;
    }
    expect(await answers).toEqual(Array(6).fill("stats"));
    expect(most).toBe(2);
  });

  test("are given back by clients that leave, while they wait and while they are answered", async () => {
    let asked = 0;
    const end = Promise.withResolvers<void>();
    await using stack = await withLemond(
      async () => {
        // The first is not answered while the test lasts; one of the others may come before its client is seen to be gone.
        if (++asked === 1) await end.promise;
        return new Response("answered");
      },
      { lemonade: { maxRequests: 1 } },
    );
    const client = new AbortController();
    const reads = Array.from({ length: 3 }, () => fetch(`${stack.url}/v1/stats`, { signal: client.signal }));
    while (asked < 1) await Bun.sleep(1);
    client.abort();
    for (const read of reads) expect(await read.catch(() => "gone")).toBe("gone");
    expect(await (await fetch(`${stack.url}/v1/stats`)).text()).toBe("answered");
    end.resolve();
  });
});

describe("a lemond", () => {
  test("that refuses connections is a 502 with origin and path, and no query", async () => {
    await using stack = await startStack();
    await stack.lemond.kill();
    const response = await fetch(`${stack.url}/v1/stats?api_key=canary&x=canary`);
    expect(response.status).toBe(502);
    const { code, details, message } = await errorOf(response);
    expect(code).toBe("dispatch.upstream_unavailable");
    expect(details).toEqual({
      upstream: "lemonade",
      target: `${stack.lemond.url}/v1/stats`,
      error: "ConnectError",
      cause: "ECONNREFUSED",
    });
    expect(message + JSON.stringify(stack.lines)).not.toContain("canary");
  });

  test("that sends no first byte in time is a 504", async () => {
    await using stack = await withLemond(() => new Promise(() => {}), { server: { firstByteTimeoutMs: 200 } });
    const response = await fetch(`${stack.url}/v1/stats`);
    expect([response.status, (await errorOf(response)).details]).toMatchObject([504, { timeout_s: 0.2 }]);
  });

  test("is waited for by the end of the server, which tells what takes too long", async () => {
    for (const drainMs of [5000, 200]) {
      const held = Promise.withResolvers<Response>();
      let asked = false;
      await using stack = await withLemond(
        () => {
          asked = true;
          return held.promise;
        },
        { server: { drainMs } },
      );
      const pull = fetch(`${stack.url}/v1/pull`, { method: "POST" });
      while (!asked) await Bun.sleep(1);
      const stopped = stack.server.stop();
      expect((await stack.line("server.draining"))["in_flight"]).toBe(1);
      if (drainMs > 1000) held.resolve(new Response("pulled"));
      const response = await pull;
      expect([response.status, (await response.text()).includes("server.draining")]).toEqual(
        drainMs > 1000 ? [200, false] : [503, true],
      );
      held.resolve(new Response(""));
      await stopped;
    }
  });
});
