// WebSockets at lemond, through the real server: who gets one, what passes, what never does, and how either side's end arrives.
import { describe, expect, test } from "bun:test";
import { errorIn } from "../envelope.ts";
import { openRaw, rawRequest } from "../lemond/raw-client.ts";
import { startStack, type Stack } from "../stack.ts";

const MB = 1024 * 1024;
const PROTOCOL = "lemonade-realtime";
const bearer = (key: string): string => `bearer.${Buffer.from(key).toString("base64url")}`;

interface Opening {
  readonly protocols?: string[];
  readonly headers?: Record<string, string>;
}

/** A client's socket, open, with what it hears. */
async function connect({ url }: Stack, path: string, opening: Opening = {}) {
  const socket = new WebSocket(url.replace("http", "ws") + path, opening);
  socket.binaryType = "arraybuffer";
  const heard: (string | ArrayBuffer)[] = [];
  let wake = Promise.withResolvers<void>();
  socket.addEventListener("message", ({ data }) => {
    heard.push(data);
    wake.resolve();
    wake = Promise.withResolvers();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason })),
  );
  const opened = new Promise<boolean>((resolve) => {
    socket.addEventListener("open", () => resolve(true));
    socket.addEventListener("error", () => resolve(false));
  });
  return {
    socket,
    heard,
    closed,
    isOpen: await opened,
    /** The next message that `match` fits, past ones included. */
    hears: async (match: (text: string) => boolean): Promise<string> => {
      for (;;) {
        const found = heard.find((data) => typeof data === "string" && match(data));
        if (typeof found === "string") return found;
        await wake.promise;
      }
    },
  };
}

/** The status line and body of a handshake that is refused. */
const handshake = (stack: Stack, path: string, headers: readonly string[] = []) =>
  rawRequest(
    Number(new URL(stack.url).port),
    [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
      "",
      "",
    ].join("\r\n"),
  );

const slots = [{ name: "primary", model: "tiny-a", aliases: ["whisper"], isDefault: true }];

describe("a socket", () => {
  test.each(["/realtime", "/v1/realtime", "/api/v1/realtime", "/v0/realtime", "/api/v0/realtime"])(
    "at %s carries words and bytes both ways, under the names of the slots and lemond's key",
    async (path) => {
      await using stack = await startStack({
        slots,
        lemond: { apiKey: "lemon-key" },
        lemonade: { apiKey: "lemon-key" },
        server: { apiKeys: ["canary-key"] },
      });
      const client = await connect(stack, `${path}?model=whisper&api_key=canary-key&intent=transcription`, {
        protocols: [PROTOCOL, bearer("canary-key")],
      });
      expect([client.isOpen, client.socket.protocol]).toEqual([true, PROTOCOL]);
      const lemond = await stack.lemond.socketAny();
      expect(lemond.path).toBe(`${path}?model=tiny-a&intent=transcription`);
      expect(lemond.credential).toEqual({ way: "header", key: "lemon-key" });
      expect(lemond.headers["sec-websocket-protocol"]).toBe(PROTOCOL);
      expect(lemond.headers["x-hal0-via"]).toMatch(/^[0-9a-f-]{36}$/);
      await client.hears((text) => text.includes("session.created"));
      client.socket.send('{"type":"session.update","session":{"x":"ü"}}');
      expect(JSON.parse(await client.hears((text) => text.includes("session.updated")))).toMatchObject({
        session: { x: "ü" },
      });
      client.socket.send(new TextEncoder().encode('{"type":"input_audio_buffer.clear"}'));
      await client.hears((text) => text.includes("cleared"));
      expect(JSON.stringify([stack.lines, lemond.headers, lemond.messages])).not.toContain("canary");
      expect(stack.logged("dispatch.decision")).toMatchObject([
        { route: "socket", upstream: "lemonade", target: `${stack.lemond.url}${path}`, status: 101 },
      ]);
      client.socket.close();
    },
  );

  test("is ended with the code of whichever side ended it", async () => {
    await using stack = await startStack();
    for (const [code, reason] of [
      [1000, "done"],
      [1001, ""],
      [1011, "fault"],
      [3333, "own"],
      [4999, "é"],
    ] as const) {
      const first = await connect(stack, "/realtime");
      (await stack.lemond.socketAny((socket) => socket === stack.lemond.sockets.at(-1))).close(code, reason);
      expect(await first.closed).toEqual({ code, reason });
      const second = await connect(stack, "/realtime");
      second.socket.close(code, reason);
      expect(await stack.lemond.sockets.at(-1)?.closed).toBe(code);
    }
  });

  test("that breaks off on one side is broken off on the other", async () => {
    await using stack = await startStack();
    const cut = await connect(stack, "/realtime");
    stack.lemond.sockets.at(-1)?.cut();
    expect((await cut.closed).code).toBe(1006);
    const gone = await connect(stack, "/realtime");
    gone.socket.terminate();
    expect(await stack.lemond.sockets.at(-1)?.closed).toBe(1006);
  });

  test("is closed at once when the server stops, and is not waited for", async () => {
    await using stack = await startStack({ server: { drainMs: 10_000 } });
    const client = await connect(stack, "/v1/realtime");
    const startedMs = performance.now();
    const stopped = stack.server.stop();
    expect((await client.closed).code).toBe(1001);
    expect(await stack.lemond.sockets.at(-1)?.closed).toBe(1001);
    expect(await stack.line("server.draining")).toMatchObject({ in_flight: 0 });
    await stopped;
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });
});

