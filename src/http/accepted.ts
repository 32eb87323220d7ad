// Counts what was accepted, from its first byte until its reply is over, so that the end of the process can wait for it.
// Never decides what is accepted.
import { all, createTable, nextNumber, put, remove, type Table } from "../slots/table.ts";
import { DispatchError } from "./errors.ts";

/** One request, or one operator's action. Written by the functions below alone. */
export interface Entry {
  /** Stays counted when its handler has returned: the reply is a stream. */
  isKept: boolean;
  /** Ends the wait under way, if any. */
  endWait: ((error: DispatchError) => void) | null;
  readonly id: number;
  readonly counted: Counted;
}

interface Counted {
  readonly entries: Table<Entry>;
  lastId: number;
  tellIdle: (() => void)[];
  isCut: boolean;
}

export interface Accepted {
  enter(): Entry;
  readonly count: number;
  /** Resolves when nothing is counted, after `ms` at the latest. */
  idle(ms: number): Promise<void>;
  /** Ends every wait, now and from now on. */
  cut(): void;
}

export function stopping(): DispatchError {
  return new DispatchError("server.draining", "The server is stopping.");
}

export function createAccepted(): Accepted {
  const counted: Counted = { entries: createTable(), lastId: 0, tellIdle: [], isCut: false };
  return {
    enter: () => {
      const id = nextNumber(counted.entries, counted.lastId);
      const entry: Entry = { isKept: false, endWait: null, id, counted };
      counted.lastId = id;
      put(counted.entries, id, entry);
      return entry;
    },
    get count() {
      return counted.entries.size;
    },
    idle: async (ms) => {
      if (counted.entries.size === 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      counted.tellIdle.push(resolve);
      await promise;
      clearTimeout(timer);
    },
    cut: () => {
      counted.isCut = true;
      for (const { endWait } of all(counted.entries)) endWait?.(stopping());
    },
  };
}

/** The promise's own end, or `server.draining` where the server no longer waits for it. One at a time. */
export function within<T>(entry: Entry, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (entry.counted.isCut) reject(stopping());
    else entry.endWait = reject;
    promise.then(resolve, reject);
  });
}

/** Counts the entry until `leave`, also when its handler has returned. */
export function keep(entry: Entry): void {
  entry.isKept = true;
  // It holds what was waited for: a body of many megabytes, and the stream that follows may run for hours.
  entry.endWait = null;
}

/** Idempotent. */
export function leave(entry: Entry): void {
  const { entries, tellIdle } = entry.counted;
  if (!remove(entries, entry.id) || entries.size > 0) return;
  for (const tell of tellIdle.splice(0)) tell();
}
