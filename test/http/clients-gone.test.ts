// A client that leaves: the child hears of it within a second, nothing is repaired for it, and nothing stays behind.
import { afterEach, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { startStack, type ChatOptions, type Stack } from "../stack.ts";
import { startRemote } from "../remote.ts";

const SECOND = 1000;
const openFiles = (): number => readdirSync("/proc/self/fd").length;

let stack: Stack;
afterEach(async () => {
  const { lemond } = stack;
  expect([lemond.unloads(), lemond.unloadAlls()]).toEqual([0, 0]);
  expect(stack.repairs.filter(({ outcome }) => outcome !== "loaded")).toEqual([]);
  expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
  expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([]);
  await stack[Symbol.asyncDispose]();
});

/** A chat that is never answered in full; `leave` takes its client away. */
function chatAndLeave(options: ChatOptions) {
  const client = new AbortController();
  const reply = stack.chat({ ...options, signal: client.signal });
  reply.catch(() => {}); // It is meant to be aborted.
  return { reply, leave: (): void => client.abort() };
}

/** The last column: whether the client has had its first bytes by then. */
const scenes: [string, ChatOptions, boolean][] = [
  ["before the headers", { sim: { hang: true } }, false],
  ["before the headers of a stream", { stream: true, sim: { hang: true } }, false],
  ["before the first token", { stream: true, sim: { firstTokenMs: 60_000 } }, false],
  ["inside a plain reply", { sim: { raw: "aGFsZg==", silentAtEnd: true, contentLength: 99 } }, false],
  ["in the middle of a stream", { stream: true, tokens: 100_000, sim: { tokenMs: 5 } }, true],
  ["in a silent stream", { stream: true, sim: { raw: btoa("data: a\n\n"), silentAtEnd: true } }, true],
];

test.each(scenes)(
  "%s: the child sees it within a second, and in_flight is zero again",
  async (_, options, hasBegun) => {
    // A heartbeat would be a first byte, too, and come before the status is known.
    stack = await startStack({ server: { heartbeatMs: 0 } });
    const child = stack.lemond.child("tiny-a");
    const { reply, leave } = chatAndLeave(options);
    await child?.receivedAny();
    if (hasBegun) await (await reply).body?.getReader().read();
    expect((await stack.slot()).in_flight).toBe(1);
    const leftMs = performance.now();
    leave();
    await child?.abortedAny();
    expect(performance.now() - leftMs).toBeLessThan(SECOND);
    await stack.slotIs(({ in_flight, state }) => in_flight === 0 && state === "ready");
    expect(performance.now() - leftMs).toBeLessThan(SECOND);
    expect([child?.prompts(), stack.lemond.loads()]).toEqual([1, 1]);
    const decision = await stack.line("dispatch.decision");
    // A stream that had begun was decided by then: its status is the child's.
    expect(decision["status"]).toBe(hasBegun ? 200 : 499);
  },
);

test("while held for a load: nobody waits any more, and the child never hears of it", async () => {
  stack = await startStack({ loaded: [], slots: [{ name: "primary", model: "tiny-a", isDefault: true }] });
  const latch = stack.lemond.holdLoads();
  const { leave } = chatAndLeave({});
  await stack.lemond.receivedAny("/v1/load");
  expect((await stack.slot()).waiting).toBe(1);
  leave();
  await stack.slotIs(({ waiting }) => waiting === 0);
  expect((await stack.line("dispatch.decision"))["status"]).toBe(499);
  latch.release();
  await stack.slotIs(({ state }) => state === "ready");
  expect([stack.lemond.child("tiny-a")?.prompts(), stack.lemond.loads()]).toEqual([0, 1]);
});

test("of a remote: the remote sees it too", async () => {
  await using remote = await startRemote(() => null);
  stack = await startStack({ upstreams: [{ name: "far", url: remote.url, apiKey: null, models: ["far/*"] }] });
  const { leave } = chatAndLeave({ model: "far/m" });
  while (remote.requests.length === 0) await Bun.sleep(2);
  const leftMs = performance.now();
  leave();
  while (remote.open > 0 && performance.now() - leftMs < 5 * SECOND) await Bun.sleep(2);
  expect(performance.now() - leftMs).toBeLessThan(SECOND);
  expect((await stack.line("dispatch.decision"))["status"]).toBe(499);
});

test("five hundred that leave, streams and not, at every stage: no socket, no file and little memory stay", async () => {
  stack = await startStack();
  const child = stack.lemond.child("tiny-a");
  const stages: ChatOptions[] = [
    { sim: { hang: true } },
    { stream: true, sim: { hang: true } },
    { stream: true, sim: { firstTokenMs: 60_000 } },
    { stream: true, tokens: 10_000, sim: { tokenMs: 200 } },
  ];
  /** The requests that the child saw cut; the product's own questions, where the machine is slow, are not among them. */
  const cut = (): number => child?.requests.filter(({ isAborted, isProbe }) => isAborted && !isProbe).length ?? 0;
  const leaveAll = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const before = child?.prompts() ?? 0;
      const leavers = Array.from({ length: 100 }, (_, at) => chatAndLeave(stages[at % stages.length] ?? {}));
      while ((child?.prompts() ?? 0) < before + leavers.length) await Bun.sleep(2);
      for (const { leave } of leavers) leave();
      await stack.slotIs(({ in_flight }) => in_flight === 0);
    }
  };
  /** Resolves when the child has no connection left, and has told of each that was cut. */
  const settle = async (): Promise<void> => {
    const deadlineMs = performance.now() + 20 * SECOND;
    const isSettled = async () => (await child?.openSockets()) === 0 && cut() === child?.prompts();
    while (!(await isSettled()) && performance.now() < deadlineMs) await Bun.sleep(10);
    expect(await child?.openSockets()).toBe(0);
    Bun.gc(true);
  };
  await leaveAll(2);
  await settle();
  const filesBefore = openFiles();
  const rssBefore = process.memoryUsage.rss();
  await leaveAll(5);
  await settle();
  expect(child?.prompts()).toBe(700);
  expect(cut()).toBe(700);
  // The client's own pool and a health poll may hold a few.
  expect(openFiles() - filesBefore).toBeLessThan(15);
  expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(30 * 1024 * 1024);
  expect(await stack.slot()).toMatchObject({ in_flight: 0, waiting: 0, state: "ready" });
  expect((await stack.chat()).status).toBe(200);
  expect(stack.lemond.loads()).toBe(1);
}, 60_000);