describe("a key", () => {
  const lock = { slots, server: { apiKeys: ["user-key"], adminKeys: ["admin-key"] } };
  const ways: [string, string, Opening][] = [
    ["in the header", "", { headers: { authorization: "Bearer KEY" } }],
    ["in the query", "?api_key=KEY", {}],
    ["as a subprotocol", "", { protocols: [PROTOCOL, "KEY"] }],
  ];
  const put = (key: string, { headers, protocols }: Opening): Opening => ({
    ...(headers ? { headers: { authorization: `Bearer ${key}` } } : {}),
    ...(protocols ? { protocols: [PROTOCOL, bearer(key)] } : {}),
  });

  test.each(ways)("%s opens what it may open, and goes no further", async (_, query, opening) => {
    await using stack = await startStack(lock);
    const isOpen = async (path: string, key: string): Promise<boolean> => {
      const client = await connect(stack, path + query.replace("KEY", key), put(key, opening));
      client.socket.close();
      return client.isOpen;
    };
    for (const path of ["/logs/stream", "/v1/spans/stream", "/api/v1/traces/stream"])
      expect([await isOpen(path, "user-key"), await isOpen(path, "admin-key")]).toEqual([false, true]);
    expect([await isOpen("/v1/realtime", "user-key"), await isOpen("/v1/realtime", "wrong-key")]).toEqual([
      true,
      false,
    ]);
    const seen = JSON.stringify([stack.lines, stack.lemond.sockets.map(({ path, headers }) => [path, headers])]);
    expect(seen).not.toMatch(/(user|admin|wrong)-key|bearer\./i);
    for (const key of ["user-key", "admin-key"]) expect(seen).not.toContain(Buffer.from(key).toString("base64url"));
  });

  test("is asked for before anything is opened, in words", async () => {
    await using stack = await startStack(lock);
    for (const [path, headers, status, code] of [
      ["/v1/realtime", [], 401, "auth.invalid_key"],
      ["/v1/spans/stream", [], 401, "auth.invalid_key"],
      ["/v1/spans/stream", ["Authorization: Bearer user-key"], 403, "auth.control_refused"],
      ["/v1/realtime?api_key=wrong", [], 401, "auth.invalid_key"],
    ] as const) {
      const reply = await handshake(stack, path, headers);
      expect([path, reply.status, errorIn(reply.body).code]).toEqual([path, status, code]);
    }
    expect(stack.lemond.sockets.length).toBe(0);
    // In the query it is for sockets alone.
    expect((await fetch(`${stack.url}/v1/models?api_key=user-key`)).status).toBe(401);
    expect((await fetch(`${stack.url}/v1/realtime?api_key=user-key`)).status).toBe(401);
  });

  test("in a message is answered here, in lemond's words", async () => {
    await using stack = await startStack(lock);
    const client = await connect(stack, "/v1/realtime?api_key=user-key");
    await client.hears((text) => text.includes("session.created"));
    for (const [message, answer] of [
      ['{"type":"auth","token":"user-key"}', '{"type":"auth.ok"}'],
      ['{"type":"auth","api_key":"Bearer admin-key"}', '{"type":"auth.ok"}'],
      [' {"\\u0074ype":"\\u0061uth","token":"canary"}', '{"type":"error"'],
      [`{"type":"auth","pad":"${"x".repeat(100_000)}","token":"canary"}`, '{"type":"error"'],
    ] as const) {
      const before = client.heard.length;
      client.socket.send(message);
      while (client.heard.length === before) await Bun.sleep(1);
      expect(String(client.heard.at(-1))).toStartWith(answer);
    }
    client.socket.send('{"type":"auth","token":');
    await client.hears((text) => text.includes("Invalid JSON"));
    expect(stack.lemond.sockets.at(-1)?.messages).toEqual(['{"type":"auth","token":']);
  });
});

