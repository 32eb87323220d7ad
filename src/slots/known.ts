// What is known of one lemond and its slots. Types only.
// The state is plain data with numbers for names, so that it can be cloned and compared; step.ts alone changes it.
// Promises, sockets, /proc files and bodies live in maps of keeper.ts, attempts.ts and watch.ts, under the same numbers.
import type { SlotConfig } from "../config/config.ts";
import type { LossCause, Lost } from "../dispatch/attempt.ts";
import type { Listing, LoadedModel } from "../lemonade/listing.ts";
import type { BackOff } from "./backoff.ts";
import type { ChildEvidence, LemondEvidence } from "./repair.ts";
import type { Table } from "./table.ts";
import type { SlotState } from "./transitions.ts";

/** `x-hal0-repair`, and the outcome label of metrics and logs. */
export type Label = "recovered" | "retargeted" | "alive" | "loaded" | "failed" | "backed_off";

export interface Settings {
  readonly lemondUrl: string;
  readonly pollMs: number;
  /** 0: a model in use is never touched. */
  readonly touchMs: number;
  readonly loadTimeoutMs: number;
  readonly drainMs: number;
  readonly maxWaiting: number;
  /** Bytes of request bodies that one slot may hold while they wait. */
  readonly maxHeldBytes: number;
  readonly autoSlots: boolean;
  /** What a slot without a section of its own runs with. */
  readonly slotDefaults: Omit<SlotConfig, "name" | "model">;
}

export interface Child extends Pick<LoadedModel, "url" | "pid" | "checkpoint" | "type" | "isReachable" | "recipe"> {
  /** Answers to questions with a number up to this are too old to count. */
  readonly id: number;
  /** Children with a higher number came after it was last listed. */
  listedAt: number;
  /** Answers in a row that do not list it. */
  misses: number;
  /** Attempts under way on it. */
  attempts: number;
  /** The number of the question under way about it while attempts run; null: nothing is asked. */
  examination: number | null;
  /** lemond evicted it for someone: port refused with our sockets open, or health blocked first. */
  isEvicted: boolean;
}

/** One request of a client, from the moment its slot is known to its last byte. */
export interface Request {
  readonly id: number;
  /** Its `x-request-id`, for the log. */
  readonly name: string;
  readonly slot: number;
  readonly bodyBytes: number;
  /** Goes before the others once the slot serves again: the rest of a stream that was cut. */
  readonly isContinuation: boolean;
  /** The model it names, if it names no slot: no other may answer it. */
  readonly model: string | null;
  /** Its route and body fit a child; else it goes through lemond. */
  readonly mayDial: boolean;
  /** The attempt under way is at the child itself. */
  isDirect: boolean;
  /** The child it was sent to; null: it is held. */
  child: number | null;
  generation: number;
  attempts: number;
  heldUntilMs: number;
  heldSinceMs: number;
  /** How long it was held in all. */
  waitedMs: number;
  loss: Loss | null;
  label: Label | null;
}

export interface Loss {
  readonly lost: Lost;
  readonly generation: number;
  /** The job under way when the connection was lost: if that job finds the child alive, it proves nothing. */
  readonly duringJob: number | null;
  /** Repaired since: attempt 2 may be made. */
  isRepaired: boolean;
}

export type Action = "load" | "unload" | "restart" | "swap";

/** What an operator ordered. */
export interface Order {
  readonly id: number;
  readonly action: Action;
  readonly model: string;
  isTakingDown: boolean;
  /** A load, unload or delete that a client sent to lemond's own path. */
  readonly forward: Forward | null;
}

