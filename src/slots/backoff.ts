// How long a slot leaves lemond alone after a failed load, and how long a load is likely to take. Pure: time is an argument.

const FIRST_MS = 5000;
const MOST_MS = 300_000;

/** Doubles with every failure in a row, from 5 s to 5 min. */
export interface BackOff {
  readonly delayMs: number;
  readonly untilMs: number;
}

export const NO_BACK_OFF: BackOff = { delayMs: 0, untilMs: 0 };

export function afterFailure({ delayMs }: BackOff, nowMs: number): BackOff {
  const next = delayMs === 0 ? FIRST_MS : Math.min(delayMs * 2, MOST_MS);
  return { delayMs: next, untilMs: nowMs + next };
}

/** Whole seconds until then, rounded up (to the millisecond first, against float noise). */
export const secondsUntil = (untilMs: number, nowMs: number): number => Math.ceil(Math.round(untilMs - nowMs) / 1000);

const UNKNOWN_LOAD_S = 15;

/** Seconds until a load is likely done: the median of past ones less what has passed, 1 to 120; 15 when none is known. */
export function retryAfterS(loadTimesMs: readonly number[], elapsedMs: number): number {
  const median = medianMs(loadTimesMs);
  if (median === undefined) return UNKNOWN_LOAD_S;
  return Math.min(120, Math.max(1, Math.ceil((median - elapsedMs) / 1000)));
}

export function medianMs(timesMs: readonly number[]): number | undefined {
  return timesMs.toSorted((a, b) => a - b)[Math.floor(timesMs.length / 2)];
}
