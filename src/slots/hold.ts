// Where requests of one slot wait for a repair, a load, or an operator's action. A client that leaves costs nothing.
import { DispatchError } from "../http/errors.ts";

export type Held<T> =
  { readonly kind: "value"; readonly value: T } | { readonly kind: "late" } | { readonly kind: "client-gone" };

export interface Waiting {
  readonly count: number;
  /** Waits for `promise`, for `ms` at most, as long as the client stays. Throws `slot.overloaded` where too many wait, `server.draining` on close. */
  hold<T>(promise: Promise<T>, ms: number, client: AbortSignal): Promise<Held<T>>;
  /** Sends everyone away with `server.draining`. */
  close(): void;
}

export function createWaiting(slot: string, limit: () => number): Waiting {
  const draining = new DispatchError("server.draining", "The server is stopping.");
  const waiters = new Set<(error: DispatchError) => void>();
  return {
    get count() {
      return waiters.size;
    },
    hold: async <T>(promise: Promise<T>, ms: number, client: AbortSignal): Promise<Held<T>> => {
      if (client.aborted) return { kind: "client-gone" };
      const count = waiters.size;
      if (count >= limit()) {
        const message = `Slot ${slot} has ${count} requests waiting already.`;
        throw new DispatchError("slot.overloaded", message, { waiting: count, limit: limit() });
      }
      const { promise: interrupted, resolve, reject } = Promise.withResolvers<Held<T>>();
      waiters.add(reject);
      const timer = setTimeout(() => resolve({ kind: "late" }), Math.max(0, ms));
      const leave = (): void => resolve({ kind: "client-gone" });
      client.addEventListener("abort", leave, { once: true });
      try {
        return await Promise.race([promise.then((value): Held<T> => ({ kind: "value", value })), interrupted]);
      } finally {
        clearTimeout(timer);
        client.removeEventListener("abort", leave);
        waiters.delete(reject);
      }
    },
    close: () => {
      for (const reject of waiters) reject(draining);
    },
  };
}
