// Counts what was accepted, from its first byte until its reply is over, so that the end of the process can wait for it.
// Never decides what is accepted.
import { DispatchError } from "./errors.ts";

/** One request, or one operator's action. */
export interface Entry {
  /** The promise's own end, or `server.draining` where the server no longer waits for it. One at a time. */
  within<T>(promise: Promise<T>): Promise<T>;
  /** Stays counted when its handler has returned, until `leave`: the reply is a stream. */
  keep(): void;
  /** Idempotent. */
  leave(): void;
  readonly isKept: boolean;
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

const NOTHING = (): void => {};

export function createAccepted(): Accepted {
  const cuts = new Map<Entry, () => void>();
  let tellIdle: (() => void)[] = [];
  let isCut = false;

  const enter = (): Entry => {
    let isKept = false;
    const entry: Entry = {
      within: (promise) =>
        new Promise((resolve, reject) => {
          const end = (): void => reject(stopping());
          if (isCut) end();
          else cuts.set(entry, end);
          // What was waited for may be a body of many megabytes, and the stream that follows may run for hours.
          const forget = (): void => void (cuts.get(entry) === end && cuts.set(entry, NOTHING));
          promise.then(
            (value) => {
              forget();
              resolve(value);
            },
            (error: unknown) => {
              forget();
              reject(error);
            },
          );
        }),
      keep: () => {
        isKept = true;
      },
      leave: () => {
        if (!cuts.delete(entry) || cuts.size > 0) return;
        for (const tell of tellIdle.splice(0)) tell();
      },
      get isKept() {
        return isKept;
      },
    };
    cuts.set(entry, NOTHING);
    return entry;
  };

  return {
    enter,
    get count() {
      return cuts.size;
    },
    idle: async (ms) => {
      if (cuts.size === 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      tellIdle.push(resolve);
      await promise;
      clearTimeout(timer);
    },
    cut: () => {
      isCut = true;
      for (const end of cuts.values()) end();
    },
  };
}
