// Readers of the event feed cost nothing, however they behave.
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { NO_LEMOND } from "../no-lemond.ts";
import { createAccepted } from "../../src/http/accepted.ts";
import { createApp } from "../../src/http/app.ts";
import { createEvents, LOOK_MS } from "../../src/http/feed.ts";
import { createLog } from "../../src/observe/log.ts";
import { createReader } from "../../src/http/feed-reader.ts";
import { eventually, follow, serveEvents, noLog, noRecords, slotNow, status } from "../feed.ts";
import { stackConfig } from "../stack.ts";

test("1,000 readers that come and go leave nothing behind", async () => {
  const rejections: unknown[] = [];
  const note = (reason: unknown): void => void rejections.push(reason);
  process.on("unhandledRejection", note);
  let count = 0;
  await using served = serveEvents(() => [slotNow({ in_flight: count++ })]);
  const streams = (): number => {
    Bun.gc(true);
    return heapStats().objectTypeCounts["ReadableStream"] ?? 0;
  };
  const comeAndGo = async (nth: number): Promise<void> => {
    const abort = new AbortController();
    const response = await fetch(served.url, { signal: abort.signal, keepalive: false });
    // Some leave before they have read, some after the first event, some after a few.
    if (nth % 3 > 0) await response.body?.getReader().read();
    if (nth % 3 > 1) await Bun.sleep(LOOK_MS);
    abort.abort();
  };
  const rounds = async (readers: number): Promise<void> => {
    for (let n = 0; n < readers; n += 100) await Promise.all(Array.from({ length: 100 }, (_, at) => comeAndGo(n + at)));
    await eventually("all readers gone", () => served.events.readers === 0 && served.server.pendingRequests === 0);
  };
  await rounds(100);
  const before = streams();
  await rounds(1000);
  await eventually("no stream is kept", () => streams() <= before + 20);
  expect(rejections).toEqual([]);
  process.off("unhandledRejection", note);
});

test("a reader that does not read is kept the newest of each slot, and no more", async () => {
  const reader = createReader(new AbortController().signal, () => {});
  for (let n = 0; n <= 100_000; n++) {
    reader.tell("slot primary", "slot", { n });
    reader.beat();
  }
  reader.end();
  const text = await new Response(reader.body).text();
  // The first was on its way already; what was untold when it ended is not sent any more.
  expect(text).toMatch(/^id: \S+\nevent: slot\ndata: {"n":0}\n\n$/);
});

test("a reader that begins to read again is told the newest state", async () => {
  const reader = createReader(new AbortController().signal, () => {});
  for (let n = 0; n <= 1000; n++) reader.tell("slot primary", "slot", { n });
  const feed = follow(new Response(reader.body));
  await feed.until(({ data }) => data["n"] === 1000);
  expect(feed.told.map(({ data }) => data["n"])).toEqual([0, 1000]);
});

test("a reader that does not read while ever new things happen is dropped", () => {
  let ends = 0;
  const reader = createReader(new AbortController().signal, () => ends++);
  for (let n = 0; n < 5000; n++) reader.tell(`once ${n}`, "repair", { n });
  expect(ends).toBe(1);
});

test("a reader whose connection is gone ends, once, although nobody cancels its body", () => {
  const connection = new AbortController();
  let ends = 0;
  const reader = createReader(connection.signal, () => ends++);
  connection.abort();
  expect(ends).toBe(1);
  reader.tell("slot primary", "slot", {});
  reader.beat();
  reader.end();
  expect(ends).toBe(1);
});

test("a reader that was gone before it was told anything is no reader", () => {
  const events = createEvents({ slots: () => [slotNow()], status, records: noRecords, log: noLog });
  events.open(new Request("http://localhost/", { signal: AbortSignal.abort() }));
  expect(events.readers).toBe(0);
});

test("a quiet feed carries a comment now and then, without an event", async () => {
  const reader = createReader(new AbortController().signal, () => {});
  reader.tell("a", "slot", { n: 1 });
  const bytes = reader.body.getReader();
  expect(new TextDecoder().decode((await bytes.read()).value)).toMatch(/^id: \S+\nevent: slot\ndata: {"n":1}\n\n$/);
  reader.beat();
  expect(new TextDecoder().decode((await bytes.read()).value)).toBe(":\n\n");
});

test("the connection of a reader that takes nothing is cut", async () => {
  const gone = Promise.withResolvers<void>();
  const app = createApp({
    config: () => stackConfig("http://127.0.0.1:9"),
    accepted: createAccepted(),
    lemond: NO_LEMOND,
    dispatch: () => Promise.reject(new Error("not here")),
    isDraining: () => false,
    instance: "us",
    ownHosts: [],
    log: createLog("error", () => {}),
    routes: [
      {
        method: "GET",
        path: "/endless",
        silenceS: 1,
        handler: (request) => {
          request.signal.addEventListener("abort", () => gone.resolve());
          const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void =>
            controller.enqueue(new Uint8Array(256 * 1024));
          return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
        },
      },
    ],
  }).listen({ hostname: "127.0.0.1", port: 0 });
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: app.server?.port ?? 0,
    socket: {
      data: () => {},
      open: (opened) => {
        opened.write("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n");
        opened.pause();
      },
    },
  });
  await gone.promise;
  socket.terminate();
  await app.server?.stop(true);
}, 15_000);

test("a HEAD of the feed is answered and leaves no reader", async () => {
  await using served = serveEvents(() => [slotNow()]);
  const response = await fetch(served.url, { method: "HEAD" });
  expect(response.headers.get("content-type")).toStartWith("text/event-stream");
  await eventually("the reader gone", () => served.events.readers === 0 && served.server.pendingRequests === 0);
});
