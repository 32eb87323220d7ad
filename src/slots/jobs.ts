// How a job of a slot begins, asks and ends: a repair, a load on demand or an operator's order, one per slot at a time.
// The steps between are in check.ts, loads.ts and orders.ts.
import type { LossCause } from "../dispatch/attempt.ts";
import { afterFailure, secondsUntil } from "./backoff.ts";
import { askChild, bury, childOf, enter, forgetUnused, isDialled } from "./children.ts";
import { type Move, nextId, type OrderFault } from "./events.ts";
import type { Job, Label, Order, SlotRecord, Stage } from "./known.ts";
import type { ChildEvidence } from "./repair.ts";
import { endWaits } from "./held.ts";
import { partnersOf } from "./roster.ts";
import { ABSENT_MS, endTurn, hasTurn } from "./turns.ts";

/** Pause before lemond, or a loading child, is asked again. */
export const ASK_AGAIN_MS = 250;

interface Start {
  readonly cause: LossCause;
  readonly request: string | null;
  readonly isOnDemand: boolean;
  readonly isKeeping?: boolean;
  readonly order?: Order;
  readonly child?: ChildEvidence;
}

/** Starts a job; the caller has checked that no other is under way. It may outlive the request that caused it. */
export function startJob(move: Move, slot: SlotRecord, start: Start): void {
  const { nowMs, settings } = move.known;
  const { order = null, isKeeping = false, child = "unasked", cause, request, isOnDemand } = start;
  const suspect = slot.child ?? slot.dead;
  slot.job = {
    id: nextId(move),
    order,
    isOnDemand,
    isKeeping,
    cause,
    request,
    suspect,
    startedMs: nowMs,
    untilMs: nowMs + slot.config.holdMs,
    stage: order?.isTakingDown ? "draining" : "checking",
    stageUntilMs: order ? nowMs + settings.drainMs : nowMs,
    lemond: "unasked",
    child,
    reported: child === "refused" ? child : "unasked",
    question: null,
    againMs: nowMs,
    refusal: "lemond refuses connections",
    fault: null,
    checkpoint: null,
    loads: 0,
    hasRoom: false,
    isContested: isContested(move, slot, suspect, isOnDemand),
    newcomer: null,
    fresh: null,
    pauseMs: 0,
    refusedSinceMs: null,
  };
  slot.isDismissed = false;
  move.dirty.push(slot);
}

/** Another client has just had the model evicted: its model comes first. A loss is fresh; a poll's find may be old. */
function isContested(move: Move, slot: SlotRecord, suspect: number | null, isOnDemand: boolean): boolean {
  if (!childOf(move, suspect)?.isEvicted) return false;
  return !isOnDemand || move.known.nowMs - slot.sinceMs < ABSENT_MS;
}

export function enterStage(move: Move, slot: SlotRecord, job: Job, stage: Stage): void {
  job.stage = stage;
  move.dirty.push(slot);
}

/** Asks nothing for the next `ms`. */
export function pause(move: Move, job: Job, ms = ASK_AGAIN_MS): void {
  job.againMs = move.known.nowMs + ms;
}

export function askLemond(move: Move, job: Job): void {
  job.question = nextId(move);
  move.effects.push({ do: "ask-lemond", question: job.question });
}

export function askAbout(move: Move, slot: SlotRecord, job: Job, id: number | null): void {
  const child = childOf(move, id);
  if (child) job.question = askChild(move, child, isDialled(slot, child) ? "port" : "pid");
  else {
    job.child = "gone";
    move.dirty.push(slot);
  }
}

export function tell(move: Move, job: Job, level: "info" | "warn" | "error", event: string, fields: object): void {
  move.effects.push({ do: "log", level, event, request: job.request, fields: { ...fields } });
}

/** The slot has a child that serves. */
export function endJob(move: Move, slot: SlotRecord, job: Job, found: "retargeted" | "alive" | "loaded"): void {
  const label = found === "loaded" && !job.isOnDemand && !job.order ? "recovered" : found;
  close(move, slot, job, label, null);
  if (job.order) move.effects.push({ do: "tell-order", order: job.order.id, fault: null });
}

