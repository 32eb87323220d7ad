// Another client loads its model and ours is evicted, as measured on lemond 11.7 (DESIGN.md section 2, 12 and 21; recording 35).
import { describe, expect, test } from "bun:test";
import { realTimes, startLemond, type Lemond } from "./index.ts";
import { canConnect } from "./process.ts";
import { openRaw, parseReply, rawRequest } from "./raw-client.ts";
import { chatText, endless, health, loaded, streaming } from "./steps.ts";

/** Long enough to look into each phase, however busy the machine is. */
const phases = { graceMs: 1500, unloadMs: 300, closeMs: 20 };
/** A child that was given so long and has ended before was not waited for. */
const LONG_MS = 20_000;

const since = (begin: number): number => performance.now() - begin;

async function refused(port: number): Promise<void> {
  while (await canConnect(port)) await Bun.sleep(5);
}

async function loadB(lemond: Lemond): Promise<number> {
  const begin = performance.now();
  expect((await lemond.load("tiny-b")).status).toBe(200);
  return since(begin);
}

describe("another client's load, while we stream from the child that it evicts", () => {
  test("leaves our socket open and silent until lemond kills the child; health is mute, then lists nothing, then the newcomer", async () => {
    await using lemond = await startLemond(phases);
    const child = await loaded(lemond, "tiny-a");
    const stream = await streaming(child);
    const latch = lemond.holdLoads();
    const begin = performance.now();
    const load = loadB(lemond);
    await refused(child.port);
    const refusedAfter = since(begin);
    const listed = health(lemond).then((models) => ({ models, after: since(begin) }));
    const before = stream.text();
    expect(await stream.end).toBe("FIN");
    expect(since(begin)).toBeGreaterThanOrEqual(phases.graceMs);
    expect(refusedAfter).toBeLessThan(phases.graceMs);
    // The port refused a moment before this, and nothing more was generated.
    expect(stream.text().length - before.length).toBeLessThan(1000);
    expect(parseReply(stream.text()).isComplete).toBe(false);
    const first = await listed;
    expect(first.models).toEqual([]);
    expect(first.after).toBeGreaterThanOrEqual(phases.graceMs + phases.unloadMs);
    expect(await health(lemond)).toEqual([]);
    latch.release();
    expect(await load).toBeGreaterThanOrEqual(phases.graceMs + phases.unloadMs);
    expect((await health(lemond)).map((model) => model.model_name)).toEqual(["tiny-b"]);
  }, 15_000);

  test("is over as soon as we hang up: the child ends and only the sleep of the stop is left", async () => {
    await using lemond = await startLemond({ ...phases, graceMs: LONG_MS });
    const child = await loaded(lemond, "tiny-a");
    const stream = await streaming(child);
    const load = loadB(lemond);
    await refused(child.port);
    stream.close();
    expect(await load).toBeLessThan(LONG_MS);
    expect(lemond.listed()).toEqual(["tiny-b"]);
  }, 30_000);

  test("is over at once where the child ends by itself, as half of them do", async () => {
    await using lemond = await startLemond({ ...phases, graceMs: LONG_MS, endsAtTerm: "every-second" });
    const first = await loaded(lemond, "tiny-a");
    const begin = performance.now();
    await loaded(lemond, "tiny-b");
    expect(first.isAlive).toBe(false);
    const second = lemond.child("tiny-b");
    if (second === undefined) throw new Error("no child");
    const stream = await streaming(second);
    await loaded(lemond, "tiny-a");
    expect(await stream.end).toBe("FIN");
    expect(parseReply(stream.text()).isComplete).toBe(false);
    expect(since(begin)).toBeLessThan(LONG_MS);
  }, 30_000);

  test("is lost again when a load of ours comes right behind: the newcomer's first chat finds no model", async () => {
    for (const stream of [false, true]) {
      await using lemond = await startLemond({ unloadMs: 200 });
      await loaded(lemond, "tiny-a");
      const latch = lemond.holdLoads();
      const chat = rawRequest(lemond.port, chatText({}, { model: "tiny-b", stream }));
      await lemond.receivedAny("/v1/chat/completions");
      const ours = lemond.load("tiny-a");
      await lemond.receivedAny("/v1/load", (call) => call.model === "tiny-a" && lemond.count("/v1/load") === 2);
      latch.release();
      const reply = await chat;
      expect(reply.status).toBe(stream ? 200 : 404);
      expect(JSON.parse(reply.body.replace(/^data: /, ""))).toEqual({
        error: { message: "No model loaded: tiny-b", type: "model_not_loaded" },
      });
      expect((await ours).status).toBe(200);
      expect(lemond.listed()).toEqual(["tiny-a"]);
    }
  });
});

