// What the one function says of time, of turns and of what it holds: when it must be woken, when the generation rises, whose
// load or touch comes next, and which children it still knows.
import { describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { slotDefaults } from "../../src/config/config.ts";
import type { HealthAnswer, LoadedModel } from "../../src/lemonade/listing.ts";
import type { Effect, Event } from "../../src/slots/events.ts";
import type { SlotRecord } from "../../src/slots/known.ts";
import { createKnown, step } from "../../src/slots/step.ts";
import { wakeAt } from "../../src/slots/upkeep.ts";
import { startStack } from "../stack.ts";

const settings = {
  lemondUrl: "http://127.0.0.1:1",
  pollMs: 1000,
  touchMs: 0,
  loadTimeoutMs: 600_000,
  drainMs: 2000,
  maxWaiting: 8,
  maxHeldBytes: 1000,
  autoSlots: true,
  slotDefaults,
};
const nothing = {
  kind: "listing",
  loaded: [],
  maxModels: {},
  modelLoaded: null,
  version: "11.7",
  distrusted: [],
} as const;

const child = {
  model: "tiny-a",
  url: "http://127.0.0.1:8001/v1",
  pid: 2,
  checkpoint: "/models/tiny-a.gguf",
  type: "llm",
  options: {},
  recipe: "llamacpp",
  isReachable: true,
  lastUse: null,
  isBusy: false,
};

const childOf = (model: string, port: number, pid: number): LoadedModel => ({
  ...child,
  model,
  url: `http://127.0.0.1:${port}/v1`,
  pid,
  checkpoint: `/models/${model}.gguf`,
});

/** One slot for each model, whose lemond answers each question at once with what is loaded. */
function scene(loaded: readonly LoadedModel[], models = ["tiny-a"], touchMs = 0) {
  const lemond = { loaded };
  const known = createKnown({ ...settings, touchMs }, 0);
  const happen = (event: Event, nowMs = 10): Effect[] => {
    const effects = step(known, event, nowMs);
    return effects.flatMap((effect) => {
      if (effect.do !== "ask-lemond") return [effect];
      const answer: HealthAnswer = { ...nothing, loaded: lemond.loaded, askedAt: effect.question };
      return happen({ kind: "health", question: effect.question, answer, isLive: true, tookMs: 1, gone: [] }, nowMs);
    });
  };
  const slots = models.map((model, at) => ({ ...slotDefaults, name: at === 0 ? "primary" : model, model }));
  happen({ kind: "configured", settings: known.settings, slots });
  happen({ kind: "wake" });
  const slotOf = (model: string): SlotRecord => {
    const slot = [...known.slots.values()].find((one) => one.model === model);
    if (!slot) throw new Error(`no slot has ${model}`);
    return slot;
  };
  const requestOf = (id: number, { id: slot }: SlotRecord) => ({
    ...{ id, name: `r${id}`, slot, bodyBytes: 0 },
    ...{ isContinuation: false, model: null, mayDial: true },
  });
  const slot = slotOf("tiny-a");
  return { known, lemond, slot, slotOf, happen, requestOf, request: requestOf(1, slot) };
}

test("nothing wakes it but the next poll while lemond unloads or loads: an answer brings that on", () => {
  const { known, slot, happen, request } = scene([]);
  const effects = happen({ kind: "arrived", request });
  expect(effects.map((effect) => effect.do)).toContain("load");
  expect(slot.job?.stage).toBe("loading");
  expect(wakeAt(known)).toBe(known.pollDueMs);
});

test("a request whose child still loads is held once for hold_s, also when another answer comes before the alarm", () => {
  const { slot, happen, request } = scene([child]);
  const endMs = 10 + slot.config.holdMs;
  expect(happen({ kind: "arrived", request }).map((effect) => effect.do)).toContain("dial");
  const asked = happen({ kind: "still-loading", request: 1 }).find((effect) => effect.do === "ask-child");
  expect(asked).toBeUndefined(); // The port has just said it.
  const question = happen({ kind: "wake" }, endMs - 1).find((effect) => effect.do === "ask-child")?.question ?? 0;
  expect(question).toBeGreaterThan(0);
  const answer = { kind: "sign", question, child: slot.child ?? 0, how: "port", sign: "loading" } as const;
  const effects = happen(answer, endMs + 1);
  expect(effects.filter((effect) => effect.do === "dial")).toEqual([]);
  expect(effects.filter((effect) => effect.do === "answer")).toMatchObject([
    { failure: { kind: "lost", reason: "the child is still loading" } },
  ]);
});

test("a child that is gone when health answers again after a silence was evicted for another client's model", () => {
  const known = createKnown(settings, 0);
  const say = (answer: HealthAnswer, question: number, nowMs: number, tookMs: number): Effect[] =>
    step(known, { kind: "health", question, answer, isLive: true, tookMs, gone: [] }, nowMs);
  const asked = (effects: readonly Effect[]): number =>
    effects.find((effect) => effect.do === "ask-lemond")?.question ?? Number.NaN;
  const wake = (nowMs: number): number => asked(step(known, { kind: "wake" }, nowMs));
  step(known, { kind: "configured", settings, slots: [{ ...slotDefaults, name: "primary", model: "tiny-a" }] }, 0);
  const first = wake(0);
  say({ ...nothing, loaded: [child], askedAt: first }, first, 1, 1);
  // lemond stops the child of another client's load for 3.5 s; the first question is given up after three.
  say({ kind: "silent", cause: "no answer in time" }, wake(1001), 4001, 3000);
  const next = wake(5001);
  say({ ...nothing, askedAt: next }, next, 5002, 1);
  const [slot] = known.slots.values();
  if (!slot) throw new Error("there is no slot");
  const request = { id: 1, name: "r1", slot: slot.id, bodyBytes: 0, isContinuation: false, model: null, mayDial: true };
  let effects = step(known, { kind: "arrived", request }, 5100);
  for (let question = asked(effects); !Number.isNaN(question); question = asked(effects))
    effects = say({ ...nothing, askedAt: question }, question, 5101, 1);
  expect(slot.job?.stage).toBe("newcomer");
});

describe("the generation of a slot", () => {
  const first = [childOf("tiny-a", 8001, 2)];
  const second = [childOf("tiny-a", 8001, 3)];
  const moved = [childOf("tiny-a", 8002, 2)];

  test.each([
    ["counts its first child", [first], 1],
    ["stays with a child that is listed again", [first, first], 1],
    ["rises with another process at the same port", [first, second], 2],
    ["rises with the same pid at another port", [first, moved], 2],
    ["stays when its child is lost", [first, []], 1],
    ["rises with another child after that", [first, [], second], 2],
    ["rises with each of two that take turns", [first, second, first], 3],
  ])("%s", (_, listings, generation) => {
    const { lemond, slot, happen } = scene([]);
    for (const [nth, listing] of listings.entries()) {
      lemond.loaded = listing;
      happen({ kind: "wake" }, 2000 * (nth + 1));
    }
    expect(slot.generation).toBe(generation);
    expect(slot.child === null).toBe(listings.at(-1)?.length === 0);
  });

  test("stays when a child is taken back that was thought dead", () => {
    const { lemond, slot, happen, request } = scene(first);
    lemond.loaded = [];
    happen({ kind: "wake" }, 2000);
    expect(slot).toMatchObject({ child: null, state: "offline" });
    lemond.loaded = first;
    const asked = happen({ kind: "arrived", request }, 2000).find((effect) => effect.do === "ask-child");
    if (asked?.do !== "ask-child") throw new Error("the child is not asked");
    const sign = { kind: "sign", question: asked.question, child: asked.child.id, how: "port", sign: "ok" } as const;
    expect(happen(sign, 2000).map((effect) => effect.do)).toContain("dial");
    expect(slot).toMatchObject({ generation: 1, inFlight: 1, state: "serving" });
  });
});

test("loads take turns in the order in which they were asked for", () => {
  const { slotOf, happen, requestOf } = scene([], ["tiny-a", "tiny-b", "tiny-c"]);
  const sent: string[] = [];
  const note = (effects: readonly Effect[]): void => {
    for (const effect of effects) if (effect.do === "load") sent.push(effect.slot.model);
  };
  const order = ["tiny-b", "tiny-c", "tiny-a"];
  for (const [nth, model] of order.entries())
    note(happen({ kind: "arrived", request: requestOf(nth + 1, slotOf(model)) }));
  expect(sent).toEqual(["tiny-b"]);
  for (const model of order) {
    const { id, job } = slotOf(model);
    const result = { ok: false, status: 500, error: "no memory", reply: null } as const;
    note(happen({ kind: "loaded", slot: id, job: job?.id ?? 0, result }));
  }
  expect(sent).toEqual(order);
});

test("the rest of a cut stream is dialled before those that have waited longer for the same child", () => {
  const { lemond, slot, happen, requestOf } = scene([]);
  for (const id of [1, 2]) happen({ kind: "arrived", request: requestOf(id, slot) });
  for (const id of [3, 4]) happen({ kind: "arrived", request: { ...requestOf(id, slot), isContinuation: true } });
  happen({ kind: "arrived", request: requestOf(5, slot) });
  lemond.loaded = [child];
  const result = { ok: true, reply: { status: 200, text: "{}" }, checkpoint: child.checkpoint } as const;
  const asked = happen({ kind: "loaded", slot: slot.id, job: slot.job?.id ?? 0, result }).find(
    (effect) => effect.do === "ask-child",
  );
  if (asked?.do !== "ask-child") throw new Error("the child is not asked");
  const { question, how } = asked;
  const effects = happen({ kind: "sign", question, child: asked.child.id, how, sign: "ok" });
  const dialled = effects.flatMap((effect) => (effect.do === "dial" ? [effect.request.id] : []));
  expect(dialled).toEqual([3, 4, 1, 2, 5]);
});

describe("a touch", () => {
  const loaded = [childOf("tiny-a", 8001, 2), childOf("tiny-b", 8002, 3)];
  const TOUCH_MS = 20_000;
  const touchesIn = (effects: readonly Effect[]): string[] =>
    effects.flatMap((effect) => (effect.do === "touch" ? [effect.slot.model] : []));

  /** Both slots have a request under way. */
  function inUse() {
    const stage = scene(loaded, ["tiny-a", "tiny-b"], TOUCH_MS);
    for (const [at, model] of ["tiny-a", "tiny-b"].entries())
      stage.happen({ kind: "arrived", request: stage.requestOf(at + 1, stage.slotOf(model)) });
    const look = (nowMs: number): string[] => touchesIn(stage.happen({ kind: "wake" }, nowMs));
    const touched = (model: string, ok: boolean, nowMs: number): string[] =>
      touchesIn(stage.happen({ kind: "touched", slot: stage.slotOf(model).id, ok }, nowMs));
    return { ...stage, look, touched };
  }

  test("is made for one slot at a time, and again only when touch_s is over", () => {
    const { look, touched } = inUse();
    expect(look(2000)).toEqual(["tiny-a"]);
    expect(look(4000)).toEqual([]); // It is under way.
    expect(touched("tiny-a", true, 4000)).toEqual(["tiny-b"]);
    expect(touched("tiny-b", true, 4000)).toEqual([]);
    expect(look(2000 + TOUCH_MS - 1)).toEqual([]);
    expect(look(4000 + TOUCH_MS)).toEqual(["tiny-a"]);
  });

  test("that failed was none: the next listing brings another", () => {
    const { look, touched } = inUse();
    expect(look(2000)).toEqual(["tiny-a"]);
    expect(touched("tiny-a", false, 3000)).toEqual(["tiny-a"]);
  });

  test("waits while a load is under way", () => {
    const { happen, slotOf, requestOf, request } = scene(loaded, ["tiny-a", "tiny-b", "tiny-c"], TOUCH_MS);
    const effects = happen({ kind: "arrived", request: requestOf(3, slotOf("tiny-c")) });
    expect(effects.map((effect) => effect.do)).toContain("load");
    expect(happen({ kind: "arrived", request }).map((effect) => effect.do)).toContain("dial");
    expect(touchesIn(happen({ kind: "wake" }, 2000))).toEqual([]);
  });

  test("is not made for a child that lemond lists no more", () => {
    const { look, lemond } = inUse();
    lemond.loaded = loaded.slice(1);
    expect(look(2000)).toEqual(["tiny-b"]);
  });

  test("is not made for a slot that was not used since the last", () => {
    const { happen } = scene(loaded, ["tiny-a", "tiny-b"], TOUCH_MS);
    expect(touchesIn(happen({ kind: "wake" }, 2000))).toEqual([]);
  });
});

describe("the children that are known", () => {
  /** Open files of processes: one for each child that this process knows. */
  const watched = (): number =>
    readdirSync("/proc/self/fd").filter((fd) => /^\/proc\/\d+\/statm$/.test(linkOf(`/proc/self/fd/${fd}`))).length;

  test.each(["10.6", "11.7"] as const)("are as many as run, however often they change (lemond %s)", async (version) => {
    const before = watched();
    await using stack = await startStack({ lemond: { version }, lemonade: { pollMs: 20 } });
    const act = async (action: string, model: string): Promise<void> => {
      expect((await stack.post(`/api/slots/primary/${action}`, { model })).status).toBe(200);
    };
    for (const model of ["tiny-b", "tiny-a"]) {
      await act("restart", model);
      // Dead and, on 10.6, still listed: the swap finds no child of its own.
      await stack.child((await stack.slot()).model).kill();
      await stack.slotIs(({ state }) => state === "offline");
      await act("swap", model);
      await act("unload", model);
      await act("load", model);
    }
    expect(watched() - before).toBe(1);
  });
});

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // Closed meanwhile.
  }
}
