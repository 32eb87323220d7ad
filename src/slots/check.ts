// The checking stage of a job: the evidence of lemond and the child, and what follows from it by the table of repair.ts.
import type { HealthAnswer } from "../lemonade/listing.ts";
import { adopt, bury, childOf, isListedAs, serveByName } from "./children.ts";
import { abandonJob, askAbout, askLemond, endJob, failJob, isWanted, pause, tell } from "./jobs.ts";
import type { Move } from "./events.ts";
import type { Job, Known, SlotRecord } from "./known.ts";
import { beginLoad, beginUnload } from "./loads.ts";
import { type LemondEvidence, remedyOf } from "./repair.ts";
import { listedFor, needsNoLoad, othersOfType } from "./roster.ts";
import { hasTurn, takeTurn, waitFor } from "./turns.ts";
import { mayTakeRoom } from "./upkeep.ts";

/** Health that took longer was blocked: by an eviction, unless our own load or unload was under way. */
const BLOCKED_MS = 1000;

/** Advances the job until it needs an answer. */
export function check(move: Move, slot: SlotRecord, job: Job): void {
  const isLate = move.known.nowMs >= job.untilMs;
  const remedy = remedyOf(job.lemond, job.child);
  const hasListing = ["same", "elsewhere", "not-listed"].includes(job.lemond);
  // An order from lemond's own path is sent whatever the evidence.
  if (job.order?.forward && hasListing) return prepareLoad(move, slot, job, false);
  switch (remedy) {
    case "ask-lemond":
      return askLemond(move, job);
    case "ask-lemond-again":
      if (isLate) return failJob(move, slot, job, "lemond does not answer", false);
      job.lemond = "unasked";
      return pause(move, job);
    case "ask-child":
      return askAbout(move, slot, job, job.suspect);
    case "await-child":
      if (isLate) return failJob(move, slot, job, "the child is still loading", false);
      job.child = "unasked";
      return pause(move, job);
    case "give-up":
      return failJob(move, slot, job, job.refusal, false);
    case "adopt":
    case "keep": {
      const listed = listedFor(move.known, slot);
      if (needsNoLoad(move.known, slot)) serveByName(move, slot);
      else if (listed && (remedy === "adopt" || slot.child === null)) adopt(move, slot, listed);
      return endJob(move, slot, job, remedy === "adopt" ? "retargeted" : "alive");
    }
    case "load":
    case "reload":
      return prepareLoad(move, slot, job, remedy === "reload");
  }
}

/** Needed before a load, in order: our turn, someone waiting, no newcomer, room. */
function prepareLoad(move: Move, slot: SlotRecord, job: Job, isListed: boolean): void {
  if (!hasTurn(move, slot)) return takeTurn(move, slot, job);
  const { isFull } = othersOfType(move.known, slot);
  const isContested = job.isContested && !isListed;
  const isOnlyKept = job.isKeeping && job.order === null && slot.held.length === 0;
  if (isOnlyKept && !mayTakeRoom(move.known, slot)) return abandonJob(move, slot, job);
  if (!isWanted(slot, job) && (job.isOnDemand || isFull || isContested)) return abandonJob(move, slot, job);
  if (isContested) return waitFor(move, slot, job, "newcomer");
  if (isFull && !job.hasRoom) return waitFor(move, slot, job, "room");
  if (job.suspect !== null) {
    bury(move, slot, job.suspect);
    const fields = { slot: slot.name, model: slot.model, unload: isListed };
    if (job.loads === 0) tell(move, job, "warn", "slot.recover_evicted_dispatched", fields);
  }
  return isListed ? beginUnload(move, slot, job) : beginLoad(move, slot, job);
}

/** Takes lemond's answer in the checking stage. */
export function weigh(move: Move, slot: SlotRecord, job: Job, answer: HealthAnswer, tookMs: number): void {
  job.lemond = evidenceOf(move, slot, job, answer);
  if (answer.kind === "denied") job.refusal = `lemond denies access: ${answer.cause}`;
  if (!job.isOnDemand && !job.order && job.loads === 0 && wasBlocked(move.known, slot, answer, tookMs))
    job.isContested = true;
}

/** Whether another client's eviction delayed the answer, not our own work for another slot. */
export function wasBlocked(known: Known, slot: SlotRecord | null, answer: HealthAnswer, tookMs: number): boolean {
  const { turn, turnEndedMs, nowMs } = known;
  const isOurs = turn !== null && !turn.isTouch && turn.slot !== slot?.id;
  if (isOurs || turnEndedMs > nowMs - tookMs) return false;
  return answer.kind === "silent" || tookMs > BLOCKED_MS;
}

function evidenceOf(move: Move, slot: SlotRecord, job: Job, answer: HealthAnswer): LemondEvidence {
  if (answer.kind === "silent") return "silent";
  if (answer.kind !== "listing") return "refused";
  const listed = listedFor(move.known, slot);
  if (!listed && needsNoLoad(move.known, slot)) {
    job.child = "ok"; // No child exists that could be dead.
    return "same";
  }
  if (!listed) return "not-listed";
  const suspect = childOf(move, job.suspect);
  return suspect && isListedAs(suspect, listed) ? "same" : "elsewhere";
}
