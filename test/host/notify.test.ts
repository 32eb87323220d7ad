// What systemd is told, over a real datagram socket: by the module, and by the built executable.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNotify } from "../../src/host/notify.ts";
import { startBinary } from "../binary.ts";
import { machineSeconds, openNotifySocket } from "../notify-socket.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hal0-notify-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const LISTENS = 'server = { host = "127.0.0.1", port = 0 }\nlemonade = { url = "http://127.0.0.1:9" }\n';
const HALF_MS = 50;
const watched = (pid = process.pid) => ({ WATCHDOG_USEC: String(HALF_MS * 2000), WATCHDOG_PID: String(pid) });

test.each([
  ["a path", () => join(folder, "path")],
  ["an abstract name", () => `@hal0-notify-${process.pid}`],
])("%s is written to", async (_, address) => {
  using socket = openNotifySocket(address());
  createNotify({ NOTIFY_SOCKET: socket.address }, process.pid).ready("http://127.0.0.1:1");
  expect(await socket.next(/READY/)).toBe("READY=1\nSTATUS=serving at http://127.0.0.1:1");
});

test.each([[undefined], [""], ["vsock:2:1234"], ["relative"], [`/${"x".repeat(200)}`], ["/nowhere/at/all"]])(
  "NOTIFY_SOCKET=%s is nobody to tell, and no fault",
  async (address) => {
    const notify = createNotify({ NOTIFY_SOCKET: address, ...watched() }, process.pid);
    notify.ready("http://127.0.0.1:1");
    notify.reloaded("http://127.0.0.1:1", null);
    notify.stopping(0);
    await Bun.sleep(HALF_MS);
  },
);

test("what the socket does not take is sent again until it does, and not after", async () => {
  const sent: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const send = (text: string): boolean => {
    sent.push(text);
    if (sent.length === 3) resolve();
    return sent.length === 3;
  };
  createNotify({}, 1, send).stopping(1000);
  await promise;
  await Bun.sleep(250);
  expect(sent.length).toBe(3);
  expect(new Set(sent).size).toBe(1);
});

test("a stop asks for as much time as the drain may take, and a reload says why it was refused in one line", async () => {
  using socket = openNotifySocket(join(folder, "states"));
  const notify = createNotify({ NOTIFY_SOCKET: socket.address }, process.pid);
  notify.stopping(120_000);
  expect(await socket.next(/STOPPING=1/)).toContain("\nEXTEND_TIMEOUT_USEC=135000000\n");
  notify.reloaded("http://a", "server.port: wrong\nMAINPID=1");
  const reloading = await socket.next(/RELOADING=1/);
  expect(reloading).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+$/);
  // The kernel counts from its own start, and so does systemd; this process is younger.
  expect(Number(reloading.split("=").at(-1)) / 1e6).toBeWithin(machineSeconds() - 10, machineSeconds() + 0.1);
  const ready = "READY=1\nSTATUS=serving at http://a; not reloaded: server.port: wrong MAINPID=1";
  expect(await socket.next(/READY=1/)).toBe(ready);
});

describe("the watchdog", () => {
  /** A server whose `/live` can be made to fail or to stay silent. */
  function serve() {
    let mood: "well" | "failing" | "silent" = "well";
    let asked = Promise.withResolvers<void>();
    let count = 0;
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async () => {
        count += 1;
        asked.resolve();
        asked = Promise.withResolvers();
        if (mood === "silent") await Bun.sleep(10_000);
        return new Response(null, { status: mood === "failing" ? 500 : 200 });
      },
    });
    return {
      url: server.url.origin,
      become: (next: typeof mood) => (mood = next),
      isAsked: () => asked.promise,
      get count() {
        return count;
      },
      [Symbol.dispose]: () => void server.stop(true),
    };
  }
  const beats = ({ messages }: { readonly messages: readonly string[] }): number =>
    messages.filter((message) => message === "WATCHDOG=1").length;

  test.each(["failing", "silent"] as const)("is fed while the server answers, and not while it is %s", async (mood) => {
    using socket = openNotifySocket(join(folder, mood));
    using server = serve();
    createNotify({ NOTIFY_SOCKET: socket.address, ...watched() }, process.pid).ready(server.url);
    await socket.next(/WATCHDOG=1/);
    server.become(mood);
    // Two questions: the answer to the first may have been on its way before the change.
    await server.isAsked();
    await server.isAsked();
    socket.take();
    const before = beats(socket);
    await server.isAsked();
    await server.isAsked();
    socket.take();
    expect(beats(socket)).toBe(before);
    server.become("well");
    for (let looks = 0; beats(socket) === before && looks < 500; looks += 1) {
      await Bun.sleep(10);
      socket.take();
    }
    expect(beats(socket)).toBeGreaterThan(before);
  });

  test("is not fed for another process, or where systemd does not watch", async () => {
    using socket = openNotifySocket(join(folder, "other"));
    using server = serve();
    const NOTIFY_SOCKET = socket.address;
    createNotify({ NOTIFY_SOCKET, ...watched(process.pid + 1) }, process.pid).ready(server.url);
    createNotify({ NOTIFY_SOCKET, WATCHDOG_USEC: "0" }, process.pid).ready(server.url);
    createNotify({ NOTIFY_SOCKET }, process.pid).ready(server.url);
    await Bun.sleep(HALF_MS * 3);
    socket.take();
    expect([socket.messages.length, beats(socket), server.count]).toEqual([3, 0, 0]);
  });
});

test("the executable is ready when it listens, is watched, reloads aloud and says that it stops", async () => {
  using socket = openNotifySocket(join(folder, "executable"));
  const env = { NOTIFY_SOCKET: socket.address, WATCHDOG_USEC: "200000" };
  await using binary = await startBinary({ toml: LISTENS, env });
  expect(await socket.next(/READY=1/)).toBe(`READY=1\nSTATUS=serving at ${binary.url}`);
  expect(socket.messages[0]).toStartWith("READY=1");
  expect((await fetch(`${binary.url}/live`)).status).toBe(200);
  await socket.next(/^WATCHDOG=1$/);

  writeFileSync(binary.configPath, "[server]\nprot = 1\n");
  binary.signal("SIGHUP");
  expect(await socket.next(/not reloaded/)).toContain("server.prot");

  binary.signal("SIGTERM");
  expect(await socket.next(/STOPPING=1/)).toStartWith("STOPPING=1\nEXTEND_TIMEOUT_USEC=45000000\n");
  expect(await binary.exited).toBe(0);
});

test("the executable that cannot listen is never ready", async () => {
  using socket = openNotifySocket(join(folder, "taken"));
  using taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const toml = `[server]\nport = ${taken.port}\n[lemonade]\nurl = "http://127.0.0.1:9"\n`;
  const start = startBinary({ toml, env: { NOTIFY_SOCKET: socket.address } });
  await expect(start).rejects.toThrow("is taken");
  socket.take();
  expect(socket.messages).toEqual([]);
});
