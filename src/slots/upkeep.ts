// What is done for slots without a request: lemond's health is polled, models in use are touched so that lemond keeps them,
// and kept models are loaded.
import { isListedAs, childOf, enter } from "./children.ts";
import { startJob } from "./jobs.ts";
import { type Move, nextId } from "./events.ts";
import type { Job, Known, SlotRecord } from "./known.ts";
import { listedFor, needsNoLoad, othersOfType } from "./roster.ts";
import { found } from "./table.ts";
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
 * lemond counts only traffic through itself as use; a load with the listed options counts as use. Sent for one slot at a
 * time, after a listing, while nobody loads.
 */
export function touchOne(move: Move, gone: readonly number[]): void {
  const { known } = move;
  if (known.settings.touchMs === 0 || known.turn !== null || known.isDraining) return;
  for (const slot of known.slots.values()) {
    const child = childOf(move, slot.child);
    const isUsed = slot.inFlight > 0 || slot.isUsedSinceTouch || slot.config.keep;
    if (!child || !isUsed || slot.job || slot.touchDueMs > known.nowMs || gone.includes(child.id)) continue;
    const listed = listedFor(known, slot);
    if (!listed?.options || !isListedAs(child, listed)) continue;
    known.turn = { slot: slot.id, isTouch: true, claim: null };
    slot.touchDueMs = known.nowMs + known.settings.touchMs;
    slot.isUsedSinceTouch = slot.inFlight > 0;
    return void move.effects.push({ do: "touch", slot, model: listed.model, options: listed.options });
  }
}

/** A failed touch is repeated after the next listing. */
export function touched(move: Move, slot: SlotRecord | undefined, ok: boolean): void {
  if (slot && !ok) {
    slot.isUsedSinceTouch = true;
    slot.touchDueMs = move.known.nowMs;
  }
  if (move.known.turn?.isTouch) endTurn(move);
}

/** A kept slot that is found without a child is loaded without waiting for a request. */
export function keep(move: Move, slot: SlotRecord): void {
  const { known } = move;
  const { config, backOff, keepBackOff } = slot;
  if (!config.keep || slot.child !== null || slot.isDismissed || slot.isLeaving || known.isDraining) return;
  if (known.isUp !== true || known.listing === null || needsNoLoad(known, slot)) return;
  if (Math.max(backOff.untilMs, keepBackOff.untilMs) > known.nowMs || !mayTakeRoom(known, slot)) return;
  startJob(move, slot, { isOnDemand: true, isKeeping: true, cause: "evicted", request: null });
}

/** Only if there is room, or the model that lemond would evict is neither kept nor in use. */
export function mayTakeRoom(known: Known, slot: SlotRecord): boolean {
  const { listed, isFull } = othersOfType(known, slot);
  if (!isFull) return true;
  const [victim] = listed.toSorted((a, b) => (a.lastUse ?? 0) - (b.lastUse ?? 0));
  if (!victim || victim.isBusy) return false;
  const owner = [...known.slots.values()].find((other) => listedFor(known, other) === victim);
  if (!owner) return false;
  const usedMs = Math.max(owner.lastUsedMs ?? -Infinity, owner.adoptedMs);
  return !owner.config.keep && owner.inFlight === 0 && known.nowMs - usedMs >= owner.config.idleAfterMs;
}

function dueMs({ question, stage, stageUntilMs, againMs }: Job): number {
  if (question !== null) return Infinity;
  switch (stage) {
    case "turn":
    case "unloading":
    case "loading":
      return Infinity; // It goes on when the answer comes.
    case "draining":
    case "room":
      return stageUntilMs;
    default:
      return againMs;
  }
}

/** The next moment at which time alone changes something. */
export function wakeAt(known: Known): number {
  let atMs = known.pollQuestion === null ? known.pollDueMs : Infinity;
  for (const { job, held, config, child, isDismissed, backOff, keepBackOff } of known.slots.values()) {
    const keepAtMs = Math.max(backOff.untilMs, keepBackOff.untilMs);
    if (config.keep && !job && child === null && !isDismissed && keepAtMs > known.nowMs)
      atMs = Math.min(atMs, keepAtMs);
    if (job) atMs = Math.min(atMs, dueMs(job));
    for (const id of held) atMs = Math.min(atMs, found(known.requests, id)?.heldUntilMs ?? Infinity);
  }
  return atMs;
}
