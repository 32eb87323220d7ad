// Kept slots through hours of their lemond's, on the one function and a clock of our own: each death is made good, a load that
// fails is tried less and less, and nobody's model is taken in turns.
import { describe, expect, test } from "bun:test";
import { slotDefaults } from "../../src/config/config.ts";
import type { Done } from "../../src/lemonade/lemonade.ts";
import type { LoadedModel } from "../../src/lemonade/listing.ts";
import type { Effect, Event } from "../../src/slots/events.ts";
import type { SlotRecord } from "../../src/slots/known.ts";
import { createKnown, step } from "../../src/slots/step.ts";
import { wakeAt } from "../../src/slots/upkeep.ts";

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const LOAD_MS = 4 * SECOND;
const UNLOAD_MS = 2 * SECOND;

const settings = {
  lemondUrl: "http://127.0.0.1:1",
  pollMs: SECOND,
  touchMs: 20 * SECOND,
  loadTimeoutMs: 600 * SECOND,
  drainMs: 30 * SECOND,
  maxWaiting: 8,
  maxHeldBytes: 1000,
  autoSlots: true,
  slotDefaults,
};

interface Scene {
  /** A killed child stays in health, as on 10.6. */
  readonly staysListed?: boolean;
  readonly maxModels?: number;
  readonly fails?: boolean;
  /** By model; the first slot is `primary`. */
  readonly keeps?: Readonly<Record<string, boolean>>;
}

