// An operator's load, unload, restart or swap: the gate is closed while it runs; requests under way get `drain_s` to end,
// and are cut only when lemond is there to unload their child.
import { NO_BACK_OFF } from "./backoff.ts";
import { cutRequests, enter, followUse, forgetUnused, release } from "./children.ts";
import { askLemond, endOrder, enterStage, pause, startJob, tellOrder } from "./jobs.ts";
import type { Done } from "../lemonade/lemonade.ts";
import type { Move } from "./events.ts";
import type { Action, Forward, Job, Order, SlotRecord } from "./known.ts";
import { beginUnload, noteUnload } from "./loads.ts";
import { partnersOf } from "./roster.ts";
import { lookAgain, takeTurn } from "./turns.ts";

export function takeOrder(
  move: Move,
  slot: SlotRecord,
  id: number,
  action: Action,
  model: string,
  forward: Forward | null,
): void {
  if (slot.job) return tellOrder(move, { id }, { code: "busy" });
  if (action === "swap" && slot.isImplicit) return tellOrder(move, { id }, { code: "implicit" });
  // A client's load of a loaded model may have other options: then lemond restarts the child.
  const isTakingDown = action !== "load" || (forward !== null && slot.child !== null);
  const order: Order = { id, action, model, isTakingDown, forward };
  startJob(move, slot, { order, cause: "unloaded", request: null, isOnDemand: false });
}

/** Waits until the slot's requests have ended, or their time is over. */
export function drain(move: Move, slot: SlotRecord, job: Job, order: Order): void {
  const isUsed = partnersOf(move.known, slot, order).some(({ inFlight }) => inFlight > 0);
  if (isUsed && move.known.nowMs < job.stageUntilMs) return;
  takeTurn(move, slot, job);
}

/** Unloads the model once lemond answers. */
export function takeDown(move: Move, slot: SlotRecord, job: Job, order: Order): void {
  switch (job.lemond) {
    case "unasked":
      return askLemond(move, job);
    case "refused":
      return endOrder(move, slot, job, order, job.refusal);
    case "silent":
      if (move.known.nowMs >= job.untilMs) return endOrder(move, slot, job, order, "lemond does not answer");
      job.lemond = "unasked";
      return pause(move, job);
    default:
      for (const { id } of partnersOf(move.known, slot, order)) cutRequests(move, id, "unloaded");
      if (order.action === "load") return loadAnew(move, slot, job, order);
      if (slot.child !== null) enter(move, slot, "unloading");
      return beginUnload(move, slot, job);
  }
}

/** No request uses the child any more; whether it stays is lemond's decision at the load. */
function loadAnew(move: Move, slot: SlotRecord, job: Job, order: Order): void {
  order.isTakingDown = false;
  job.suspect = null;
  enterStage(move, slot, job, "checking");
}

/** 404 means that it is not loaded, as ordered; after any other failure the slot stays as it was. */
export function unloadedByOrder(move: Move, slot: SlotRecord, job: Job, result: Done): void {
  noteUnload(move, slot, job, result);
  if (result.ok || result.status === 404) release(move, slot);
  else {
    job.fault = `${result.status ?? "no answer"}: ${result.error}`;
    if (slot.child !== null) enter(move, slot, "ready");
    followUse(move, slot);
  }
  enterStage(move, slot, job, "reading back");
  askLemond(move, job);
}

/** The unload has been read back. */
export function takenDown(move: Move, slot: SlotRecord, job: Job, order: Order): void {
  if (job.fault !== null) return endOrder(move, slot, job, order, job.fault);
  if (order.action === "unload") {
    endOrder(move, slot, job, order, null);
    slot.isDismissed = true;
    return;
  }
  const before = [job.suspect, slot.dead];
  if (order.action === "swap" && order.model !== slot.model) become(slot, order.model);
  order.isTakingDown = false;
  job.suspect = slot.dead;
  for (const child of before) forgetUnused(move, child);
  lookAgain(move, slot, job);
}

/** Another model from now on; nothing is known of it yet. */
function become(slot: SlotRecord, model: string): void {
  slot.model = model;
  slot.seen = null;
  slot.dead = null;
  slot.isAlias = false;
  slot.loadTimesMs = [];
  slot.backOff = NO_BACK_OFF;
  slot.keepBackOff = NO_BACK_OFF;
}
