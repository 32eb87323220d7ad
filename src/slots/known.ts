// What is known of one lemond and its slots, what can happen to it, and what can be done about it. Types only.
// The state is plain data with numbers for names, so that it can be cloned and compared; step.ts alone changes it.
// Promises, sockets, /proc files and bodies live in maps of keeper.ts, attempts.ts and watch.ts, under the same numbers.
import type { SlotConfig } from "../config/config.ts";
import type { LossCause, Lost } from "../dispatch/attempt.ts";
import type { Done, HealthAnswer, Listing, LoadedModel } from "../lemonade/lemonade.ts";
import type { BackOff } from "./backoff.ts";
import type { ChildEvidence, ChildSign, LemondEvidence } from "./repair.ts";
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

export interface Child {
  readonly id: number;
  readonly url: string;
  readonly pid: number | null;
  readonly checkpoint: string | null;
  readonly type: string;
  /** Its port can be dialled from here. */
  readonly isReachable: boolean;
  readonly recipe: string;
  /** Answers to questions with a number up to this are too old to count. */
  readonly knownSince: number;
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
  /** The child that the load brought, until it serves. */
  fresh: { readonly child: number; readonly listed: LoadedModel } | null;
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
  requests: Map<number, Request>;
  /** Whose load or touch it is; `claim`: the type whose room it is about to take. */
  turn: { readonly slot: number; readonly isTouch: boolean; claim: string | null } | null;
  turnEndedMs: number;
  queue: number[];
  pollDueMs: number;
  pollQuestion: number | null;
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

/** `pid`: is its process alive (if we may not dial it). `port`: also which model, or what health, answers there. `slots`: also whether /slots answers, asked twice. */
export type ChildQuestion = "pid" | "port" | "slots";

export type Event =
  | { readonly kind: "arrived"; readonly request: NewRequest }
  | { readonly kind: "left"; readonly request: number }
  /** Its connection was lost before the client had a byte. */
  | { readonly kind: "lost"; readonly request: number; readonly lost: Lost }
  /** The port said 503 before anything was sent: nothing was lost. */
  | { readonly kind: "still-loading"; readonly request: number }
  /** Its stream was cut after the first byte. */
  | { readonly kind: "broken"; readonly request: number; readonly cause: LossCause }
  | { readonly kind: "ended"; readonly request: number }
  /** `gone`: children whose process has ended. `isLive`: lemond's /live answers. */
  | {
      readonly kind: "health";
      readonly question: number;
      readonly answer: HealthAnswer;
      readonly isLive: boolean;
      readonly tookMs: number;
      readonly gone: readonly number[];
    }
  | {
      readonly kind: "sign";
      readonly question: number;
      readonly child: number;
      readonly how: ChildQuestion;
      readonly sign: ChildSign | "gone";
    }
  /** A silent reply, and the child's port refused twice. */
  | { readonly kind: "port-refused"; readonly child: number }
  | { readonly kind: "unloaded" | "loaded"; readonly slot: number; readonly job: number; readonly result: Done }
  | { readonly kind: "touched"; readonly slot: number; readonly ok: boolean }
  | {
      readonly kind: "ordered";
      readonly slot: number;
      readonly order: number;
      readonly action: Action;
      readonly model: string;
      readonly forward: Forward | null;
    }
  | { readonly kind: "configured"; readonly settings: Settings; readonly slots: readonly SlotConfig[] }
  /** A model that a client may name. */
  | { readonly kind: "named"; readonly model: string }
  | { readonly kind: "models"; readonly models: Readonly<Record<string, ModelKind>> }
  | { readonly kind: "draining" }
  /** The time for requests under way is over. */
  | { readonly kind: "stopping" }
  | { readonly kind: "wake" };

export type NewRequest = Pick<Request, "id" | "name" | "slot" | "bodyBytes" | "isContinuation" | "model" | "mayDial">;

/** Why a request gets no reply from the slot. */
export type Failure =
  | {
      readonly kind: "lost";
      readonly lost: Lost;
      readonly label: Label | null;
      /** What lemond said if nothing could be dialled, or why the wait was in vain. */
      readonly reason: string | null;
      readonly retryAfterS: number | null;
      /** It was sent twice. */
      readonly isRepeated: boolean;
    }
  | { readonly kind: "loading"; readonly phase: Phase; readonly model: string; readonly retryAfterS: number }
  /** The slot has another model by now, or has been taken out of the configuration. */
  | { readonly kind: "elsewhere" }
  | { readonly kind: "overloaded"; readonly waiting: number; readonly limit: number }
  | { readonly kind: "draining" };

export type Phase = "draining" | "checking" | "waiting" | "unloading" | "loading" | "warming";

/** A repair, or a load that no loss caused, that has ended. */
export interface JobEnd {
  readonly slot: SlotRecord;
  readonly cause: LossCause;
  readonly outcome: Label;
  readonly reason: string | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly durationMs: number;
  readonly request: string | null;
  /** A child was lost; else a model was loaded that had none. */
  readonly isLoss: boolean;
}

export type OrderFault =
  | { readonly code: "busy" | "implicit" | "draining" }
  | { readonly code: "unload-failed" | "load-failed"; readonly cause: string; readonly retryAfterS: number };

export type Effect =
  | {
      readonly do: "dial";
      readonly request: Request;
      readonly slot: SlotRecord;
      readonly child: Child;
      readonly isShared: boolean;
    }
  | { readonly do: "answer"; readonly request: Request; readonly failure: Failure }
  | { readonly do: "cut"; readonly request: number; readonly cause: LossCause }
  | { readonly do: "ask-lemond"; readonly question: number }
  | { readonly do: "ask-models" }
  | {
      readonly do: "ask-child";
      readonly question: number;
      readonly child: Child;
      readonly how: ChildQuestion;
      readonly isShared: boolean;
    }
  | { readonly do: "unload"; readonly slot: SlotRecord; readonly job: Job }
  | {
      readonly do: "load";
      readonly slot: SlotRecord;
      readonly job: Job;
      readonly options: Readonly<Record<string, unknown>>;
    }
  | {
      readonly do: "touch";
      readonly slot: SlotRecord;
      readonly model: string;
      readonly options: Readonly<Record<string, unknown>>;
    }
  | { readonly do: "tell-order"; readonly order: number; readonly fault: OrderFault | null }
  | { readonly do: "tell-job"; readonly end: JobEnd }
  | { readonly do: "tell-loss"; readonly request: Request; readonly slot: SlotRecord }
  | { readonly do: "tell-state"; readonly slot: SlotRecord; readonly from: SlotState; readonly to: SlotState }
  | { readonly do: "forget-slot"; readonly slot: number }
  | {
      readonly do: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly event: string;
      readonly request: string | null;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  /** A child is known from now on. */
  | { readonly do: "open"; readonly child: Child }
  | { readonly do: "forget"; readonly child: number };

/** One step in the making: what is known, and what is to be done when it is over. */
export interface Move {
  readonly known: Known;
  readonly effects: Effect[];
  /** Slots whose job may go on, or whose waiting requests may be decided about. */
  readonly dirty: SlotRecord[];
}

/** A number that nothing else has. */
export const nextId = ({ known }: Move): number => ++known.lastId;
