// The model's state: one slot, its lemond, two requests, and how much may still go wrong. Plain values, small enough to
// visit every state that can be reached.
import type { Evidence } from "../../src/slots/repair.ts";

export type Generation = "10.6" | "11.7";

/** A recovery as `src/recover.ts` runs it, between two of its questions. Children are numbers. */
export interface Recovery {
  readonly suspect: number | null;
  readonly lemond: Evidence["lemond"];
  readonly child: Evidence["child"];
  /** What lemond's last answer listed. */
  readonly seen: number | null;
  readonly hasTurn: boolean;
  readonly isOnDemand: boolean;
  readonly phase: "deciding" | "unload" | "load" | "read-back" | "warm";
}

export type Outcome = "retargeted" | "alive" | "loaded" | "abandoned" | "failed" | "load-failed";

export type Request = {
  readonly attempts: number;
  /** Generation that was dialled when attempt 1 was lost. */
  readonly lostAt: number | null;
} & (
  | { readonly at: "new" | "gated" }
  /** `isStale`: the repair began before this request lost its connection. `outcome`: the repair is over. */
  | { readonly at: "waiting"; readonly isStale: boolean; readonly outcome: Outcome | null }
  | { readonly at: "flying"; readonly child: number; readonly generation: number }
  | { readonly at: "done"; readonly how: "reply" | "original-error" | "loading" | "gone" }
);

export interface Action {
  readonly order: "load" | "unload" | "restart";
  readonly phase: "draining" | "unload" | "bring";
  readonly recovery: Recovery | null;
}

/** How often each may still happen. */
export interface Budget {
  readonly deaths: number;
  /** A connection to a healthy child that is lost all the same. */
  readonly resets: number;
  readonly failedLoads: number;
  readonly silences: number;
  readonly leaves: number;
  readonly polls: number;
  readonly holdsOver: number;
  readonly backOffsOver: number;
}

export interface World {
  readonly version: Generation;
  readonly gate: "reject" | "hold";
  /** The child that lemond lists, and the one that runs. */
  readonly listed: number | null;
  readonly running: number | null;
  readonly isWarming: boolean;
  readonly lastChild: number;
  readonly child: number | null;
  readonly buried: number | null;
  readonly generation: number;
  readonly backsOff: boolean;
  readonly repair: Recovery | null;
  readonly action: Action | null;
  readonly order: Action["order"] | null;
  readonly requests: readonly [Request, Request];
  /** A health answer on its way to the slot; stale once the slot has learnt more. */
  readonly poll: { readonly listed: number | null; readonly isFresh: boolean } | null;
  readonly left: Budget;
  readonly counts: {
    readonly deaths: number;
    readonly failedLoads: number;
    readonly diedLoading: number;
    readonly resets: number;
    /** Times that an operator's drain was over before the requests were. */
    readonly cuts: number;
    /** Sent by repairs, not by the operator. */
    readonly loads: number;
    readonly unloads: number;
    /** Children that the operator unloaded. */
    readonly takenDown: number;
  };
  /** A law that the last move broke. */
  readonly fault: string | null;
}

export interface Start {
  readonly version: Generation;
  readonly gate: World["gate"];
  readonly order: Action["order"] | null;
  readonly left: Partial<Budget>;
}

const NOTHING_LEFT: Budget = {
  deaths: 0,
  resets: 0,
  failedLoads: 0,
  silences: 0,
  leaves: 0,
  polls: 0,
  holdsOver: 0,
  backOffsOver: 0,
};

/** A slot whose child serves, and two requests about to arrive. */
export function startOf({ version, gate, order, left }: Start): World {
  const request = { at: "new", attempts: 0, lostAt: null } as const;
  return {
    version,
    gate,
    order,
    listed: 1,
    running: 1,
    isWarming: false,
    lastChild: 1,
    child: 1,
    buried: null,
    generation: 1,
    backsOff: false,
    repair: null,
    action: null,
    requests: [request, request],
    poll: null,
    left: { ...NOTHING_LEFT, ...left },
    counts: { deaths: 0, failedLoads: 0, diedLoading: 0, resets: 0, cuts: 0, loads: 0, unloads: 0, takenDown: 0 },
    fault: null,
  };
}

export function spend(world: World, what: keyof Budget): World {
  return { ...world, left: { ...world.left, [what]: world.left[what] - 1 } };
}

export function count(world: World, what: keyof World["counts"]): World {
  return { ...world, counts: { ...world.counts, [what]: world.counts[what] + 1 } };
}

/** The slot takes the child as its own: as `adopt` of `src/state.ts`. */
export function adopt(world: World, child: number): World {
  const isNew = world.child !== child;
  return {
    ...settled(world),
    child,
    buried: isNew ? null : world.buried,
    generation: world.generation + (isNew ? 1 : 0),
    backsOff: false,
  };
}

/** As `bury` of `src/state.ts`. */
export function bury(world: World, dead: number): World {
  const buried = { ...world, buried: dead };
  return world.child === dead ? { ...settled(buried), child: null } : buried;
}

/** A health answer that is on its way does not overrule what is known from now on. */
export function settled(world: World): World {
  return world.poll ? { ...world, poll: { ...world.poll, isFresh: false } } : world;
}
