// The requests of a slot: which are dialled, which wait, and what follows a lost connection. At most two attempts each.
import type { LossCause, Lost } from "../dispatch/attempt.ts";
import { childOf, followUse, forgetUnused, isDialled, isSharedUrl } from "./children.ts";
import type { JobEnd, Move, NewRequest } from "./events.ts";
import { loadingFailure, lostFailure } from "./failures.ts";
import { answer, hold, unhold } from "./held.ts";
import { startJob } from "./jobs.ts";
import type { Child, Known, Request, SlotRecord } from "./known.ts";
import { type Way, wayOf } from "./repair.ts";
import { actingOn, isSameModel, isShown, wantedModel } from "./roster.ts";
import { found, put, remove } from "./table.ts";

export function arrive(move: Move, asked: NewRequest): void {
  const { known } = move;
  const slot = known.slots.get(asked.slot);
  const { id, name, bodyBytes, isContinuation, mayDial } = asked;
  const request: Request = {
    id,
    name,
    slot: asked.slot,
    bodyBytes,
    isContinuation,
    mayDial,
    model: slot && asked.model !== null && isModelOf(known, slot, asked.model) ? asked.model : null,
    isDirect: false,
    child: null,
    generation: 0,
    attempts: 0,
    heldUntilMs: 0,
    heldSinceMs: 0,
    waitedMs: 0,
    loss: null,
    label: null,
  };
  if (!slot) return void move.effects.push({ do: "answer", request, failure: { kind: "elsewhere" } });
  put(known.requests, request.id, request);
  decide(move, slot, request);
}

const isModelOf = (known: Known, slot: SlotRecord, name: string): boolean =>
  isSameModel(known, slot.model, name) || isSameModel(known, wantedModel(slot), name);

/** Decides what is next for a request that has no attempt under way. */
function decide(move: Move, slot: SlotRecord, request: Request): void {
  const { loss } = request;
  if (move.known.isStopping) return answer(move, slot, request, { kind: "draining" });
  const acting = actingOn(move.known, slot);
  const { model } = request;
  if (!acting && model !== null && !isSameModel(move.known, slot.model, model))
    return answer(move, slot, request, { kind: "elsewhere" });
  const child = childOf(move, slot.child);
  const way = wayOf({
    operatorActing: acting !== null,
    isLost: loss !== null && !loss.isRepaired,
    movedOn: loss !== null && slot.generation > loss.generation,
    jobUnderWay: slot.job !== null,
    hasChild: child !== null,
    backsOff: slot.backOff.untilMs > move.known.nowMs,
    isClaimed: child !== null && move.known.turn?.claim === child.type,
  });
  follow(move, slot, request, child, way);
}

function follow(move: Move, slot: SlotRecord, request: Request, child: Child | null, way: Way): void {
  switch (way) {
    case "gate":
      if (slot.config.gate === "reject") {
        const acting = actingOn(move.known, slot) ?? slot;
        return answer(move, slot, request, loadingFailure(move.known, acting));
      }
      return hold(move, slot, request);
    case "retarget":
    case "dial":
      if (way === "retarget") request.label = "retargeted";
      return child ? dial(move, slot, request, child) : undefined;
    case "join":
    case "wait":
      return hold(move, slot, request);
    case "back-off":
      move.effects.push({ do: "tell-job", end: backedOff(slot, request) });
      return answer(move, slot, request, lostFailure(move.known, slot, request, "backed_off", slot.lastError));
    case "repair":
      hold(move, slot, request);
      if (!found(move.known.requests, request.id)) return; // Too many wait.
      return startJob(move, slot, {
        isOnDemand: request.loss === null,
        cause: request.loss?.lost.cause ?? "evicted",
        request: request.name,
        // lemond itself has said that the child is lost.
        child: request.loss?.lost.cause === "lost by lemond" ? "refused" : "unasked",
      });
  }
}

function dial(move: Move, slot: SlotRecord, request: Request, child: Child): void {
  unhold(move, slot, request);
  request.child = child.id;
  request.generation = slot.generation;
  request.attempts++;
  request.isDirect = request.mayDial && isDialled(slot, child);
  child.attempts++;
  slot.inFlight++;
  slot.isUsedSinceTouch = true;
  followUse(move, slot);
  move.effects.push({ do: "dial", request, slot, child, isShared: isSharedUrl(move, child.url) });
}

