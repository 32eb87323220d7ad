// Everything that one moment of the exploration consists of: what the slots know (the real state), the lemond that they know it
// of, the answers still to come, and how much trouble may still happen. Plain data, cloned for every move.
import type { SlotConfig } from "../../src/config/config.ts";
import type { HealthAnswer } from "../../src/lemonade/listing.ts";
import type { ChildQuestion } from "../../src/slots/events.ts";
import type { Action, Job, Known, Settings, SlotRecord } from "../../src/slots/known.ts";
import type { Lemond } from "./lemond.ts";
import { all, createTable, put } from "../../src/slots/table.ts";

/** A request of a client, addressed to a slot by its name or to a model. */
export type Asked = { readonly slot: string } | { readonly model: string };

export interface Ordered {
  readonly slot: string;
  readonly action: Action;
  /** Of a swap. */
  readonly model?: string;
  /** It came on lemond's own path. */
  readonly isForwarded?: boolean;
}

/** How often each trouble may happen. */
export interface Budget {
  /** A child dies. */
  kills: number;
  /** A connection to a healthy child is lost. */
  resets: number;
  /** A stream that was cut is continued. */
  continuations: number;
  /** A client leaves. */
  leaves: number;
  /** Another client loads a model of its own. */
  visits: number;
  /** The other client's model is used. */
  uses: number;
  /** lemond goes away. */
  downs: number;
  /** Its port refuses for a while, and it forgets nothing. */
  refusals: number;
  /** A question to lemond is not answered in time. */
  silences: number;
  /** lemond denies access. */
  denials: number;
  /** A child does not answer in time. */
  busy: number;
  loadFailures: number;
  unloadFailures: number;
  /** A load is answered before its child has loaded. */
  slowLoads: number;
  touchFailures: number;
  /** lemond answers, and its answer comes later than what happened since. */
  lateAnswers: number;
  /** SIGTERM. */
  drains: number;
  /** The configuration is read anew, with another set of slots. */
  reloads: number;
}

/** Nothing goes wrong. */
export const none: Budget = {
  kills: 0,
  resets: 0,
  leaves: 0,
  continuations: 0,
  visits: 0,
  uses: 0,
  downs: 0,
  refusals: 0,
  silences: 0,
  denials: 0,
  busy: 0,
  loadFailures: 0,
  unloadFailures: 0,
  slowLoads: 0,
  touchFailures: 0,
  lateAnswers: 0,
  drains: 0,
  reloads: 0,
};

export interface Scenario {
  readonly name: string;
  readonly slots: readonly SlotConfig[];
  /** After the reload. */
  readonly reloaded: readonly SlotConfig[];
  readonly settings: Settings;
  /** Models that lemond knows by name. */
  readonly models: readonly string[];
  readonly loaded: readonly string[];
  readonly room: number;
  readonly isNoticing: boolean;
  readonly arePidsVisible: boolean;
  readonly requests: readonly Asked[];
  readonly orders: readonly Ordered[];
  readonly budget: Budget;
  /** The most moves of one run. */
  readonly depth: number;
}

/** An answer that is still to come. */
export type Pending =
  | {
      readonly kind: "health";
      readonly question: number;
      readonly askedMs: number;
      /** What lemond has answered already; the answer is on its way. */
      readonly answered: HealthAnswer | null;
    }
  | {
      readonly kind: "sign";
      readonly question: number;
      readonly child: number;
      readonly how: ChildQuestion;
      readonly askedMs: number;
    }
  | { readonly kind: "unload"; readonly slot: number; readonly job: number; readonly model: string }
  | {
      readonly kind: "load";
      readonly slot: number;
      readonly job: number;
      readonly model: string;
      /** lemond has begun: whatever stood in its way is evicted. */
      readonly isBegun: boolean;
      /** As lemond was last heard before it was sent, it has no room for it. */
      readonly isEvicting: boolean;
      /** With options of its own, so that a model which is loaded is loaded anew. */
      readonly isAnew: boolean;
    }
  | { readonly kind: "touch"; readonly slot: number; readonly model: string };

/** `out`: it has not come yet. */
export type Fate = "out" | "in" | "done";

/** What was sent to lemond for a model since it was last loaded or lost. */
export interface Sent {
  readonly loads: number;
  readonly unloads: number;
}

export interface World {
  readonly scenario: Scenario;
  nowMs: number;
  known: Known;
  lemond: Lemond;
  pending: readonly Pending[];
  /** Attempts under way; true: the client has its first byte. */
  attempts: Map<number, boolean>;
  /** Streams that were cut and may be continued, and their slots. */
  cut: Map<number, number>;
  budget: Budget;
  /** By number, from 1. */
  asked: readonly Asked[];
  requests: readonly Fate[];
  dials: readonly number[];
  orders: readonly Fate[];
  /** Of an order: its slot, and the child that this had. */
  ordered: Readonly<Record<number, Pick<SlotRecord, "id" | "child">>>;
  sent: Readonly<Record<string, Sent>>;
  /** When lemond last did not answer, or refused. */
  awayMs: number;
  /** When a client last left. */
  leftMs: number;
  /** When the last load of a slot failed, if it did; from the load on until it has a child again. */
  failedMs: Readonly<Record<number, number | undefined>>;
  /** Slots whose child was evicted by the other client, and that have been told so. */
  contested: Readonly<Record<number, number | undefined>>;
  isDraining: boolean;
  isStopped: boolean;
  isEnded: boolean;
  /** The laws that were broken on the way here. */
  broken: readonly string[];
}

export function cloneWorld(world: World): World {
  return {
    ...world,
    known: cloneKnown(world.known),
    lemond: { ...world.lemond },
    attempts: new Map(world.attempts),
    cut: new Map(world.cut),
    budget: { ...world.budget },
  };
}

function cloneKnown(known: Known): Known {
  const clone: Known = { ...known, slots: new Map(), children: new Map(), requests: createTable() };
  clone.turn = known.turn && { ...known.turn };
  clone.queue = [...known.queue];
  for (const [id, slot] of known.slots) clone.slots.set(id, cloneSlot(slot));
  for (const [id, child] of known.children) clone.children.set(id, { ...child });
  for (const request of all(known.requests))
    put(clone.requests, request.id, { ...request, loss: request.loss && { ...request.loss } });
  return clone;
}

const cloneSlot = (slot: SlotRecord): SlotRecord => ({
  ...slot,
  held: [...slot.held],
  job: slot.job && cloneJob(slot.job),
});

const cloneJob = (job: Job): Job => ({ ...job, order: job.order && { ...job.order } });

/** A copy with one entry replaced. */
export const replaced = <T>(list: readonly T[], at: number, value: T): readonly T[] => list.with(at, value);
