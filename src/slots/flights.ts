// The attempts of one slot that are under way, from the dial to the last byte of the relay.
import type { Ended, LossCause } from "../dispatch/attempt.ts";
import type { Child } from "./child.ts";

export interface Flight {
  readonly child: Child;
  /** Ends the attempt as lost, timed out or left; replaced when the attempt has its connection. */
  cut: (ended: Ended) => void;
  /** Idempotent. */
  readonly end: () => void;
}

export type Flights = ReturnType<typeof createFlights>;

/** `onChange` is called when an attempt begins or ends. */
export function createFlights(now: () => number, onChange: () => void) {
  const flights = new Set<Flight>();
  let quietWaiters: (() => void)[] = [];
  let lastUsedAt: Date | null = null;
  let lastEndedMs = now();
  let isUsedSinceTouch = false;

  const end = (flight: Flight): void => {
    if (!flights.delete(flight)) return;
    lastUsedAt = new Date();
    lastEndedMs = now();
    if (flights.size === 0) {
      for (const wake of quietWaiters) wake();
      quietWaiters = [];
    }
    onChange();
  };

  return {
    get count() {
      return flights.size;
    },
    get lastUsedAt() {
      return lastUsedAt;
    },
    /** Milliseconds without any attempt; 0 while one is under way. */
    get quietMs() {
      return flights.size > 0 ? 0 : now() - lastEndedMs;
    },
    begin: (child: Child): Flight => {
      const flight: Flight = { child, cut: () => {}, end: () => end(flight) };
      flights.add(flight);
      isUsedSinceTouch = true;
      onChange();
      return flight;
    },
    /** The children that attempts are under way on: more than one while an old one lingers. */
    children: (): Set<Child> => new Set([...flights].map((flight) => flight.child)),
    /** Ends the attempts on that child, or all of them, as lost. */
    cut: (child: Child | null, cause: LossCause): void => {
      for (const flight of flights)
        if (child === null || flight.child === child) flight.cut({ kind: "lost", error: "RemoteProtocolError", cause });
    },
    /** Resolves when no attempt is under way. */
    quiet: (): Promise<void> =>
      flights.size === 0 ? Promise.resolve() : new Promise((resolve) => quietWaiters.push(resolve)),
    /** True once after use: lemond has not been told yet that the model is in use. */
    takeUse: (): boolean => {
      const wasUsed = isUsedSinceTouch;
      isUsedSinceTouch = flights.size > 0;
      return wasUsed;
    },
  };
}