describe("without keys a socket", () => {
  test("is for known hosts and pages, and what shows others' requests for callers on this machine", async () => {
    await using stack = await startStack();
    for (const [path, headers, status] of [
      ["/v1/realtime", ["Origin: https://evil.example"], 400],
      ["/v1/realtime", ["X-Forwarded-For: 10.0.0.9"], 101],
      ["/v1/logs/stream", ["X-Forwarded-For: 10.0.0.9"], 403],
      ["/v1/traces/stream", [], 101],
      ["/v1/nothing/stream", [], 404],
      ["/internal/stream", [], 404],
    ] as const)
      expect([path, (await handshake(stack, path, headers)).status]).toEqual([path, status]);
  });

  test("hears that an in-band key is not needed", async () => {
    await using stack = await startStack();
    const client = await connect(stack, "/realtime");
    client.socket.send('{"type":"auth","token":"x"}');
    await client.hears((text) => text === '{"type":"auth.ok"}');
  });

  test("is not there where nothing is passed through, nor where lemond has none", async () => {
    await using shut = await startStack({ server: { passthrough: false } });
    expect((await handshake(shut, "/v1/realtime")).status).toBe(404);
    await using stack = await startStack({ lemond: { apiKey: "lemon-key" } });
    const denied = await handshake(stack, "/v1/realtime?api_key=canary");
    expect([denied.status, errorIn(denied.body).details["target"]]).toEqual([502, `${stack.lemond.url}/v1/realtime`]);
    await stack.lemond.kill();
    const down = await handshake(stack, "/v1/realtime");
    expect([down.status, errorIn(down.body).code]).toEqual([502, "dispatch.upstream_unavailable"]);
  });
});

describe("a side that does not read costs no more than 16 MB, and hears 1013", () => {
  test("when it is the client", async () => {
    await using stack = await startStack();
    const raw = await openRaw(Number(new URL(stack.url).port));
    raw.send(
      "GET /realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    await raw.until("session.created");
    raw.pause();
    const socket = stack.lemond.sockets.at(-1);
    const rssBefore = process.memoryUsage.rss();
    let sentMb = 0;
    let code: number | undefined;
    void socket?.closed.then((how) => (code = how));
    while (code === undefined) {
      await socket?.send("x".repeat(MB));
      sentMb++;
    }
    expect(code).toBe(1013);
    // Sockets on the way take some of their own.
    expect(sentMb).toBeLessThan(64);
    expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(200 * MB);
    raw.close();
  });

  test("when it is lemond", async () => {
    await using stack = await startStack();
    const client = await connect(stack, "/realtime");
    stack.lemond.sockets.at(-1)?.pause();
    let sentMb = 0;
    let code: number | undefined;
    void client.closed.then((how) => (code = how.code));
    while (code === undefined && sentMb < 200) {
      client.socket.send("x".repeat(MB));
      sentMb++;
      while (client.socket.bufferedAmount > MB && code === undefined) await Bun.sleep(1);
      await Bun.sleep(0);
    }
    expect(code).toBe(1013);
    expect(sentMb).toBeLessThan(64);
  });
});
