// Turns and latches: what makes calls wait for each other in lemond, and for a test.
import type { Latch } from "./types.ts";

/** One after the other, in the order of asking. */
export interface Turns {
  take<T>(work: () => Promise<T> | T): Promise<T>;
}

export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return {
    take(work) {
      const mine = last.then(work);
      // A failed turn is its owner's affair; the next one starts all the same.
      last = mine.catch(() => undefined);
      return mine;
    },
  };
}

export interface Hold {
  hold(): Latch;
  /** Resolves when nobody holds. */
  passed(): Promise<void>;
  readonly isHeld: boolean;
}

export function createHold(): Hold {
  let holders = 0;
  let waiting: (() => void)[] = [];
  const release = (): void => {
    holders -= 1;
    if (holders > 0) return;
    const free = waiting;
    waiting = [];
    for (const go of free) go();
  };
  return {
    get isHeld() {
      return holders > 0;
    },
    hold() {
      holders += 1;
      let isReleased = false;
      return {
        release() {
          if (!isReleased) release();
          isReleased = true;
        },
      };
    },
    passed: () => (holders === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
