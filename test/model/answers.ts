// The answers that lemond and its children may give: each outcome of each question is a kind of move, where the budget allows it.
import type { Done } from "../../src/lemonade/lemonade.ts";
import type { HealthAnswer } from "../../src/lemonade/listing.ts";
import type { ChildQuestion } from "../../src/slots/events.ts";
import type { Child } from "../../src/slots/known.ts";
import { forgetSent, happen, mayPass, passUntil, SILENCE_MS } from "./happen.ts";
import {
  checkpointOf,
  type Health,
  isAlive,
  type Lemond,
  evictAll,
  listedOf,
  listing,
  remove,
  serverOf,
  start,
  touch,
  urlOf,
} from "./lemond.ts";
import type { Kind } from "./moves.ts";
import { type Budget, type Pending, replaced, type World } from "./world.ts";

const NOT_LOADED: Done = { ok: false, status: 404, error: "Model not loaded", reply: null };
const FAILED: Done = { ok: false, status: 500, error: "it failed", reply: null };
const AWAY: Done = { ok: false, status: null, error: "ECONNREFUSED", reply: null };
const done = (model: string): Done => ({
  ok: true,
  reply: { status: 200, text: "{}" },
  checkpoint: checkpointOf(model),
});

type Of<K extends Pending["kind"]> = Extract<Pending, { kind: K }>;

/** An answer to one kind of question, which may be given while `isFit`. */
function answer<K extends Pending["kind"]>(
  words: string,
  kind: K,
  isFit: (world: World, pending: Of<K>) => boolean,
  give: (world: World, pending: Of<K>) => void,
  trouble: keyof Budget | null = null,
): Kind {
  const isOf = (pending: Pending | undefined): pending is Of<K> => pending?.kind === kind;
  return {
    words,
    targets: (world) => {
      if (trouble !== null && world.budget[trouble] === 0) return [];
      return world.pending.flatMap((pending, at) => (isOf(pending) && isFit(world, pending) ? [at] : []));
    },
    make: (world, at) => {
      const pending = world.pending[at];
      if (!isOf(pending)) return;
      if (trouble !== null) world.budget[trouble]--;
      world.pending = world.pending.toSpliced(at, 1);
      give(world, pending);
    },
  };
}

/** Health is blocked while lemond unloads; between an eviction and the newcomer it lists neither. */
const isBlocked = ({ pending }: World): boolean => pending.some(({ kind }) => kind === "unload");

/** Children whose process is seen to have ended. */
function gone({ known, lemond, scenario }: World): number[] {
  if (!scenario.arePidsVisible) return [];
  return [...known.children.values()].flatMap((child) => (isSeen(lemond, child) ? [] : [child.id]));
}

/** One that lemond evicts lives until we hang up: its port refuses, and its process is there. */
const isSeen = (lemond: Lemond, { pid, attempts }: Child): boolean =>
  isAlive(lemond, pid) || (attempts > 0 && pid !== null && lemond.hanging.includes(pid));

function say(world: World, { question, askedMs }: Of<"health">, answer: HealthAnswer): void {
  const isLive = world.lemond.isUp;
  if (answer.kind !== "listing") world.awayMs = world.nowMs;
  happen(world, { kind: "health", question, answer, isLive, tookMs: world.nowMs - askedMs, gone: gone(world) });
}

const isUp = ({ lemond }: World): boolean => lemond.isUp;
const isDown = ({ lemond }: World): boolean => !lemond.isUp;

const health: readonly Kind[] = [
  answer(
    "lemond lists its models",
    "health",
    (world, { answered }) => answered !== null || (isUp(world) && !isBlocked(world)),
    (world, asked) => say(world, asked, asked.answered ?? listing(world.lemond, asked.question)),
  ),
  answer("lemond refuses connections", "health", isDown, (world, asked) => say(world, asked, { kind: "refused" })),
  answer(
    "lemond does not answer for 3 s",
    "health",
    (world, { askedMs }) => isUp(world) && mayPass(world, askedMs + SILENCE_MS),
    (world, asked) => {
      world.awayMs = world.nowMs;
      passUntil(world, asked.askedMs + SILENCE_MS);
      say(world, asked, { kind: "silent", cause: "no answer in time" });
    },
    "silences",
  ),
  answer("lemond denies access", "health", isUp, (world, asked) => say(world, asked, DENIED), "denials"),
  {
    words: "lemond has answered, and the answer is on its way",
    targets: (world) =>
      world.budget.lateAnswers > 0 && isUp(world) && !isBlocked(world)
        ? world.pending.flatMap((pending, at) => (pending.kind === "health" && !pending.answered ? [at] : []))
        : [],
    make: (world, at) => {
      const pending = world.pending[at];
      if (pending?.kind !== "health") return;
      world.budget.lateAnswers--;
      const answered = listing(world.lemond, pending.question);
      world.pending = replaced(world.pending, at, { ...pending, answered });
    },
  },
];
const DENIED: HealthAnswer = { kind: "denied", cause: "wrong key" };

