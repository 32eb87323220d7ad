// Visits every world that can be reached within so many moves, the nearest first, and stops at the first law that is broken: what
// it tells is the shortest run that leads there.
import { createKnown } from "../../src/slots/step.ts";
import { happen } from "./happen.ts";
import { keyOf } from "./key.ts";
import { brokenIn } from "./laws-of-states.ts";
import { createLemond, listing, start } from "./lemond.ts";
import { type Move, movesOf } from "./moves.ts";
import { endOf } from "./settle.ts";
import { cloneWorld, type Scenario, type World } from "./world.ts";

export interface Explored {
  readonly states: number;
  /** Nothing is left to be visited: the scenario is known whole. */
  readonly isWhole: boolean;
  /** Worlds that were followed to their end. */
  readonly ends: number;
  readonly broken: { readonly law: string; readonly run: readonly string[] } | null;
}

/** One of so many new worlds is followed until everything is over. */
const ENDED_EVERY = 40;

interface Run {
  readonly move: Move;
  readonly before: Run | null;
}

export function explore(scenario: Scenario): Explored {
  const seen = new Set<bigint | number>();
  let frontier: { readonly world: World; readonly run: Run | null }[] = [{ world: startOf(scenario), run: null }];
  let ends = 0;
  for (let depth = 0; frontier.length > 0 && depth < scenario.depth; depth++) {
    const next: typeof frontier = [];
    for (const { world, run: before } of frontier)
      for (const move of movesOf(world)) {
        const after = made(world, move);
        const run: Run = { move, before };
        const found = (law: string, end: readonly Move[] = []): Explored => {
          const broken = { law, run: wordsOf(scenario, [...movesIn(run), ...end]) };
          return { states: seen.size, isWhole: false, ends, broken };
        };
        const law = after.broken[0] ?? brokenIn(after);
        if (law) return found(law);
        const key = Bun.hash(keyOf(after));
        if (seen.has(key)) continue;
        seen.add(key);
        next.push({ world: after, run });
        if (seen.size % ENDED_EVERY !== 0) continue;
        const end = endOf(cloneWorld(after));
        if (end.broken) return found(end.broken, end.moves);
        ends++;
      }
    frontier = next;
  }
  return { states: seen.size, isWhole: frontier.length === 0, ends, broken: null };
}

/** One run of `length` moves, each drawn at random, and what becomes of it. The same seed gives the same run. */
export function runAtRandom(scenario: Scenario, seed: number, length: number): Explored["broken"] {
  const random = randomOf(seed);
  const world = startOf(scenario);
  const run: Move[] = [];
  while (run.length < length) {
    const moves = movesOf(world);
    const move = moves[Math.floor(random() * moves.length)];
    if (!move) break;
    move.kind.make(world, move.target);
    run.push(move);
    const law = world.broken[0] ?? brokenIn(world);
    if (law) return { law, run: wordsOf(scenario, run) };
  }
  const end = endOf(world);
  return end.broken === null ? null : { law: end.broken, run: wordsOf(scenario, [...run, ...end.moves]) };
}

/** mulberry32: 0 to 1. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function made(world: World, { kind, target }: Move): World {
  const after = cloneWorld(world);
  kind.make(after, target);
  return after;
}

function movesIn(last: Run): Move[] {
  const moves: Move[] = [];
  for (let run: Run | null = last; run; run = run.before) moves.unshift(run.move);
  return moves;
}

/** One line a move: when, what, and how the slots stand then. */
function wordsOf(scenario: Scenario, moves: readonly Move[]): string[] {
  const world = startOf(scenario);
  return moves.map(({ kind, target }) => {
    const what = `${kind.words}${target > 0 ? ` ${target}` : ""}`;
    kind.make(world, target);
    const slots = [...world.known.slots.values()].map(
      ({ name, state, child, job, held }) =>
        `${name} is ${state}${child === null ? "" : ` with child ${child}`}${job ? `, ${job.stage}` : ""}${held.length > 0 ? `, holds ${held.join(" and ")}` : ""}`,
    );
    return `${world.nowMs} ms: ${what}; ${slots.join("; ")}`;
  });
}

const LLM = { type: "llm", recipe: "llamacpp" };

function startOf(scenario: Scenario): World {
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