export interface Forward {
  /** Default `POST`. */
  readonly method?: "POST" | "DELETE";
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export type Stage =
  "draining" | "checking" | "turn" | "newcomer" | "room" | "unloading" | "loading" | "reading back" | "warming";

/** The work on a slot that is under way: a repair, a load on demand, or an operator's order. One at a time. */
export interface Job {
  readonly id: number;
  readonly order: Order | null;
  /** No connection was lost: a request, or `keep`, found the slot without a child. */
  readonly isOnDemand: boolean;
  readonly isKeeping: boolean;
  readonly cause: LossCause;
  readonly request: string | null;
  /** The child that was dialled, or the one last found dead. */
  suspect: number | null;
  readonly startedMs: number;
  /** Until then lemond is asked again, and a loading child is waited for. */
  untilMs: number;
  stage: Stage;
  lemond: LemondEvidence;
  child: ChildEvidence;
  /** What is known of the child before it is asked. */
  readonly reported: ChildEvidence;
  /** The number that the answer must carry; null: nothing is asked. */
  question: number | null;
  /** Nothing is asked before this. */
  againMs: number;
  /** When the wait of this stage is over. */
  stageUntilMs: number;
  refusal: string;
  /** The load's own failure, which is reported after the read-back. */
  fault: string | null;
  /** What the load says that it loaded. */
  checkpoint: string | null;
  /** Loads sent. */
  loads: number;
  hasRoom: boolean;
  /** Another client made lemond evict the model. */
  isContested: boolean;
  /** The other client's model, its `last_use`, and since when that has not changed. */
  newcomer: { readonly url: string | null; readonly lastUse: number | null; readonly sinceMs: number } | null;
  /** The child that the load brought, until it serves. `isGone`: its process has ended, and lemond is asked why. */
  fresh: { readonly child: number; readonly listed: LoadedModel; readonly isGone: boolean } | null;
  pauseMs: number;
  refusedSinceMs: number | null;
}

export interface SlotRecord {
  readonly id: number;
  readonly name: string;
  readonly isImplicit: boolean;
  config: SlotConfig;
  model: string;
  state: SlotState;
  sinceMs: number;
  child: number | null;
  /** The child last found dead: not adopted again while lemond still lists it. */
  dead: number | null;
  /** The child last adopted. */
  last: { readonly url: string; readonly pid: number | null } | null;
  generation: number;
  /** Answers to questions with a number up to this are too old to change the slot. */
  settledAt: number;
  /** What lemond last listed for the model. */
  seen: LoadedModel | null;
  lastError: string | null;
  backOff: BackOff;
  job: Job | null;
  /** Requests that wait, in the order in which they came. */
  held: number[];
  heldBytes: number;
  /** Attempts under way. */
  inFlight: number;
  isUsedSinceTouch: boolean;
  touchDueMs: number;
  lastUsedMs: number | null;
  loadStartedMs: number | null;
  loadTimesMs: number[];
  adoptedMs: number;
  /** lemond serves the name without ever listing it (an alias). */
  isAlias: boolean;
  /** A kept slot is not loaded again before this. */
  keepBackOff: BackOff;
  /** Unloaded by an operator: not kept until somebody asks for it. */
  isDismissed: boolean;
  /** Taken out of the configuration: forgotten when its last request has ended. */
  isLeaving: boolean;
}

export interface Known {
  nowMs: number;
  lastId: number;
  settings: Settings;
  /** Null before lemond was asked. */
  isUp: boolean | null;
  listing: Listing | null;
  /** What lemond can load, by name. */
  models: Readonly<Record<string, ModelKind>>;
  slots: Map<number, SlotRecord>;
  children: Map<number, Child>;
  requests: Table<Request>;
  /** Whose load or touch it is; `claim`: the type whose room it is about to take. */
  turn: { readonly slot: number; readonly isTouch: boolean; claim: string | null } | null;
  turnEndedMs: number;
  queue: number[];
  pollDueMs: number;
  pollQuestion: number | null;
  /** Since when lemond's health has given no answer; null: the last question was answered. */
  silentSinceMs: number | null;
  /** The server is stopping: nothing is repaired unless a request waits for it. */
  isDraining: boolean;
  /** The time to drain is over: every request is answered now. */
  isStopping: boolean;
}

/** What lemond says of a model that is not loaded. */
export interface ModelKind {
  readonly type: string;
  readonly recipe: string;
}
