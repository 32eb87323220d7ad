// Time as an argument, so that rules about time can be tested without waiting for it.

export interface Clock {
  /** Milliseconds that only go up. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

export const systemClock: Clock = { now: () => performance.now(), sleep: (ms) => Bun.sleep(ms) };
