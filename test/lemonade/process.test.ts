// A child's process as /proc shows it: visible by its port, dead when it is a zombie or reaped.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { watchProcess } from "../../src/lemonade/process.ts";

/** A process that waits, with `args` on its command line; it runs when the promise resolves. */
async function start(...args: string[]) {
  const process = Bun.spawn(["/bin/sh", "-c", "echo $$; read line", ...args], { stdin: "pipe", stdout: "pipe" });
  const end = async (): Promise<void> => {
    process.kill("SIGKILL");
    await process.exited;
  };
  return { pid: await firstNumber(process.stdout), end, [Symbol.asyncDispose]: end };
}

/** A parent that never asks how its child ended, so that the child stays a zombie. */
async function startCareless(...args: string[]) {
  const script = 'exec 3<&0; /bin/sh -c "echo \\$\\$; read line <&3" child "$@" & exec sleep 60';
  const parent = Bun.spawn(["/bin/sh", "-c", script, "parent", ...args], { stdin: "pipe", stdout: "pipe" });
  return {
    childPid: await firstNumber(parent.stdout),
    [Symbol.asyncDispose]: async () => {
      parent.kill("SIGKILL");
      await parent.exited;
    },
  };
}

async function firstNumber(output: ReadableStream<Uint8Array>): Promise<number> {
  const { value } = await output.getReader().read();
  return Number(new TextDecoder().decode(value));
}

/** Resolves when /proc shows the process in that state. */
async function hasState(pid: number, state: string): Promise<void> {
  while (!new RegExp(`^\\d+ \\(.*\\) ${state} `).test(readFileSync(`/proc/${pid}/stat`, "latin1"))) await Bun.sleep(2);
}

const openFilesOf = (pid: number): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`/proc/${pid}/`);
    } catch {
      return false; // Closed meanwhile: the one that listed the folder.
    }
  }).length;

test("a process that names its port is alive until it is gone", async () => {
  await using process = await start("--port", "8007");
  const watch = watchProcess(process.pid, 8007);
  expect(watch?.isAlive()).toBe(true);
  await process.end();
  expect(watch?.isAlive()).toBe(false);
  watch?.close();
});

test.each([
  ["--port=8007", true],
  ["http://127.0.0.1:8007/v1", true],
  ["18007", false],
  ["80071", false],
  ["8008", false],
])("an argument %s names port 8007: %p", async (argument, isNamed) => {
  await using process = await start("--port", argument);
  const watch = watchProcess(process.pid, 8007);
  expect(watch !== null).toBe(isNamed);
  watch?.close();
  expect(openFilesOf(process.pid)).toBe(0);
});

test("a pid of another namespace is not the child", () => {
  expect(watchProcess(1, 8007)).toBeNull();
  expect(watchProcess(2 ** 30, 8007)).toBeNull();
});

test("a stopped process is alive, a zombie is not", async () => {
  await using parent = await startCareless("--port", "8007");
  const child = parent.childPid;
  const watch = watchProcess(child, 8007);
  expect(watch?.isAlive()).toBe(true);
  process.kill(child, "SIGSTOP");
  await hasState(child, "T");
  expect(watch?.isAlive()).toBe(true);
  process.kill(child, "SIGKILL");
  await hasState(child, "Z");
  expect(watch?.isAlive()).toBe(false);
  expect(watchProcess(child, 8007)).toBeNull();
  watch?.close();
});

test("a watch that is closed says dead, keeps no file open, and may be closed again", async () => {
  await using process = await start("--port", "8007");
  const watch = watchProcess(process.pid, 8007);
  expect(openFilesOf(process.pid)).toBe(1);
  watch?.close();
  watch?.close();
  expect(watch?.isAlive()).toBe(false);
  expect(openFilesOf(process.pid)).toBe(0);
});