/** Somebody waits for the load. */
export const isWanted = ({ held }: SlotRecord, { order, isKeeping }: Job): boolean =>
  order !== null || isKeeping || held.length > 0;

/** Nobody waits for the load any more, or it would cost another client its model: lemond is not asked for it. */
export function abandonJob(move: Move, slot: SlotRecord, job: Job): void {
  if (job.suspect !== null) bury(move, slot, job.suspect);
  close(move, slot, job, null, null);
}

/** `isLoad`: lemond was asked for a load; the slot now backs off. */
export function failJob(move: Move, slot: SlotRecord, job: Job, reason: string, isLoad: boolean): void {
  const { nowMs } = move.known;
  // A child that still serves while lemond is away is not in error.
  if (isLoad || (job.order && slot.child === null)) {
    slot.lastError = `load failed: ${reason}`;
    if (isLoad) slot.backOff = afterFailure(slot.backOff, nowMs);
    enter(move, slot, "error");
  }
  const fields = { slot: slot.name, model: slot.model, error: reason };
  tell(move, job, "error", "dispatch.recover_evicted_slot_failed", fields);
  close(move, slot, job, "failed", reason);
  const retryAfterS = Math.max(1, secondsUntil(slot.backOff.untilMs, nowMs));
  if (job.order) tellOrder(move, job.order, { code: "load-failed", cause: reason, retryAfterS });
}

/** The operator's order is over, whatever it was. */
export function endOrder(move: Move, slot: SlotRecord, job: Job, order: Order, cause: string | null): void {
  close(move, slot, job, null, null);
  tellOrder(move, order, cause === null ? null : { code: "unload-failed", cause, retryAfterS: 1 });
}

export function tellOrder(move: Move, { id }: Pick<Order, "id">, fault: OrderFault | null): void {
  move.effects.push({ do: "tell-order", order: id, fault });
}

/** `label` null: those who waited are told nothing, and are decided about again. */
function close(move: Move, slot: SlotRecord, job: Job, label: Label | null, reason: string | null): void {
  slot.job = null;
  move.dirty.push(slot);
  if (job.order) move.dirty.push(...partnersOf(move.known, slot, job.order));
  if (hasTurn(move, slot)) endTurn(move);
  if (label !== null) {
    const from = childOf(move, job.suspect)?.url ?? null;
    const to = label === "failed" ? null : (childOf(move, slot.child)?.url ?? null);
    const durationMs = move.known.nowMs - job.startedMs;
    const isLoss = !job.order && !(job.isOnDemand && job.suspect === null);
    const { cause, request } = job;
    if (!job.order || job.loads > 0)
      move.effects.push({
        do: "tell-job",
        end: { slot, cause, outcome: label, reason, from, to, durationMs, request, isLoss },
      });
    if (!job.order) endWaits(move, slot, job, label, reason);
  }
  forgetUnused(move, job.suspect);
  forgetUnused(move, job.fresh?.child ?? null);
}

const PHASE = {
  draining: "draining",
  checking: "checking",
  turn: "waiting",
  newcomer: "waiting",
  room: "waiting",
  unloading: "unloading",
  loading: "loading",
  "reading back": "loading",
  warming: "warming",
} as const satisfies Record<Stage, string>;

/** The stage as clients read it. */
export type Phase = (typeof PHASE)[Stage];

export const phaseOf = (job: Job | null): Phase => (job ? PHASE[job.stage] : "checking");

/** lemond was asked for something that will bring a child. */
export const isLoading = ({ stage }: Job): boolean =>
  ["unloading", "loading", "reading back", "warming"].includes(stage);

/** Why a held request has waited in vain. */
export function waitReason(job: Job | null): string {
  switch (job?.stage) {
    case "turn":
      return "lemond loads another model";
    case "room":
      return "lemond has no room for it while other models of its type answer";
    case "newcomer":
      return "another client's model has its room";
    case undefined:
      return "its room was about to be taken by another slot's load";
    default:
      return job?.lemond === "same" ? "the child is still loading" : "lemond does not answer";
  }
}