describe("health", () => {
  test("shows use through lemond, in last_use and is_busy, and none of direct use (recording 31)", async () => {
    await using lemond = await startLemond();
    const child = await loaded(lemond, "tiny-a");
    const [idle] = await health(lemond);
    const direct = await streaming(child);
    const [whileDirect] = await health(lemond);
    expect(whileDirect).toEqual(idle);
    direct.close();
    const stream = await openRaw(lemond.port);
    stream.send(chatText(endless, { stream: true, model: "tiny-a" }));
    await stream.until("token 2 ");
    const [busy] = await health(lemond);
    expect(busy).toMatchObject({ is_busy: true, is_streaming: true, status: "in_use", backend_health: "busy" });
    expect(busy?.last_use).toBeGreaterThan(idle?.last_use ?? Infinity);
    stream.close();
    await child.abortedAny((request) => request.bodyText?.includes('"model"') === true);
    while ((await health(lemond))[0]?.is_busy === true) await Bun.sleep(5);
    const [after] = await health(lemond);
    expect(after).toMatchObject({ status: "ready", last_use: busy?.last_use });
  });

  test("is mute for a stop's sleep when a load finds a dead child that the watchdog has not (recording 30)", async () => {
    for (const [watchdogMs, isFound] of [
      [5000, false],
      [1, true],
    ] as const) {
      await using lemond = await startLemond({ unloadMs: 1500, watchdogMs });
      await (await loaded(lemond, "tiny-a")).kill();
      while (lemond.listed().length > 0) await Bun.sleep(5);
      await Bun.sleep(50);
      const begin = performance.now();
      const load = lemond.load("tiny-a");
      await lemond.receivedAny("/v1/load", () => lemond.count("/v1/load") === 2);
      expect(await health(lemond)).toEqual([]);
      if (isFound) expect(since(begin)).toBeLessThan(1200);
      else expect(since(begin)).toBeGreaterThanOrEqual(1400);
      expect((await load).status).toBe(200);
    }
  });
});

describe("a load that fails", () => {
  test("because something is missing on the disk evicts nobody", async () => {
    await using lemond = await startLemond({ maxModels: -1 });
    await loaded(lemond, "tiny-b");
    lemond.failLoads("tiny-a", 1, "Model file does not exist: /models/tiny-a.gguf");
    expect((await lemond.load("tiny-a")).status).toBe(500);
    expect(lemond.listed()).toEqual(["tiny-b"]);
  });
});

test("the real times are those of the recordings", async () => {
  const text = async (name: string): Promise<string> =>
    Bun.file(`${import.meta.dir}/../wire/lemonade-11.7/${name}.txt`).text();
  const numbers = (from: string, pattern: RegExp): number[] =>
    [...from.matchAll(pattern)].map((found) => Number(found[1]));
  const evicted = await text("35-e2-evict-while-direct-stream");
  // The first load of the recording: the stop of a child under a direct stream, its sleep, and the newcomer's start.
  const [withStream] = numbers(evicted, /total=([\d.]+)s/g);
  expect((withStream ?? 0) * 1000).toBeGreaterThan(realTimes.graceMs + realTimes.unloadMs);
  expect((withStream ?? 0) * 1000).toBeLessThan(realTimes.graceMs + realTimes.unloadMs + 400);
  const cycles = await text("38-g-cycle");
  for (const unload of numbers(cycles, / unload=(\d+)ms/g))
    expect(Math.abs(unload - realTimes.unloadMs)).toBeLessThan(200);
  for (const load of numbers(cycles, / load=(\d+)ms/g)) expect(Math.abs(load - realTimes.loadMs)).toBeLessThan(300);
});
