// An unload or a load that was sent to lemond, the read-back of where the model is now, and the wait until its child serves.
import type { Done } from "../lemonade/lemonade.ts";
import type { HealthAnswer } from "../lemonade/listing.ts";
import {
  adopt,
  childOf,
  enter,
  forgetUnused,
  isDialled,
  isListedAs,
  openChild,
  release,
  serveByName,
} from "./children.ts";
import { askAbout, askLemond, ASK_AGAIN_MS, endJob, enterStage, failJob, pause, tell } from "./jobs.ts";
import type { Move } from "./events.ts";
import type { Job, SlotRecord } from "./known.ts";
import type { ChildEvidence } from "./repair.ts";
import { listedFor, othersOfType } from "./roster.ts";
import { lookAgain } from "./turns.ts";

/** Loads per job: a model evicted each time is not loaded for ever. */
const MOST_LOADS = 3;
const FIRST_PAUSE_MS = 10;
/** How long a child just loaded may refuse connections before it listens. */
const REFUSED_MS = 5000;

export function beginUnload(move: Move, slot: SlotRecord, job: Job): void {
  enterStage(move, slot, job, "unloading");
  tell(move, job, "info", "lemonade.provider.unload", { slot: slot.name, model: slot.model });
  move.effects.push({ do: "unload", slot, job });
}

/** A failed unload (404 too) is logged and ignored: the load that follows decides. */
export function noteUnload(move: Move, slot: SlotRecord, job: Job, result: Done): void {
  if (result.ok) return;
  const { status, error } = result;
  tell(move, job, "warn", "slot.recover_unload_failed", { slot: slot.name, status, error });
}

export function beginLoad(move: Move, slot: SlotRecord, job: Job): void {
  job.untilMs = move.known.nowMs + move.known.settings.loadTimeoutMs;
  job.loads++;
  job.isContested = false;
  if (slot.child !== null) release(move, slot);
  enter(move, slot, "starting");
  enterStage(move, slot, job, "loading");
  tell(move, job, "info", "lemonade.provider.load", { slot: slot.name, model: slot.model });
  // With the options last seen, unless the configuration sets some.
  const options = slot.config.load ?? slot.seen?.options ?? {};
  move.effects.push({ do: "load", slot, job, options });
}

/** A failed load is read back too: it makes lemond drop every other model. */
export function loaded(move: Move, slot: SlotRecord, job: Job, result: Done): void {
  if (result.ok) {
    job.checkpoint = result.checkpoint;
    enter(move, slot, "warming");
  } else job.fault = result.status === null ? result.error : `${result.status}: ${result.error}`;
  enterStage(move, slot, job, "reading back");
  askLemond(move, job);
}

/** `wasBlocked`: another client's eviction delayed the answer. Its model is listed only once it is loaded. */
export function readBack(move: Move, slot: SlotRecord, job: Job, answer: HealthAnswer, wasBlocked: boolean): void {
  const { nowMs } = move.known;
  job.isContested ||= wasBlocked;
  if (job.fault !== null) return loadFailed(move, slot, job, job.fault);
  if (answer.kind === "silent" && nowMs < job.untilMs)
    return job.fresh?.isGone === false ? askFresh(move, slot, job, job.fresh.child) : pause(move, job);
  if (answer.kind !== "listing") return failJob(move, slot, job, "lemond did not say where the model is", true);
  const listed = listedFor(move.known, slot);
  const dead = childOf(move, job.suspect);
  const loaded = move.known.listing?.loaded ?? [];
  if (!listed && loaded.some(({ checkpoint }) => checkpoint !== null && checkpoint === job.checkpoint)) {
    // lemond lists the loaded model by another name: ours is an alias.
    slot.isAlias = true;
    serveByName(move, slot);
    return endJob(move, slot, job, "loaded");
  }
  if (!listed && (job.isContested || othersOfType(move.known, slot).isFull)) {
    // Evicted again before it served: no error, and no fight.
    closeFresh(move, job);
    enter(move, slot, "offline");
    if (job.loads >= MOST_LOADS) return failJob(move, slot, job, "another client's model takes its room", false);
    job.isContested = true;
    job.hasRoom = false;
    return lookAgain(move, slot, job);
  }
  if (!listed || (dead && listed.pid !== null && isListedAs(dead, listed)))
    return failJob(move, slot, job, "the model is not listed after the load", true);
  if (!isDialled(slot, listed)) {
    adopt(move, slot, listed);
    return endJob(move, slot, job, "loaded");
  }
  if (!job.fresh || !isListedAs(job.fresh.listed, listed)) {
    closeFresh(move, job);
    job.fresh = { child: openChild(move, listed).id, listed, isGone: false };
    job.pauseMs = FIRST_PAUSE_MS;
  } else if (job.fresh.isGone) return failJob(move, slot, job, "the child died after the load", true);
  askFresh(move, slot, job, job.fresh.child);
}

function askFresh(move: Move, slot: SlotRecord, job: Job, child: number): void {
  enterStage(move, slot, job, "warming");
  askAbout(move, slot, job, child);
}

function closeFresh(move: Move, job: Job): void {
  const child = job.fresh?.child ?? null;
  job.fresh = null;
  job.refusedSinceMs = null;
  forgetUnused(move, child);
}

/** lemond may refuse a load sent to its own path and leave the model as it was. */
function loadFailed(move: Move, slot: SlotRecord, job: Job, fault: string): void {
  const listed = job.order?.forward ? listedFor(move.known, slot) : undefined;
  if (listed && slot.last && isListedAs(slot.last, listed)) {
    enter(move, slot, "offline");
    adopt(move, slot, listed);
  }
  failJob(move, slot, job, fault, slot.child === null);
}

/** The new child's answer: the slot adopts it at 200. If it cannot be reached, lemond says whether it still has it. */
export function warm(move: Move, slot: SlotRecord, job: Job, sign: ChildEvidence): void {
  const { nowMs } = move.known;
  const { fresh } = job;
  if (!fresh) return;
  if (sign === "ok") {
    adopt(move, slot, fresh.listed, childOf(move, fresh.child));
    return endJob(move, slot, job, "loaded");
  }
  if (sign === "gone") {
    job.fresh = { ...fresh, isGone: true };
    return enterStage(move, slot, job, "reading back");
  }
  job.refusedSinceMs = sign === "refused" ? (job.refusedSinceMs ?? nowMs) : null;
  if (job.refusedSinceMs !== null && nowMs - job.refusedSinceMs > REFUSED_MS)
    return failJob(move, slot, job, "the child refuses connections after the load", true);
  if (nowMs >= job.untilMs) return failJob(move, slot, job, "the child did not become ready in time", true);
  pause(move, job, job.pauseMs);
  job.pauseMs = Math.min(job.pauseMs * 2, ASK_AGAIN_MS);
  if (sign === "refused") enterStage(move, slot, job, "reading back");
}
