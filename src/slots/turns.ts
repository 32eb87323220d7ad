// Loads take turns: lemond loads one model at a time, and a load that is not read back leaves others with stale facts.
// The job that has the turn also waits here for room, and for another client's model to fall idle.
import type { LoadedModel } from "../lemonade/listing.ts";
import { childOf, isListedAs } from "./children.ts";
import { abandonJob, ASK_AGAIN_MS, isWanted, enterStage, pause } from "./jobs.ts";
import type { Move } from "./events.ts";
import type { Job, SlotRecord } from "./known.ts";
import { othersOfType, typeOf } from "./roster.ts";
import { all, found } from "./table.ts";

/** The longest wait for others. */
const WAIT_MS = 30_000;
/** How long another client's model may take to be listed. */
export const ABSENT_MS = 10_000;
/** How long it must be unused before its room is taken. */
const STILL_MS = 2000;

export const hasTurn = ({ known }: Move, slot: SlotRecord): boolean =>
  known.turn?.slot === slot.id && !known.turn.isTouch;

export function takeTurn(move: Move, slot: SlotRecord, job: Job): void {
  move.known.queue.push(slot.id);
  enterStage(move, slot, job, "turn");
  if (move.known.turn === null) giveTurn(move);
}

/** The turn before may have changed everything: the next job looks again. */
function giveTurn(move: Move): void {
  const { known } = move;
  for (let id = known.queue.shift(); id !== undefined; id = known.queue.shift()) {
    const slot = known.slots.get(id);
    if (slot?.job?.stage !== "turn") continue;
    known.turn = { slot: id, isTouch: false, claim: null };
    slot.job.untilMs = known.nowMs + slot.config.holdMs;
    return lookAgain(move, slot, slot.job);
  }
}

export function endTurn(move: Move): void {
  const { turn, nowMs } = move.known;
  const claim = turn?.claim ?? null;
  move.known.turn = null;
  if (turn && !turn.isTouch) move.known.turnEndedMs = nowMs;
  if (claim !== null) for (const slot of move.known.slots.values()) if (slot.held.length > 0) move.dirty.push(slot);
  giveTurn(move);
}

/** Forgets the evidence. */
export function lookAgain(move: Move, slot: SlotRecord, job: Job): void {
  job.lemond = "unasked";
  job.child = job.reported;
  job.againMs = move.known.nowMs;
  enterStage(move, slot, job, "checking");
}

/** Waits at most half of any request's hold; the rest is for its load. */
export function waitFor(move: Move, slot: SlotRecord, job: Job, stage: "newcomer" | "room"): void {
  const { nowMs, requests } = move.known;
  job.stageUntilMs = nowMs + WAIT_MS;
  for (const id of slot.held) {
    const request = found(requests, id);
    if (request) job.stageUntilMs = Math.min(job.stageUntilMs, (request.heldSinceMs + request.heldUntilMs) / 2);
  }
  job.newcomer = { url: null, lastUse: null, sinceMs: nowMs };
  enterStage(move, slot, job, stage);
}

/** Waits until no other slot uses a child of this type, or time is up; from then on no attempt may begin there. */
export function awaitRoom(move: Move, slot: SlotRecord, job: Job): void {
  const { nowMs, turn } = move.known;
  if (nowMs < job.stageUntilMs && hasOthersUnderWay(move, slot)) return;
  if (turn) turn.claim = typeOf(move.known, slot);
  job.hasRoom = true;
  lookAgain(move, slot, job);
}

function hasOthersUnderWay({ known }: Move, slot: SlotRecord): boolean {
  const type = typeOf(known, slot);
  for (const request of all(known.requests))
    if (request.child !== null && request.slot !== slot.id && known.children.get(request.child)?.type === type)
      return true;
  return false;
}

/** Another client's eviction is not fought: its model is left alone until unused, or not listed in time. */
export function awaitNewcomer(move: Move, slot: SlotRecord, job: Job): void {
  if (!isWanted(slot, job)) return abandonJob(move, slot, job);
  const { nowMs, children } = move.known;
  const { listed, isFull } = othersOfType(move.known, slot);
  const listedAt = childOf(move, job.suspect)?.listedAt ?? 0;
  const wasThere = (other: LoadedModel): boolean =>
    [...children.values()].some((child) => child.id <= listedAt && isListedAs(child, other));
  const newcomers = listed.filter((other) => !wasThere(other));
  const [newest] = newcomers.toSorted((a, b) => (b.lastUse ?? 0) - (a.lastUse ?? 0));
  const before = job.newcomer ?? { url: null, lastUse: null, sinceMs: nowMs };
  const isMoving = newest && (before.url !== newest.url || before.lastUse !== newest.lastUse || newest.isBusy);
  if (isMoving) job.newcomer = { url: newest.url, lastUse: newest.lastUse, sinceMs: nowMs };
  const waitedMs = nowMs - (isMoving ? nowMs : before.sinceMs);
  const isFree = newest ? !isFull || waitedMs >= STILL_MS : waitedMs >= ABSENT_MS;
  if (!isFree && nowMs < job.stageUntilMs) return pause(move, job, ASK_AGAIN_MS);
  job.isContested = false;
  lookAgain(move, slot, job);
}
