// A client that stops reading stops the upstream: the server holds no more than its sockets do.
import { describe, expect, test } from "bun:test";
import { farAt } from "../broken.ts";
import { requestText } from "../lemond/raw-client.ts";
import { startStack } from "../stack.ts";

const MB = 1024 * 1024;

describe("a client that stops reading", () => {
  test("stops the child too: the server does not buffer the rest", async () => {
    const event = Buffer.from(`data: ${"x".repeat(65_536 - 8)}\n\n`);
    let sentBytes = 0;
    await using source = startEndless(event, (bytes) => (sentBytes += bytes));
    await using stack = await startStack(farAt(source.url));
    const rssBefore = process.memoryUsage.rss();
    const connection = Bun.connect({
      hostname: "127.0.0.1",
      port: Number(new URL(stack.url).port),
      socket: {
        open: (socket) => {
          socket.write(requestText("POST", "/v1/chat/completions", [], '{"model":"far/m","stream":true}'));
          socket.pause();
        },
        data() {},
      },
    });
    const socket = await connection;
    // Until the source has not been able to send for a while: the buffers between are full.
    let last = -1;
    while (last !== sentBytes || sentBytes === 0) {
      last = sentBytes;
      await Bun.sleep(250);
    }
    expect(sentBytes).toBeLessThan(40 * MB);
    expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(120 * MB);
    socket.terminate();
    const deadline = performance.now() + 5000;
    while (source.open > 0 && performance.now() < deadline) await Bun.sleep(5);
    expect(source.open).toBe(0);
  }, 20_000);
});

/** An SSE stream without an end, as fast as it is taken. */
function startEndless(event: Uint8Array, onSent: (bytes: number) => void) {
  const sockets = new Set<Bun.Socket>();
  const pump = (socket: Bun.Socket): void => {
    for (;;) {
      const written = socket.write(event);
      onSent(Math.max(0, written));
      if (written < event.length) return;
    }
  };
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void sockets.add(socket),
      data: (socket) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        pump(socket);
      },
      drain: pump,
      close: (socket) => void sockets.delete(socket),
      error() {},
    },
  });
  return {
    url: `http://127.0.0.1:${listener.port}`,
    get open() {
      return sockets.size;
    },
    [Symbol.asyncDispose]: async () => {
      listener.stop(true);
    },
  };
}
