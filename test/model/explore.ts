// Visits every world that can be reached within so many moves, the nearest first, and stops at the first law that is broken: what
// it tells is the shortest run that leads there.
import { slotDefaults } from "../../src/config/config.ts";
import { createKnown } from "../../src/slots/step.ts";
import { happen } from "./happen.ts";
import { keyOf } from "./key.ts";
import { brokenIn } from "./laws-of-states.ts";
import { createLemond, listing, start } from "./lemond.ts";
import { type Move, movesOf } from "./moves.ts";
import { cloneWorld, type Scenario, type World } from "./world.ts";

export interface Explored {
  readonly states: number;
  /** Worlds in which nothing can happen any more. */
  readonly ends: number;
  readonly depth: number;
  readonly broken: { readonly law: string; readonly run: readonly string[] } | null;
}

interface Node {
  readonly world: World;
  readonly depth: number;
  /** How it came about: the last move first. */
  readonly trace: Trace | null;
}

interface Trace {
  readonly move: Move;
  readonly before: Trace | null;
}

export function explore(scenario: Scenario): Explored {
  const seen = new Set<bigint | number>();
  let frontier: Node[] = [{ world: startOf(scenario), depth: 0, trace: null }];
  let ends = 0;
  let depth = 0;
  for (; frontier.length > 0 && depth < scenario.depth; depth++) {
    const next: Node[] = [];
    for (const { world, trace } of frontier) {
      const moves = movesOf(world);
      if (moves.length === 0) ends++;
      for (const move of moves) {
        const after = made(world, move);
        const law = after.broken[0] ?? brokenIn(after);
        const run: Trace = { move, before: trace };
        if (law) return { states: seen.size, ends, depth, broken: { law, run: wordsOf(scenario, run) } };
        const key = Bun.hash(keyOf(after));
        if (seen.has(key)) continue;
        seen.add(key);
        next.push({ world: after, depth: depth + 1, trace: run });
      }
    }
    frontier = next;
  }
  return { states: seen.size, ends, depth, broken: null };
}

export function made(world: World, { kind, target }: Move): World {
  const after = cloneWorld(world);
  kind.make(after, target);
  return after;
}

function wordsOf(scenario: Scenario, last: Trace): string[] {
  const moves: Move[] = [];
  for (let trace: Trace | null = last; trace; trace = trace.before) moves.unshift(trace.move);
  return describeRun(scenario, moves);
}

export function describeRun(scenario: Scenario, moves: readonly Move[]): string[] {
  let world = startOf(scenario);
  return moves.map((move) => {
    const { kind, target } = move;
    const pending = world.pending[target];
    world = made(world, move);
    const slots = [...world.known.slots.values()].map(
      ({ name, state, child, job, held }) =>
        `${name} ${state} child ${child ?? "none"}${job ? ` (${job.stage})` : ""}${held.length > 0 ? ` holds ${held.join(" and ")}` : ""}`,
    );
    return `${world.nowMs} ms: ${kind.words} ${target} ${pending ? JSON.stringify(pending) : ""} → ${slots.join(", ")}`;
  });
}

const LLM = { type: "llm", recipe: "llamacpp" };

export function startOf(scenario: Scenario): World {
  const { slots, settings, models, loaded, room, isNoticing, requests, orders, budget } = scenario;
  const lemond = createLemond(room, isNoticing);
  for (const model of loaded) start(lemond, model, "running");
  const world: World = {
    scenario,
    nowMs: 0,
    known: createKnown(settings, 0),
    lemond,
    pending: [],
    attempts: new Map(),
    budget: { ...budget },
    cut: new Map(),
    // By number, from 1.
    asked: [{ slot: "" }, ...requests],
    requests: ["done", ...requests.map(() => "out" as const)],
    dials: [0, ...requests.map(() => 0)],
    orders: ["done", ...orders.map(() => "out" as const)],
    ordered: {},
    sent: {},
    awayMs: -1_000_000,
    leftMs: -Infinity,
    failedMs: {},
    contested: {},
    isDraining: false,
    isStopped: false,
    isEnded: false,
    broken: [],
  };
  happen(world, { kind: "configured", settings, slots });
  happen(world, { kind: "models", models: Object.fromEntries(models.map((model) => [model, LLM])) });
  happen(world, { kind: "wake" });
  const [asked] = world.pending;
  if (asked?.kind !== "health") throw new Error("lemond is not asked at the start");
  world.pending = [];
  const answer = listing(lemond, asked.question);
  happen(world, { kind: "health", question: asked.question, answer, isLive: true, tookMs: 0, gone: [] });
  return world;
}

export const slotOf = (name: string, model: string, more: Partial<Scenario["slots"][number]> = {}) => ({
  ...slotDefaults,
  name,
  model,
  holdMs: 8000,
  idleAfterMs: 1e9,
  ...more,
});
