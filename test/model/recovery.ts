// One move of a recovery in the model: a question to lemond or the child, an unload, a load, the read-back. The decision is
// the real table's.
import type { Evidence, Step } from "../../src/slots/repair.ts";
import { adopt, bury, count, spend, type Outcome, type Recovery, type World } from "./world.ts";

export type NextStep = (evidence: Evidence) => Step;

/** Where a move of a recovery leads: on, or to its end. */
export interface Advance {
  readonly world: World;
  readonly recovery: Recovery | null;
  readonly outcome: Outcome | null;
}

const UNASKED = { lemond: "unasked", child: "unasked" } as const;

export function begin(suspect: number | null, isOnDemand: boolean): Recovery {
  return { ...UNASKED, suspect, isOnDemand, seen: null, hasTurn: false, phase: "deciding" };
}

/** All ways in which the recovery may go on now; none while it waits for a child to warm up. */
export function advance(world: World, recovery: Recovery, by: "repair" | "operator", nextStep: NextStep): Advance[] {
  const on = (next: World, change: Partial<Recovery>): Advance => ({
    world: next,
    recovery: { ...recovery, ...change },
    outcome: null,
  });
  const end = (next: World, outcome: Outcome): Advance => ({ world: next, recovery: null, outcome });
  switch (recovery.phase) {
    case "deciding":
      return decide(world, recovery, by, nextStep, on, end);
    case "unload":
      return [on(unload(world, by), { phase: "load" })];
    case "load": {
      const sent = by === "repair" ? count(world, "loads") : world;
      const asked = by === "repair" && world.backsOff ? { ...sent, fault: "a load was sent during back-off" } : sent;
      // A load of what is listed starts nothing, also when it is dead.
      if (world.listed !== null) return [on(asked, { phase: "read-back" })];
      const child = world.lastChild + 1;
      const loaded = { ...asked, listed: child, running: child, lastChild: child, isWarming: true };
      const fails =
        world.left.failedLoads > 0 ? [end(count(spend(asked, "failedLoads"), "failedLoads"), "load-failed")] : [];
      return [on(loaded, { phase: "read-back" }), ...fails];
    }
    case "read-back": {
      const { listed } = world;
      // Listed as before: the load was for nothing. Not listed: what it started has died already.
      if (listed === recovery.suspect && listed !== null) return [end(world, "load-failed")];
      if (listed === null) return [end(count(world, "diedLoading"), "load-failed")];
      return [on(world, { phase: "warm", seen: listed })];
    }
    case "warm": {
      const { seen } = recovery;
      if (seen === null || world.running !== seen) return [end(count(world, "diedLoading"), "load-failed")];
      return world.isWarming ? [] : [end(adopt(world, seen), "loaded")];
    }
  }
}

function decide(
  world: World,
  recovery: Recovery,
  by: "repair" | "operator",
  nextStep: NextStep,
  on: (world: World, change: Partial<Recovery>) => Advance,
  end: (world: World, outcome: Outcome) => Advance,
): Advance[] {
  const { lemond, child, suspect, seen, hasTurn, isOnDemand } = recovery;
  const isWarmingSuspect = world.isWarming && world.running === suspect;
  const step = nextStep({
    clientGone: false,
    operatorActing: false,
    movedOn: false,
    repairUnderWay: false,
    hasChild: true,
    backsOff: false,
    lemond,
    child,
  });
  switch (step) {
    case "ask-lemond": {
      const { listed } = world;
      const place = listed === null ? "not-listed" : listed === suspect ? "same" : "elsewhere";
      const answered = on(world, { lemond: place, child: "unasked", seen: listed });
      return world.left.silences > 0 ? [answered, on(spend(world, "silences"), { lemond: "silent" })] : [answered];
    }
    case "ask-lemond-again":
      return [on(world, { lemond: "unasked" })];
    case "ask-child": {
      const isGone = suspect === null || world.running !== suspect;
      return [on(world, { child: isGone ? "gone" : isWarmingSuspect ? "loading" : "ok" })];
    }
    case "await-child":
      return isWarmingSuspect ? [] : [on(world, { child: "unasked" })];
    case "adopt":
      return [end(seen === null ? world : adopt(world, seen), "retargeted")];
    case "keep":
      return [end(world.child === null && seen !== null ? adopt(world, seen) : world, "alive")];
    case "reload":
    case "load": {
      if (!hasTurn) return [on(world, { ...UNASKED, hasTurn: true })];
      const isAbandoned = by === "repair" && isOnDemand && !world.requests.some(({ at }) => at === "waiting");
      if (isAbandoned) return [end(world, "abandoned")];
      const buried = suspect === null ? world : bury(world, suspect);
      return [on(buried, { phase: step === "reload" ? "unload" : "load" })];
    }
    default:
      return [on({ ...world, fault: `a recovery was told to ${step}` }, {})];
  }
}

/** Unloads what lemond lists. Only the operator may do that to a child that runs. */
export function unload(world: World, by: "repair" | "operator"): World {
  const { listed, running } = world;
  const isHealthy = listed !== null && listed === running;
  const gone = {
    ...world,
    listed: null,
    running: isHealthy ? null : running,
    isWarming: isHealthy ? false : world.isWarming,
  };
  if (by === "operator") return isHealthy ? count(gone, "takenDown") : gone;
  return count(isHealthy ? { ...gone, fault: "a healthy child was unloaded" } : gone, "unloads");
}