/** Kept slots and a lemond that takes its time, in which only the clock moves anything. */
function scene({ staysListed = false, maxModels = 1, fails = false, keeps = { "tiny-a": true } }: Scene = {}) {
  let nowMs = 0;
  let lastPid = 100;
  let loaded: LoadedModel[] = [];
  const dead = new Set<number>();
  const answers: { readonly atMs: number; readonly give: () => void }[] = [];
  const loads: { readonly model: string; readonly atMs: number }[] = [];
  const known = createKnown(settings, 0);

  const happen = (event: Event): void => {
    for (const effect of step(known, event, nowMs)) perform(effect);
  };
  const later = (ms: number, give: () => void): void => void answers.push({ atMs: nowMs + ms, give });
  const done: Done = { ok: true, reply: { status: 200, text: "{}" }, checkpoint: null };
  const isDead = (pid: number | null): boolean => pid !== null && dead.has(pid);

  const perform = (effect: Effect): void => {
    switch (effect.do) {
      case "ask-lemond":
        return later(1, () => {
          const gone = [...known.children.values()].filter(({ pid }) => isDead(pid)).map(({ id }) => id);
          const about = { maxModels: { llm: maxModels }, modelLoaded: null, version: "11.7", distrusted: [] };
          const answer = { kind: "listing", askedAt: effect.question, loaded, ...about } as const;
          happen({ kind: "health", question: effect.question, answer, isLive: true, tookMs: 1, gone });
        });
      case "ask-child":
        return later(1, () => {
          const sign = isDead(effect.child.pid) ? "gone" : "ok";
          happen({ kind: "sign", question: effect.question, child: effect.child.id, how: effect.how, sign });
        });
      case "touch":
        return later(1, () => happen({ kind: "touched", slot: effect.slot.id, ok: true }));
      case "unload":
        return later(UNLOAD_MS, () => {
          loaded = loaded.filter(({ model }) => model !== effect.slot.model);
          happen({ kind: "unloaded", slot: effect.slot.id, job: effect.job.id, result: done });
        });
      case "load":
        loads.push({ model: effect.slot.model, atMs: nowMs });
        return later(LOAD_MS, () => {
          const result: Done = fails ? { ok: false, status: 500, error: "no memory", reply: null } : done;
          if (!fails) loaded = [...loaded.slice(loaded.length >= maxModels ? 1 : 0), childOf(effect.slot.model)];
          happen({ kind: "loaded", slot: effect.slot.id, job: effect.job.id, result });
        });
    }
  };
  const childOf = (model: string): LoadedModel => {
    const pid = ++lastPid;
    const own = { model, pid, url: `http://127.0.0.1:${8000 + pid}/v1`, checkpoint: `/models/${model}.gguf` };
    return { ...own, type: "llm", options: {}, recipe: "llamacpp", isReachable: true, lastUse: nowMs, isBusy: false };
  };

  /** Lets time pass until `until` holds or `ms` are over; says whether it holds. */
  const pass = (ms: number, until = (): boolean => false): boolean => {
    const endMs = nowMs + ms;
    while (!until()) {
      answers.sort((a, b) => a.atMs - b.atMs);
      const nextMs = Math.min(answers[0]?.atMs ?? Infinity, Math.max(nowMs, wakeAt(known)));
      if (nextMs > endMs) {
        nowMs = endMs;
        return false;
      }
      nowMs = nextMs;
      const answer = (answers[0]?.atMs ?? Infinity) <= nowMs ? answers.shift() : undefined;
      if (answer) answer.give();
      else happen({ kind: "wake" });
    }
    return true;
  };

  const slots = Object.entries(keeps).map(([model, keep], at) => ({
    ...slotDefaults,
    name: at === 0 ? "primary" : model,
    model,
    keep,
  }));
  happen({ kind: "configured", settings, slots });
  happen({ kind: "wake" });
  const slotOf = (model: string): SlotRecord => {
    const slot = [...known.slots.values()].find((one) => one.model === model);
    if (!slot) throw new Error(`no slot has ${model}`);
    return slot;
  };
  return {
    pass,
    happen,
    slotOf,
    loads,
    now: () => nowMs,
    isBack: (model: string) => (): boolean => {
      const { child, job } = slotOf(model);
      return child !== null && job === null && !isDead(known.children.get(child)?.pid ?? null);
    },
    /** Its child has died, and nobody is told. */
    kill: (model: string): void => {
      const child = loaded.find((one) => one.model === model && !isDead(one.pid));
      if (child?.pid == null) throw new Error(`${model} is not loaded`);
      dead.add(child.pid);
      if (!staysListed) loaded = loaded.filter((one) => one !== child);
    },
    chat: (id: number, model: string): void => {
      const { id: slot } = slotOf(model);
      const request = { id, name: `r${id}`, slot, bodyBytes: 0, isContinuation: false, model: null, mayDial: true };
      happen({ kind: "arrived", request });
    },
    listed: () => loaded.filter(({ pid }) => !isDead(pid)).map(({ model }) => model),
  };
}

/** In seconds, between one load and the next. */
const gapsOf = (loads: readonly { readonly atMs: number }[]): number[] =>
  loads.slice(1).map(({ atMs }, at) => Math.round((atMs - (loads[at]?.atMs ?? 0)) / SECOND));

