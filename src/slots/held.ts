// The requests that wait for their slot: how many may, how long, and what they are told when they wait in vain.
import type { Move } from "./events.ts";
import { type Failure, lateFailure, loadingFailure, lostFailure } from "./failures.ts";
import { isLoading, waitReason } from "./jobs.ts";
import type { Job, Label, Request, SlotRecord } from "./known.ts";
import { actingOn } from "./roster.ts";
import { found, remove } from "./table.ts";

export function hold(move: Move, slot: SlotRecord, request: Request): void {
  if (slot.held.includes(request.id)) return;
  const { maxWaiting, maxHeldBytes } = move.known.settings;
  const waiting = slot.held.length;
  const isFull = waiting > 0 && slot.heldBytes + request.bodyBytes > maxHeldBytes;
  if (waiting >= maxWaiting || isFull)
    return answer(move, slot, request, { kind: "overloaded", waiting, limit: isFull ? waiting : maxWaiting });
  slot.held.push(request.id);
  slot.heldBytes += request.bodyBytes;
  request.heldSinceMs = move.known.nowMs;
  request.heldUntilMs = move.known.nowMs + slot.config.holdMs;
}

export function unhold(move: Move, slot: SlotRecord, request: Request): void {
  const at = slot.held.indexOf(request.id);
  if (at < 0) return;
  request.waitedMs += move.known.nowMs - request.heldSinceMs;
  slot.held.splice(at, 1);
  slot.heldBytes -= request.bodyBytes;
}

/** Answers the requests whose hold is over. */
export function answerLate(move: Move, slot: SlotRecord): void {
  for (const id of [...slot.held]) {
    const request = found(move.known.requests, id);
    if (!request || request.heldUntilMs > move.known.nowMs) continue;
    // "Loading" is only said during a load: a question to lemond, or a wait for a turn or for room, is no load.
    const acting = actingOn(move.known, slot);
    if (acting || (slot.job && isLoading(slot.job)))
      answer(move, slot, request, loadingFailure(move.known, acting ?? slot));
    else answer(move, slot, request, lateFailure(move.known, slot, request, waitReason(slot.job)));
  }
}

export function answer(move: Move, slot: SlotRecord, request: Request, failure: Failure): void {
  unhold(move, slot, request);
  remove(move.known.requests, request.id);
  move.effects.push({ do: "answer", request, failure });
}

/** Tells those who waited for the job how it ended; requests that may still be dialled are decided about again. */
export function endWaits(move: Move, slot: SlotRecord, job: Job, label: Label, reason: string | null): void {
  for (const id of [...slot.held]) {
    const request = found(move.known.requests, id);
    if (!request) continue;
    const { loss } = request;
    if (label === "failed") {
      // Requests that only waited may still be sent to a child that nobody found dead.
      if ((loss && !loss.isRepaired) || slot.child === null)
        answer(move, slot, request, lostFailure(move.known, slot, request, label, loss ? null : reason));
      else if (request.heldUntilMs <= move.known.nowMs)
        answer(move, slot, request, lateFailure(move.known, slot, request, reason));
      continue;
    }
    request.label = label;
    if (loss && !(label === "alive" && loss.duringJob === job.id)) loss.isRepaired = true;
  }
}
