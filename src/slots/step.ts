// The one function that changes what is known of a lemond and its slots: what happened → what is to be done. Without I/O, and
// with time as an argument, so that test/model explores this very function. It changes `known` in place. The caller carries
// out the returned effects in order; each answer comes back as an event with the question's number.
import { check, wasBlocked, weigh } from "./check.ts";
import { childOf, disown, examined, observe, portRefused, serveByName, suspectAll } from "./children.ts";
import { answerLate } from "./held.ts";
import { askAbout, askLemond, tellOrder } from "./jobs.ts";
import type { Effect, Event, Move } from "./events.ts";
import type { Job, Known, Settings, SlotRecord } from "./known.ts";
import { beginLoad, loaded, noteUnload, readBack, warm } from "./loads.ts";
import { drain, takeDown, takenDown, takeOrder, unloadedByOrder } from "./orders.ts";
import { arrive, decideHeld, end, interrupt, loading, lose } from "./requests.ts";
import { configure, forgetIfDone, needsNoLoad, slotOfModel } from "./roster.ts";
import { all, createTable, found } from "./table.ts";
import { awaitNewcomer, awaitRoom } from "./turns.ts";
import { keep, poll, restIfQuiet, touched, touchOne } from "./upkeep.ts";

export function createKnown(settings: Settings, nowMs: number): Known {
  return {
    nowMs,
    lastId: 0,
    settings,
    isUp: null,
    listing: null,
    models: {},
    slots: new Map(),
    children: new Map(),
    requests: createTable(),
    turn: null,
    turnEndedMs: -Infinity,
    queue: [],
    pollDueMs: nowMs,
    pollQuestion: null,
    silentSinceMs: null,
    isDraining: false,
    isStopping: false,
  };
}

export function step(known: Known, event: Event, nowMs: number): Effect[] {
  known.nowMs = nowMs;
  const move: Move = { known, effects: [], dirty: [] };
  take(move, event);
  for (let slot = move.dirty.shift(); slot; slot = move.dirty.shift()) {
    if (slot.job) advance(move, slot, slot.job);
    if (!slot.job) keep(move, slot);
    if (!slot.job || slot.job.order) decideHeld(move, slot);
    forgetIfDone(move, slot);
  }
  return move.effects;
}

function take(move: Move, event: Event): void {
  const { known } = move;
  switch (event.kind) {
    case "arrived":
      return arrive(move, event.request);
    case "ended":
    case "left":
    case "broken":
    case "lost":
    case "still-loading":
      return takeRequest(move, event);
    case "health":
      return takeHealth(move, event);
    case "sign": {
      const child = known.children.get(event.child);
      if (child?.examination === event.question) return examined(move, child, event.how, event.sign);
      for (const slot of known.slots.values())
        if (slot.job?.question === event.question) takeSign(move, slot, slot.job, event.sign);
      return;
    }
    case "port-refused": {
      const child = childOf(move, event.child);
      return child ? portRefused(move, child) : undefined;
    }
    case "unloaded":
    case "loaded": {
      const slot = known.slots.get(event.slot);
      return slot?.job?.id === event.job ? takeResult(move, slot, slot.job, event) : undefined;
    }
    case "touched":
      touched(move, known.slots.get(event.slot), event.ok);
      return poll(move, true);
    case "ordered": {
      const slot = known.slots.get(event.slot);
      return slot ? takeOrder(move, slot, event.order, event.action, event.model, event.forward) : undefined;
    }
    case "configured":
      return configure(move, event.settings, event.slots);
    case "named":
      return void slotOfModel(move, event.model);
    case "models":
      known.models = event.models;
      disown(move);
      for (const slot of known.slots.values()) if (!slot.job && needsNoLoad(known, slot)) serveByName(move, slot);
      return;
    case "draining":
      known.isDraining = true;
      return;
    case "stopping":
      known.isStopping = true;
      for (const request of all(known.requests))
        if (request.child !== null) move.effects.push({ do: "cut", request: request.id, cause: "stopping" });
      for (const slot of known.slots.values()) {
        decideHeld(move, slot);
        if (slot.job?.order) tellOrder(move, slot.job.order, { code: "draining" });
      }
      return;
    case "wake":
      poll(move);
      for (const slot of known.slots.values()) {
        if (slot.job || slot.config.keep) move.dirty.push(slot);
        answerLate(move, slot);
      }
  }
}

