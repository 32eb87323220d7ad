// What a request costs in system calls, counted from outside and compared with numbers that stand here: the feature that makes
// every request a tenth dearer is seen when it is made. Calls that only wait or share memory are left out: their number
// depends on the machine. Where a number falls, lower it here.
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { freePort, serveLemond } from "./bench/targets.ts";
import { requestBody } from "./bench/load.ts";
import { startBinary } from "./binary.ts";
import { needDebian } from "./need.ts";

/** Calls a request, on a kept connection of the client and a fresh one to the child. */
const BUDGET = { plain: 16, stream: 18 } as const;
const CALLS =
  "accept4,bind,close,connect,epoll_ctl,fcntl,fstat,getsockname,getsockopt,ioctl,openat,pread64,read,readv,recvfrom,recvmsg,sendmsg,sendto,setsockopt,shutdown,socket,write,writev";
const FEW = 100;
const MANY = 400;
/** A busy machine cuts what is read into more pieces: the least of so many counts is what a request costs. */
const COUNTS = 4;

const strace = await needDebian("strace", "strace");
const childPort = freePort();
const child = Bun.spawn([process.execPath, join(import.meta.dir, "bench/child.ts"), "--port", `${childPort}`], {
  stdout: "ignore",
});
const lemond = serveLemond(childPort, child.pid);
afterAll(async () => {
  child.kill();
  await lemond.stop(true);
});

test.skipIf(strace === null).each(["plain", "stream"] as const)(
  "a %s chat stays within its budget of system calls",
  async (kind) => {
    const toml = `[server]\nport = 0\n[lemonade]\nurl = "http://127.0.0.1:${lemond.port}"\npoll_s = 3600\n`;
    await using server = await startBinary({ toml });
    const ask = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) {
        const body = requestBody(kind === "stream");
        const reply = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", body });
        expect(reply.status).toBe(200);
        await reply.arrayBuffer();
      }
    };
    await ask(FEW); // What comes with the first requests alone.
    const most = BUDGET[kind] * 1.1;
    let perRequest = Infinity;
    for (let counts = 0; counts < COUNTS && perRequest > most; counts++) {
      const [few, many] = [await counted(server.pid, () => ask(FEW)), await counted(server.pid, () => ask(MANY))];
      perRequest = Math.min(perRequest, (many - few) / (MANY - FEW));
    }
    expect(perRequest).toBeGreaterThan(5); // Else nothing was counted.
    expect(perRequest).toBeLessThanOrEqual(most);
  },
);

/** System calls of the process and its threads while `run` runs. */
async function counted(pid: number, run: () => Promise<void>): Promise<number> {
  const tracer = Bun.spawn([strace ?? "", "-f", "-qq", "-c", "-e", `trace=${CALLS}`, "-p", `${pid}`], {
    stdout: "ignore",
    stderr: "pipe",
  });
  await attached(pid);
  await run();
  tracer.kill("SIGINT");
  const text = await tracer.stderr.text();
  await tracer.exited;
  const total = /^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)(?:\s+\d+)?\s+total$/m.exec(text)?.[1];
  if (total === undefined) throw new Error(`strace counted nothing: ${text.slice(-500)}`);
  return Number(total);
}

/** Resolves when every thread of the process is traced. */
async function attached(pid: number): Promise<void> {
  const glob = new Bun.Glob(`/proc/${pid}/task/*/status`);
  for (let looks = 0; looks < 500; looks++) {
    const files = await Array.fromAsync(glob.scan({ onlyFiles: true }));
    const states = await Promise.all(
      files.map((file) =>
        Bun.file(file)
          .text()
          .catch(() => ""),
      ),
    );
    if (files.length > 0 && states.every((text) => /^TracerPid:\s+[1-9]/m.test(text))) return;
    await Bun.sleep(10);
  }
  throw new Error("strace does not attach");
}