/** Decides about all that wait: the rest of cut streams first, or they would queue behind every prefill. */
export function decideHeld(move: Move, slot: SlotRecord): void {
  const held = slot.held.flatMap((id) => found(move.known.requests, id) ?? []);
  for (const isFirst of [true, false])
    for (const request of held) if (request.isContinuation === isFirst) decide(move, slot, request);
}

/** What a stopping server waits for: requests, held ones too, and operators' orders. */
export function underWay({ requests, slots }: Known): number {
  let orders = 0;
  for (const { job } of slots.values()) if (job?.order) orders++;
  return requests.size + orders;
}

/** The attempt is over; the request may go on. */
function land(move: Move, request: Request): SlotRecord | undefined {
  const child = childOf(move, request.child);
  const slot = move.known.slots.get(request.slot);
  if (child) child.attempts--;
  request.child = null;
  if (!slot) return undefined;
  slot.inFlight--;
  slot.lastUsedMs = move.known.nowMs;
  followUse(move, slot);
  if (slot.isLeaving) move.dirty.push(slot);
  for (const other of move.known.slots.values())
    if (other.job?.stage === "room" || other.job?.stage === "draining") move.dirty.push(other);
  if (child && slot.child !== child.id) forgetUnused(move, child.id);
  return slot;
}

/** Its client has left, or has everything. */
export function end(move: Move, request: Request): void {
  remove(move.known.requests, request.id);
  if (request.child !== null) land(move, request);
  else {
    const slot = move.known.slots.get(request.slot);
    if (slot) unhold(move, slot, request);
    if (slot?.isLeaving) move.dirty.push(slot);
  }
}

/** The connection was lost before the client had a byte. */
export function lose(move: Move, request: Request, lost: Lost): void {
  const { generation } = request;
  const child = childOf(move, request.child);
  const slot = land(move, request);
  if (!slot || !child) return;
  if (lost.cause === "stopping") return answer(move, slot, request, { kind: "draining" });
  if (request.attempts > 1)
    return answer(
      move,
      slot,
      request,
      lostFailure(move.known, slot, { ...request, loss: null }, request.label, null, lost),
    );
  request.loss = { lost, generation, duringJob: slot.job?.id ?? null, isRepaired: false };
  if (!actingOn(move.known, slot)) move.effects.push({ do: "tell-loss", request, slot });
  decide(move, slot, request);
}

/** The port said 503 before anything was sent: the request waits until the child has loaded, and keeps both its attempts. */
export function loading(move: Move, request: Request): void {
  const child = childOf(move, request.child);
  const slot = land(move, request);
  if (!slot || !child) return;
  request.attempts--;
  hold(move, slot, request);
  if (!found(move.known.requests, request.id)) return; // Too many wait.
  if (slot.job || slot.child !== child.id) return decide(move, slot, request);
  startJob(move, slot, { isOnDemand: true, cause: "loading", request: request.name, child: "loading" });
}

/** The stream was cut after its first byte: the slot is repaired for the next request. */
export function interrupt(move: Move, request: Request, cause: LossCause): void {
  const { child } = request;
  end(move, request);
  const slot = move.known.slots.get(request.slot);
  if (!slot || child === null || cause === "stopping" || cause === "unloaded") return;
  const { known } = move;
  const isOurs = slot.child === child || (slot.child === null && slot.dead === child);
  // Nobody can name a slot that is not shown, and a server that ends has no next request.
  if (!isOurs || known.isDraining || !isShown(known, slot)) return;
  if (!slot.job && slot.backOff.untilMs <= known.nowMs)
    startJob(move, slot, { isOnDemand: false, cause, request: request.name });
}

function backedOff(slot: SlotRecord, request: Request): JobEnd {
  const ended = { outcome: "backed_off", reason: slot.lastError, from: null, to: null, durationMs: 0 } as const;
  return { ...ended, slot, cause: request.loss?.lost.cause ?? "evicted", request: request.name, isLoss: true };
}