function takeRequest(move: Move, event: Extract<Event, { readonly request: number }>): void {
  const request = found(move.known.requests, event.request);
  if (!request) return; // Answered in the same moment.
  switch (event.kind) {
    case "ended":
    case "left":
      return end(move, request);
    case "broken":
      return interrupt(move, request, event.cause);
    case "lost":
      return lose(move, request, event.lost);
    case "still-loading":
      return loading(move, request);
  }
}

function takeHealth(move: Move, event: Extract<Event, { kind: "health" }>): void {
  const { known } = move;
  const { answer, gone, question } = event;
  noteReach(move, event);
  const tookMs = timeToAnswer(known, event);
  if (question === known.pollQuestion) {
    known.pollQuestion = null;
    known.pollDueMs = known.nowMs + known.settings.pollMs;
  }
  if (answer.kind === "listing" && answer.askedAt > (known.listing?.askedAt ?? -1)) {
    known.listing = answer;
    if (known.settings.autoSlots) for (const { model } of answer.loaded) slotOfModel(move, model);
    observe(move, answer, gone, wasBlocked(known, null, answer, tookMs));
  } else if (answer.kind === "refused") suspectAll(move, gone);
  for (const slot of known.slots.values()) {
    restIfQuiet(move, slot);
    if (slot.config.keep) move.dirty.push(slot);
    const { job } = slot;
    if (job?.question !== question) continue;
    job.question = null;
    move.dirty.push(slot);
    if (job.stage === "checking") weigh(move, slot, job, answer, tookMs);
    else if (job.stage === "newcomer") awaitNewcomer(move, slot, job);
    else if (job.order?.isTakingDown) takenDown(move, slot, job, job.order);
    else readBack(move, slot, job, answer, wasBlocked(known, slot, answer, event.tookMs));
  }
  if (answer.kind === "listing") touchOne(move, gone);
}

/** A question that got no answer counts from when it was asked: the next one may come to a health that is free again. */
function timeToAnswer(known: Known, { answer, tookMs }: Extract<Event, { kind: "health" }>): number {
  const sinceMs = Math.min(known.silentSinceMs ?? Infinity, known.nowMs - tookMs);
  known.silentSinceMs = answer.kind === "silent" ? sinceMs : null;
  return known.nowMs - sinceMs;
}

/** A lemond that answers /live but not /health is busy with an unload, not down. */
function noteReach(move: Move, { answer, isLive }: Extract<Event, { kind: "health" }>): void {
  const { known } = move;
  const isUp = answer.kind === "listing" || (answer.kind === "silent" && isLive);
  if (isUp === known.isUp) return;
  const url = known.settings.lemondUrl;
  const error = "cause" in answer ? answer.cause : "connection refused";
  const tell = { do: "log", request: null } as const;
  if (!isUp) move.effects.push({ ...tell, level: "warn", event: "lemonade.unreachable", fields: { url, error } });
  else if (known.isUp === false) move.effects.push({ ...tell, level: "info", event: "lemonade.back", fields: { url } });
  known.isUp = isUp;
  if (isUp) move.effects.push({ do: "ask-models" });
}

function takeSign(move: Move, slot: SlotRecord, job: Job, sign: Extract<Event, { kind: "sign" }>["sign"]): void {
  job.question = null;
  move.dirty.push(slot);
  if (job.stage === "warming") warm(move, slot, job, sign);
  else job.child = sign;
}

function takeResult(
  move: Move,
  slot: SlotRecord,
  job: Job,
  { kind, result }: Extract<Event, { kind: "unloaded" | "loaded" }>,
): void {
  move.dirty.push(slot);
  if (kind === "loaded") return loaded(move, slot, job, result);
  if (job.order?.isTakingDown) return unloadedByOrder(move, slot, job, result);
  noteUnload(move, slot, job, result);
  beginLoad(move, slot, job);
}

/** Advances the job until it needs an answer. */
function advance(move: Move, slot: SlotRecord, job: Job): void {
  if (job.question !== null) return;
  const isDue = job.againMs <= move.known.nowMs;
  switch (job.stage) {
    case "draining":
      return job.order ? drain(move, slot, job, job.order) : undefined;
    case "checking":
      if (!isDue) return;
      return job.order?.isTakingDown ? takeDown(move, slot, job, job.order) : check(move, slot, job);
    case "room":
      return awaitRoom(move, slot, job);
    case "newcomer":
    case "reading back":
      return isDue ? askLemond(move, job) : undefined;
    case "warming":
      return isDue ? askAbout(move, slot, job, job.fresh?.child ?? null) : undefined;
    case "turn":
    case "unloading":
    case "loading":
      return; // It goes on when the answer comes.
  }
}
