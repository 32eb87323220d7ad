// The error that a client gets when its slot gave no reply. Pure.
import type { Sent } from "../dispatch/call.ts";
import { DispatchError } from "../http/errors.ts";
import type { Failure, SlotRecord } from "./known.ts";

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
