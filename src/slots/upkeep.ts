// What is done for the slots without a request: lemond is asked how it is, told which models are in use, and asked for the
// models that are to be kept loaded.
import { isListedAs, childOf, enter } from "./children.ts";
import { type Known, type Move, nextId, type SlotRecord } from "./known.ts";
import { listedFor } from "./roster.ts";
import { endTurn } from "./turns.ts";

export function poll(move: Move, isDue = move.known.nowMs >= move.known.pollDueMs): void {
  const { known } = move;
  if (known.pollQuestion !== null || !isDue) return;
  known.pollQuestion = nextId(move);
  move.effects.push({ do: "ask-lemond", question: known.pollQuestion });
}

/** Ready becomes idle after `idle_after_s` without a request. */
export function restIfQuiet(move: Move, slot: SlotRecord): void {
  const quietSinceMs = Math.max(slot.sinceMs, slot.lastUsedMs ?? 0);
  if (slot.state === "ready" && move.known.nowMs - quietSinceMs >= slot.config.idleAfterMs) enter(move, slot, "idle");
}

/**
 * lemond counts only traffic that goes through itself as use: a load with the very options it shows renews it. Sent for one
 * slot at a time, after a listing, while nobody loads.
 */
export function touchOne(move: Move, gone: readonly number[]): void {
  const { known } = move;
  if (known.settings.touchMs === 0 || known.turn !== null || known.isDraining) return;
  for (const slot of known.slots.values()) {
    const child = childOf(move, slot.child);
    const isUsed = slot.inFlight > 0 || slot.isUsedSinceTouch;
    if (!child || !isUsed || slot.job || slot.touchDueMs > known.nowMs || gone.includes(child.id)) continue;
    const listed = listedFor(known, slot);
    if (!listed?.options || !isListedAs(child, listed)) continue;
    known.turn = { slot: slot.id, isTouch: true, claim: null };
    slot.touchDueMs = known.nowMs + known.settings.touchMs;
    slot.isUsedSinceTouch = slot.inFlight > 0;
    return void move.effects.push({ do: "touch", slot, model: listed.model, options: listed.options });
  }
}

/** A touch that failed was none: the next listing brings another. */
export function touched(move: Move, slot: SlotRecord | undefined, ok: boolean): void {
  if (slot && !ok) {
    slot.isUsedSinceTouch = true;
    slot.touchDueMs = move.known.nowMs;
  }
  if (move.known.turn?.isTouch) endTurn(move);
}

/** When time alone will change something next. */
export function wakeAt(known: Known): number {
  let atMs = known.pollQuestion === null ? known.pollDueMs : Infinity;
  for (const { job, held } of known.slots.values()) {
    if (job && job.question === null && job.stage !== "turn") {
      const isWait = job.stage === "draining" || job.stage === "room";
      atMs = Math.min(atMs, isWait ? job.stageUntilMs : job.againMs);
    }
    for (const id of held) atMs = Math.min(atMs, known.requests.get(id)?.heldUntilMs ?? Infinity);
  }
  return atMs;
}
