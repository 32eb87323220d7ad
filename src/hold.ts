// Where requests of one slot wait for a repair, a load, or an operator's action. A client that leaves costs nothing.
import { DispatchError } from "./errors.ts";

export type Held<T> =
  { readonly kind: "value"; readonly value: T } | { readonly kind: "late" } | { readonly kind: "client-gone" };

export interface Waiting {
  readonly count: number;
  /** Waits for `promise`, for `ms` at most, as long as the client stays. Throws `slot.overloaded` where too many wait. */
  hold<T>(promise: Promise<T>, ms: number, client: AbortSignal): Promise<Held<T>>;
}

export function createWaiting(slot: string, limit: () => number): Waiting {
  let count = 0;
  return {
    get count() {
      return count;
    },
    hold: async <T>(promise: Promise<T>, ms: number, client: AbortSignal): Promise<Held<T>> => {
      if (client.aborted) return { kind: "client-gone" };
      if (count >= limit()) {
        const message = `Slot ${slot} has ${count} requests waiting already.`;
        throw new DispatchError("slot.overloaded", message, { waiting: count, limit: limit() });
      }
      count++;
      const { promise: interrupted, resolve } = Promise.withResolvers<Held<T>>();
      const timer = setTimeout(() => resolve({ kind: "late" }), Math.max(0, ms));
      const leave = (): void => resolve({ kind: "client-gone" });
      client.addEventListener("abort", leave, { once: true });
      try {
        return await Promise.race([promise.then((value): Held<T> => ({ kind: "value", value })), interrupted]);
      } finally {
        clearTimeout(timer);
        client.removeEventListener("abort", leave);
        count--;
      }
    },
  };
}