const children: readonly Kind[] = [
  answer(
    "the child says how it is",
    "sign",
    () => true,
    (world, { question, child, how }) =>
      happen(world, { kind: "sign", question, child, how, sign: signOf(world, child, how) }),
  ),
  answer(
    "the child does not answer for 3 s",
    "sign",
    (world, { child, how, askedMs }) =>
      how !== "pid" && mayPass(world, askedMs + SILENCE_MS) && ["ok", "loading"].includes(signOf(world, child, how)),
    (world, { question, child, how, askedMs }) => {
      passUntil(world, askedMs + SILENCE_MS);
      happen(world, { kind: "sign", question, child, how, sign: "silent" });
    },
    "busy",
  ),
];

function signOf({ known, lemond, scenario }: World, id: number, how: ChildQuestion) {
  const child = known.children.get(id);
  if (!child) return "gone"; // Nobody asks for it any more.
  if (scenario.arePidsVisible && !isSeen(lemond, child)) return "gone";
  if (how === "pid") return "silent";
  const server = serverOf(lemond, child, scenario.arePidsVisible);
  if (!server) return lemond.processes.some((process) => urlOf(process) === child.url) ? "stranger" : "refused";
  const signs = { running: "ok", loading: "loading", wedged: how === "port" ? "ok" : "silent" } as const;
  return signs[server.health];
}

const unloads: readonly Kind[] = [
  answer("lemond has unloaded", "unload", isUp, unloadIt),
  answer("the unload fails", "unload", isUp, (world, asked) => unloaded(world, asked, FAILED), "unloadFailures"),
  answer("the unload is lost with lemond", "unload", isDown, (world, asked) => unloaded(world, asked, AWAY)),
];

const loads: readonly Kind[] = [
  answer("lemond has loaded", "load", isReady, (world, asked) => bring(world, asked, "running")),
  answer(
    "lemond has loaded, and the child still loads",
    "load",
    (world, asked) => isReady(world, asked) && !listedOf(world.lemond, asked.model),
    (world, asked) => bring(world, asked, "loading"),
    "slowLoads",
  ),
  answer(
    "the load fails, and every other model is evicted",
    "load",
    (world, asked) => isReady(world, asked) && !listedOf(world.lemond, asked.model),
    (world, asked) => {
      forgetSent(world, [...evictAll(world.lemond), asked]);
      loaded(world, asked, FAILED);
    },
    "loadFailures",
  ),
  answer("the load is lost with lemond", "load", isDown, (world, asked) => {
    forgetSent(world, [asked]);
    loaded(world, asked, AWAY);
  }),
];

const touches: readonly Kind[] = [
  answer("lemond has renewed the use", "touch", isUp, (world, { slot, model }) => {
    touch(world.lemond, model);
    happen(world, { kind: "touched", slot, ok: true });
  }),
  answer(
    "the touch fails",
    "touch",
    () => true,
    (world, { slot }) => happen(world, { kind: "touched", slot, ok: false }),
    "touchFailures",
  ),
  answer("the touch is lost with lemond", "touch", isDown, (world, { slot }) =>
    happen(world, { kind: "touched", slot, ok: false }),
  ),
];

function isReady({ lemond }: World, { isBegun }: Of<"load">): boolean {
  return lemond.isUp && isBegun;
}

function bring(world: World, asked: Of<"load">, health: Health): void {
  const listed = listedOf(world.lemond, asked.model);
  if (listed && asked.isAnew && isAlive(world.lemond, listed.pid)) remove(world.lemond, listed);
  // One that is listed is touched, also if it is dead: nothing is started.
  if (!touch(world.lemond, asked.model)) start(world.lemond, asked.model, health);
  forgetSent(world, [asked]);
  loaded(world, asked, done(asked.model));
}

function unloadIt(world: World, asked: Of<"unload">): void {
  const listed = listedOf(world.lemond, asked.model);
  if (!listed) return unloaded(world, asked, NOT_LOADED);
  if (isAlive(world.lemond, listed.pid)) forgetSent(world, [listed]);
  remove(world.lemond, listed);
  unloaded(world, asked, done(asked.model));
}

const unloaded = (world: World, { slot, job }: Of<"unload">, result: Done): void =>
  happen(world, { kind: "unloaded", slot, job, result });

function loaded(world: World, { slot, job }: Of<"load">, result: Done): void {
  if (!result.ok) world.failedMs = { ...world.failedMs, [slot]: world.nowMs };
  happen(world, { kind: "loaded", slot, job, result });
}

export const answers: readonly Kind[] = [...health, ...children, ...unloads, ...loads, ...touches];
