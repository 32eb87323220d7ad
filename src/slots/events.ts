// What can happen to the slots of one lemond, and what can be done about it: what step.ts takes and what it gives.
// Whoever carries out an effect reports its answer as an event with the same number.
import type { SlotConfig } from "../config/config.ts";
import type { LossCause, Lost } from "../dispatch/attempt.ts";
import type { Done } from "../lemonade/lemonade.ts";
import type { HealthAnswer } from "../lemonade/listing.ts";
import type { Failure } from "./failures.ts";
import type { Action, Child, Forward, Job, Known, Label, ModelKind, Request, Settings, SlotRecord } from "./known.ts";
import type { ChildSign } from "./repair.ts";
import type { SlotState } from "./transitions.ts";

/** `pid`: is its process alive (if we may not dial it). `port`: also which model, or what health, answers there. `slots`: also whether /slots answers, asked twice. */
export type ChildQuestion = "pid" | "port" | "slots";

export interface ChildAsked {
  /** The number that the answer must carry. */
  readonly question: number;
  readonly child: Child;
  readonly how: ChildQuestion;
  /** Another model is listed at its URL: a living process may have lost its port. */
  readonly isShared: boolean;
}

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
  | ({ readonly do: "ask-child" } & ChildAsked)
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
