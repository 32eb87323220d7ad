// Why a request gets no reply from its slot: as step.ts decides it, and the error that the client gets for it. Pure.
import type { Lost } from "../dispatch/attempt.ts";
import type { Sent } from "../dispatch/call.ts";
import { DispatchError } from "../http/errors.ts";
import { retryAfterS, secondsUntil } from "./backoff.ts";
import { type Phase, phaseOf } from "./jobs.ts";
import type { Known, Label, Request, SlotRecord } from "./known.ts";

export type Failure =
  | LostFailure
  | { readonly kind: "loading"; readonly phase: Phase; readonly model: string; readonly retryAfterS: number }
  /** The slot has another model by now, or has been taken out of the configuration. */
  | { readonly kind: "elsewhere" }
  | { readonly kind: "overloaded"; readonly waiting: number; readonly limit: number }
  | { readonly kind: "draining" };

interface LostFailure {
  readonly kind: "lost";
  readonly lost: Lost;
  readonly label: Label | null;
  /** What lemond said if nothing could be dialled, or why the wait was in vain. */
  readonly reason: string | null;
  readonly retryAfterS: number | null;
  /** It was sent twice. */
  readonly isRepeated: boolean;
}

/** `second`: how its second attempt was lost. */
export function lostFailure(
  known: Known,
  slot: SlotRecord,
  request: Request,
  label: Label | null,
  reason: string | null,
  second: Lost | null = null,
): LostFailure {
  const backOffS = secondsUntil(slot.backOff.untilMs, known.nowMs);
  const cause = slot.dead === null ? "not loaded" : "evicted";
  return {
    kind: "lost",
    lost: second ?? request.loss?.lost ?? { kind: "lost", error: "ConnectError", cause },
    label,
    reason: request.loss ? null : reason,
    retryAfterS: backOffS > 0 ? backOffS : null,
    isRepeated: second !== null,
  };
}

/** It was held in vain until its time was over. */
export function lateFailure(known: Known, slot: SlotRecord, request: Request, reason: string | null): Failure {
  return { ...lostFailure(known, slot, request, "failed", reason), retryAfterS: retryAfter(known, slot) };
}

export function loadingFailure(known: Known, slot: SlotRecord): Failure {
  const model = slot.job?.order?.model ?? slot.model;
  return { kind: "loading", phase: phaseOf(slot.job), model, retryAfterS: retryAfter(known, slot) };
}

function retryAfter({ nowMs }: Known, { state, loadStartedMs, loadTimesMs }: SlotRecord): number {
  const isLoading = state === "starting" || state === "warming";
  return retryAfterS(loadTimesMs, isLoading && loadStartedMs !== null ? nowMs - loadStartedMs : 0);
}

/** `target`: the URL last dialled, else lemond's. A lost connection stays a value, the rest are errors. */
export function failureOf(failure: Failure, slot: SlotRecord, target: string): Sent | DispatchError {
  const { name, state } = slot;
  switch (failure.kind) {
    case "lost": {
      const { lost, label, reason, retryAfterS, isRepeated } = failure;
      const headers = {
        ...(retryAfterS === null ? {} : { "retry-after": String(retryAfterS) }),
        // It was sent twice already: an SDK need not try again.
        ...(isRepeated ? { "x-should-retry": "false" } : {}),
      };
      return { outcome: lost, label, target, headers, reason: reason ?? undefined, end: () => {} };
    }
    case "loading": {
      const { phase, model, retryAfterS } = failure;
      const message = `Slot ${name} is not ready (${phase}); try again in ${retryAfterS} s.`;
      const progress = { phase, requested_model: model, upstream: name };
      const details = { slot: name, state, retry_after_s: retryAfterS, progress };
      return new DispatchError("slot.loading", message, details, { "retry-after": String(retryAfterS) });
    }
    case "elsewhere":
      return new DispatchError("slot.loading", `Slot ${name} no longer has the model that was asked for; try again.`, {
        slot: name,
        state,
      });
    case "overloaded": {
      const { waiting, limit } = failure;
      const message = `Slot ${name} has ${waiting} requests waiting already.`;
      return new DispatchError("slot.overloaded", message, { waiting, limit });
    }
    case "draining":
      return new DispatchError("server.draining", "The server is stopping.");
  }
}
