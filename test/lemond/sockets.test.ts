// lemond's WebSockets: the three ways to bring a key, the words on each, closing from both sides, and a side that does not read.
import { describe, expect, test } from "bun:test";
import { startLemond, type Lemond, type LemondOptions } from "./index.ts";
import { openRaw } from "./raw-client.ts";

interface Client {
  readonly socket: WebSocket;
  /** The next message, parsed. */
  next(): Promise<Readonly<Record<string, unknown>>>;
  readonly closed: Promise<number>;
}

interface Dialling {
  readonly protocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** Rejects where lemond does not upgrade. */
async function dial(lemond: Lemond, path: string, { protocols = [], headers = {} }: Dialling = {}): Promise<Client> {
  const url = `${lemond.url.replace("http", "ws")}${path}`;
  const socket = new WebSocket(url, { protocols: [...protocols], headers });
  const got: string[] = [];
  let wake: (() => void) | undefined;
  socket.addEventListener("message", ({ data }) => {
    got.push(String(data));
    wake?.();
  });
  const closed = new Promise<number>((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("close", () => reject(new Error("not upgraded")));
  });
  return {
    socket,
    closed,
    async next() {
      while (got.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return JSON.parse(got.shift() ?? "");
    },
  };
}

const bearer = (key: string): string => `bearer.${Buffer.from(key).toString("base64url")}`;
const app = "lemonade-realtime";
const keys: LemondOptions = { apiKey: "se/cr+et", adminKey: "admin" };

describe("a key", () => {
  test("opens a socket as a header, in the query, and as a subprotocol, of which the other one is echoed", async () => {
    await using lemond = await startLemond(keys);
    const header = await dial(lemond, "/v1/realtime", { headers: { authorization: "Bearer se/cr+et" } });
    const query = await dial(lemond, "/realtime?model=x&api_key=se%2Fcr%2Bet");
    const protocol = await dial(lemond, "/api/v1/logs/stream", { protocols: [app, bearer("se/cr+et")] });
    const admin = await dial(lemond, "/v0/spans/stream", { protocols: [app, bearer("admin")] });
    expect([header, query, protocol, admin].map(({ socket }) => socket.protocol)).toEqual(["", "", app, app]);
    expect(lemond.sockets.map(({ credential }) => credential)).toEqual([
      { way: "header", key: "se/cr+et" },
      { way: "query", key: "se/cr+et" },
      { way: "subprotocol", key: "se/cr+et" },
      { way: "subprotocol", key: "admin" },
    ]);
    expect((await header.next())["type"]).toBe("session.created");
  });

  test("that is wrong or missing opens none: the connection closes without a word", async () => {
    await using lemond = await startLemond(keys);
    for (const [path, dialling] of [
      ["/realtime", {}],
      ["/logs/stream", { protocols: [app, bearer("wrong")] }],
      ["/realtime?api_key=wrong", {}],
      ["/spans/stream", { headers: { authorization: "Bearer wrong" } }],
    ] as const)
      expect([path, await dial(lemond, path, dialling).catch(() => "closed")]).toEqual([path, "closed"]);
    const raw = await openRaw(lemond.port);
    raw.send("GET /realtime HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    expect([await raw.end, raw.text()]).toEqual(["FIN", ""]);
  });

  test("may come in a first message on spans alone", async () => {
    await using lemond = await startLemond(keys);
    const spans = await dial(lemond, "/traces/stream");
    spans.socket.send(JSON.stringify({ type: "anything" }));
    expect(JSON.stringify(await spans.next())).toContain("Unauthorized");
    for (const [key, type] of [
      ["wrong", "error"],
      ["Bearer se/cr+et", "auth.ok"],
    ] as const) {
      spans.socket.send(JSON.stringify({ type: "auth", token: key }));
      expect((await spans.next())["type"]).toBe(type);
    }
  });
});

test("a foreign page opens no socket, one of the same host does", async () => {
  await using lemond = await startLemond();
  const from = (origin: string): Dialling => ({ headers: { origin } });
  expect(await dial(lemond, "/realtime", from("https://example.com")).catch(() => "closed")).toBe("closed");
  await dial(lemond, "/realtime", from("http://127.0.0.1:3000"));
  expect(lemond.sockets.length).toBe(1);
});

test("a path of a socket without an upgrade is no route", async () => {
  await using lemond = await startLemond();
  expect((await fetch(`${lemond.url}/v1/realtime`, { keepalive: false })).status).toBe(404);
});

describe("a session", () => {
  test("of speech is updated, filled, committed and transcribed", async () => {
    await using lemond = await startLemond();
    const { socket, next } = await dial(lemond, "/realtime?model=Whisper-Tiny");
    const types: unknown[] = [(await next())["type"]];
    for (const message of [
      { type: "session.update", session: { model: "Whisper-Tiny" } },
      { type: "input_audio_buffer.append", audio: "AAAA" },
      { type: "input_audio_buffer.commit" },
      { type: "nonsense" },
    ])
      socket.send(JSON.stringify(message));
    for (let nth = 0; nth < 4; nth += 1) types.push((await next())["type"]);
    expect(types).toEqual([
      "session.created",
      "session.updated",
      "input_audio_buffer.committed",
      "conversation.item.input_audio_transcription.completed",
      "error",
    ]);
    expect(lemond.sockets[0]?.path).toBe("/realtime?model=Whisper-Tiny");
  });

  test("of the log gets its lines once it has subscribed", async () => {
    await using lemond = await startLemond();
    const { socket, next } = await dial(lemond, "/logs/stream");
    lemond.log("before");
    socket.send(JSON.stringify({ type: "logs.subscribe", after_seq: null }));
    expect(await next()).toEqual({ entries: [], type: "logs.snapshot" });
    lemond.log("after");
    expect(await next()).toMatchObject({ type: "logs.entry", entry: { line: "after", seq: 2 } });
  });

  test("ends with the code of the side that closes it, and 1006 without one", async () => {
    await using lemond = await startLemond();
    const theirs = await dial(lemond, "/realtime");
    theirs.socket.close(4001, "enough");
    expect(await lemond.sockets[0]?.closed).toBe(4001);
    const ours = await dial(lemond, "/realtime");
    lemond.sockets[1]?.close(4002, "enough");
    expect(await ours.closed).toBe(4002);
    const cut = await dial(lemond, "/realtime");
    lemond.sockets[2]?.cut();
    expect(await cut.closed).toBe(1006);
  });

  test("carries large messages both ways, and a lemond that does not read fills up", async () => {
    await using lemond = await startLemond();
    const { socket, next } = await dial(lemond, "/realtime");
    const [server] = lemond.sockets;
    if (server === undefined) throw new Error("no socket");
    await next();
    const sent = server.send(JSON.stringify({ big: "x".repeat(3_000_000) }));
    expect(String((await next())["big"]).length).toBe(3_000_000);
    await sent;
    server.pause();
    const message = JSON.stringify({ type: "input_audio_buffer.append", audio: "y".repeat(1_000_000) });
    for (let nth = 0; nth < 20; nth += 1) socket.send(message);
    await Bun.sleep(100);
    expect(socket.bufferedAmount).toBeGreaterThan(5_000_000);
    server.resume();
    await lemond.socketAny(({ messages }) => messages.length === 20);
  });
});

test("a socket holds no worker", async () => {
  await using lemond = await startLemond({ workers: 1 });
  await dial(lemond, "/realtime");
  await dial(lemond, "/logs/stream");
  expect((await fetch(`${lemond.url}/live`, { keepalive: false })).status).toBe(200);
});