describe.each([false, true])(
  "a kept slot whose child is killed 20 times and that nobody asks (stays listed: %p)",
  (staysListed) => {
    test("is back 20 times, each within a poll and its load, where it had served for a minute", () => {
      const stage = scene({ staysListed });
      expect(stage.pass(HOUR, stage.isBack("tiny-a"))).toBe(true);
      for (let deaths = 1; deaths <= 20; deaths++) {
        stage.pass(61 * SECOND);
        stage.kill("tiny-a");
        const killedMs = stage.now();
        expect(stage.pass(HOUR, stage.isBack("tiny-a"))).toBe(true);
        // A poll to see it, a child that stays listed to be unloaded, the load.
        expect(stage.now() - killedMs).toBeLessThan(2 * SECOND + (staysListed ? UNLOAD_MS : 0) + LOAD_MS);
        expect(stage.loads.length).toBe(1 + deaths);
      }
    });

    test("is back 20 times, later and later up to five minutes, where it dies as soon as it is there", () => {
      const stage = scene({ staysListed });
      expect(stage.pass(HOUR, stage.isBack("tiny-a"))).toBe(true);
      const waitsS: number[] = [];
      for (let deaths = 1; deaths <= 20; deaths++) {
        stage.kill("tiny-a");
        const killedMs = stage.now();
        expect(stage.pass(HOUR, stage.isBack("tiny-a"))).toBe(true);
        waitsS.push((stage.now() - killedMs) / SECOND);
        expect(stage.loads.length).toBe(1 + deaths);
      }
      const least = [5, 10, 20, 40, 80, 160, ...Array.from({ length: 14 }, () => 300)];
      const mostMoreS = 2 + (UNLOAD_MS + LOAD_MS) / SECOND;
      expect(waitsS.map((waitS, at) => waitS >= (least[at] ?? 0) && waitS < (least[at] ?? 0) + mostMoreS)).toEqual(
        least.map(() => true),
      );
      // One that has served for a minute again is as good as new.
      stage.pass(61 * SECOND);
      stage.kill("tiny-a");
      expect(stage.pass(2 * SECOND + UNLOAD_MS + LOAD_MS, stage.isBack("tiny-a"))).toBe(true);
    });
  },
);

test("a kept slot whose load fails gets lemond one load for each back-off, five minutes apart in the end", () => {
  const stage = scene({ fails: true });
  stage.pass(2 * HOUR);
  const waits = gapsOf(stage.loads).map((gapS) => gapS - LOAD_MS / SECOND);
  expect(waits.slice(0, 8)).toEqual([5, 10, 20, 40, 80, 160, 300, 300]);
  expect(new Set(waits.slice(6))).toEqual(new Set([300]));
  expect(stage.loads.length).toBeLessThanOrEqual(8 + (2 * HOUR) / (300 * SECOND));
});

describe("two kept slots with room for one", () => {
  const both = { "tiny-a": true, "tiny-b": true };

  test("do not fight: what is loaded stays, for hours", () => {
    const stage = scene({ keeps: both });
    stage.pass(3 * HOUR);
    expect([stage.loads.length, stage.listed().length]).toEqual([1, 1]);
  });

  test("do not fight where a request takes the room for the other, nor where the one that is there dies", () => {
    const stage = scene({ keeps: both });
    expect(stage.pass(HOUR, stage.isBack("tiny-a"))).toBe(true);
    stage.pass(2 * HOUR);
    stage.chat(1, "tiny-b");
    expect(stage.pass(60 * SECOND, stage.isBack("tiny-b"))).toBe(true);
    stage.happen({ kind: "ended", request: 1 });
    stage.pass(2 * HOUR);
    expect([stage.listed(), stage.loads.length]).toEqual([["tiny-b"], 2]);
    stage.kill("tiny-b");
    stage.pass(2 * HOUR);
    expect([stage.listed().length, stage.loads.length]).toEqual([1, 3]);
  });

  test("are both there where there is room for two", () => {
    const stage = scene({ keeps: both, maxModels: 2 });
    stage.pass(HOUR);
    expect([stage.listed().toSorted(), stage.loads.length]).toEqual([["tiny-a", "tiny-b"], 2]);
  });
});

test("a kept slot takes the room of one that is not kept once that is idle, and gives it to a request: no more loads than that", () => {
  const stage = scene({ keeps: { "tiny-a": true, "tiny-b": false } });
  expect(stage.pass(HOUR, stage.isBack("tiny-a"))).toBe(true);
  stage.chat(1, "tiny-b");
  expect(stage.pass(60 * SECOND, stage.isBack("tiny-b"))).toBe(true);
  stage.happen({ kind: "ended", request: 1 });
  const idleMs = slotDefaults.idleAfterMs;
  stage.pass(idleMs - 10 * SECOND);
  expect([stage.listed(), stage.loads.length]).toEqual([["tiny-b"], 2]);
  stage.pass(2 * HOUR);
  expect([stage.listed(), stage.loads.length]).toEqual([["tiny-a"], 3]);
});
