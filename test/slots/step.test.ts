// What the one function says of time and of what it holds: when it must be woken, and which children it still knows.
import { describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { slotDefaults } from "../../src/config/config.ts";
import type { HealthAnswer, LoadedModel } from "../../src/lemonade/lemonade.ts";
import type { Effect, Event } from "../../src/slots/known.ts";
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

/** One slot, whose lemond answers each question at once with what is loaded. */
function scene(loaded: readonly LoadedModel[]) {
  const known = createKnown(settings, 0);
  const happen = (event: Event, nowMs = 10): Effect[] => {
    const effects = step(known, event, nowMs);
    return effects.flatMap((effect) => {
      if (effect.do !== "ask-lemond") return [effect];
      const answer: HealthAnswer = { ...nothing, loaded, askedAt: effect.question };
      return happen({ kind: "health", question: effect.question, answer, isLive: true, tookMs: 1, gone: [] }, nowMs);
    });
  };
  happen({ kind: "configured", settings, slots: [{ ...slotDefaults, name: "primary", model: "tiny-a" }] });
  happen({ kind: "wake" });
  const [slot] = known.slots.values();
  if (!slot) throw new Error("no slot");
  const rest = { slot: slot.id, bodyBytes: 0, isContinuation: false, model: null, mayDial: true };
  return { known, slot, happen, request: { id: 1, name: "r", ...rest } };
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
