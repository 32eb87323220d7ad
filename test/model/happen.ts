// One event given to the real step(), and its effects carried out against the lemond of the exploration.
import type { Effect, Event } from "../../src/slots/events.ts";
import { step } from "../../src/slots/step.ts";
import { wakeAt } from "../../src/slots/upkeep.ts";
import { makeRoom, type Process } from "./lemond.ts";
import { isFull, judgeChanges, judgeEffect, noteContest, standing } from "./laws-of-steps.ts";
import { type Pending, replaced, type World } from "./world.ts";
import { found } from "../../src/slots/table.ts";

/** Timers ring on this grid: fewer moments, and a wake that comes a little late. */
export const GRID_MS = 1000;

export function happen(world: World, event: Event): void {
  const events: Event[] = [event];
  for (let next = events.shift(); next; next = events.shift()) {
    const before = standing(world);
    noteContest(world, next);
    const effects = step(world.known, next, world.nowMs);
    for (const effect of effects) {
      judgeEffect(world, before, next, effect);
      carryOut(world, effect, events);
    }
    judgeChanges(world, before);
  }
  beginLoad(world);
}

/** The next moment at which a timer rings. */
export function nextWakeMs({ known, nowMs }: World): number {
  return Math.max(nowMs, Math.ceil(wakeAt(known) / GRID_MS) * GRID_MS);
}

/** No question stays without an answer for longer. */
export const SILENCE_MS = 3000;

/** Whether all that is asked may still be answered then. */
export const mayPass = ({ pending }: World, atMs: number): boolean =>
  pending.every((one) => !("askedMs" in one) || atMs <= one.askedMs + SILENCE_MS);

/** The clock goes on, and timers ring on the way. */
export function passUntil(world: World, untilMs: number): void {
  for (let atMs = nextWakeMs(world); atMs < untilMs; atMs = nextWakeMs(world)) {
    const before = world.nowMs;
    wake(world, atMs);
    if (world.nowMs === before && nextWakeMs(world) === atMs) break;
  }
  world.nowMs = Math.max(world.nowMs, untilMs);
}

export function wake(world: World, atMs: number): void {
  world.nowMs = atMs;
  happen(world, { kind: "wake" });
}

function carryOut(world: World, effect: Effect, events: Event[]): void {
  if (world.isStopped && effect.do !== "answer" && effect.do !== "cut") return;
  switch (effect.do) {
    case "dial":
      world.attempts.set(effect.request.id, false);
      world.dials = replaced(world.dials, effect.request.id, (world.dials[effect.request.id] ?? 0) + 1);
      return;
    case "answer":
      world.requests = replaced(world.requests, effect.request.id, "done");
      return;
    case "cut": {
      const { request, cause } = effect;
      const isStreaming = world.attempts.get(request);
      if (isStreaming === undefined) return;
      if (isStreaming) noteCut(world, request);
      over(world, request, isStreaming);
      if (isStreaming) events.push({ kind: "broken", request, cause });
      else events.push({ kind: "lost", request, lost: { kind: "lost", error: "RemoteProtocolError", cause } });
      return;
    }
    case "ask-lemond":
      return expect(world, { kind: "health", question: effect.question, askedMs: world.nowMs, answered: null });
    case "ask-child":
      return expect(world, {
        kind: "sign",
        question: effect.question,
        child: effect.child.id,
        how: effect.how,
        askedMs: world.nowMs,
      });
    case "unload": {
      const { slot, job } = effect;
      return expect(world, { kind: "unload", slot: slot.id, job: job.id, model: slot.model });
    }
    case "load": {
      const { slot, job } = effect;
      const isAnew = (job.order?.forward ?? null) !== null;
      const isEvicting = isFull(world.known, slot.model);
      return expect(world, {
        kind: "load",
        slot: slot.id,
        job: job.id,
        model: slot.model,
        isBegun: false,
        isEvicting,
        isAnew,
      });
    }
    case "touch":
      return expect(world, { kind: "touch", slot: effect.slot.id, model: effect.model });
    case "tell-order":
      world.orders = replaced(world.orders, effect.order, "done");
      return;
    case "tell-job":
    case "tell-loss":
    case "tell-state":
    case "log":
    case "open":
    case "forget":
    case "forget-slot":
      return; // Told, and of no consequence.
  }
}

function expect(world: World, pending: Pending): void {
  world.pending = [...world.pending, pending];
}

/** Its stream was cut, and may be continued at the same slot. */
export function noteCut({ known, cut }: World, request: number): void {
  const slot = found(known.requests, request)?.slot;
  if (slot) cut.set(request, slot);
}

/** The attempt is over. `isDone`: and with it the request. */
export function over(world: World, request: number, isDone: boolean): void {
  world.attempts.delete(request);
  if (isDone) world.requests = replaced(world.requests, request, "done");
}

/** lemond does one thing at a time; what a load evicts is gone when it begins. */
function beginLoad(world: World): void {
  const { lemond, pending } = world;
  if (!lemond.isUp || lemond.visitor === "coming") return;
  const at = pending.findIndex((one) => one.kind === "load" && !one.isBegun);
  const load = pending[at];
  if (load?.kind !== "load") return;
  world.pending = replaced(pending, at, { ...load, isBegun: true });
  forgetSent(world, makeRoom(lemond, load.model));
}

/** What is sent for a model is counted anew when it has been loaded or lost. */
export function forgetSent(world: World, processes: readonly Pick<Process, "model">[]): void {
  if (processes.length === 0) return;
  const sent = { ...world.sent };
  for (const { model } of processes) delete sent[model];
  world.sent = sent;
}
