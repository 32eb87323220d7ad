// A wait during which the client is sent the upstream's comments as they come, and a heartbeat after each silence.
// Knows nothing of what is waited for. One timer at a time, none while nobody asks for the next step.

/** Written in this file alone. */
export interface Wait<T> extends WaitOptions {
  /** The upstream's own comments, whole events, that have not been sent yet. */
  comments: Uint8Array[] | null;
  settled: { readonly value: T } | null;
  /** When a heartbeat is due. */
  dueMs: number;
  /** Whoever waits for the next step. */
  give: ((step: WaitStep<T>) => void) | null;
  timer: Timer | null;
}

export type WaitStep<T> = { readonly bytes: Uint8Array } | { readonly value: T };

export interface WaitOptions {
  /** Milliseconds of silence before a heartbeat; 0 is never. */
  readonly everyMs: number;
  readonly beat: () => string;
  readonly now: () => number;
}

const encoder = new TextEncoder();

/** `awaited` must not reject. */
export function createWait<T>(awaited: Promise<T>, { everyMs, beat, now }: WaitOptions): Wait<T> {
  const dueMs = now() + everyMs;
  const wait: Wait<T> = { everyMs, beat, now, comments: null, settled: null, dueMs, give: null, timer: null };
  void awaited.then((value) => {
    wait.settled = { value };
    wake(wait);
  });
  return wait;
}

/** What the client is to be sent next, or what was waited for. One step at a time. */
export function stepOf<T>(wait: Wait<T>): WaitStep<T> | Promise<WaitStep<T>> {
  return (
    ready(wait) ??
    new Promise((resolve) => {
      wait.give = resolve;
      setTimer(wait);
    })
  );
}

/** The upstream has sent a comment. */
export function comment<T>(wait: Wait<T>, bytes: Uint8Array): void {
  (wait.comments ??= []).push(bytes);
  wake(wait);
}

function wake<T>(wait: Wait<T>): void {
  if (!wait.give) return;
  if (wait.timer) clearTimeout(wait.timer);
  wait.timer = null;
  const step = ready(wait);
  // A timer may ring a little early.
  if (!step) return setTimer(wait);
  wait.give(step);
  wait.give = null;
}

function setTimer<T>(wait: Wait<T>): void {
  const { everyMs, now } = wait;
  if (everyMs > 0) wait.timer = setTimeout(() => wake(wait), Math.max(0, wait.dueMs - now()));
}

/** Null: nothing yet. */
function ready<T>(wait: Wait<T>): WaitStep<T> | null {
  const { everyMs, beat, now } = wait;
  const bytes = wait.comments?.shift() ?? null;
  if (bytes === null && wait.settled) return wait.settled;
  if (bytes === null && (everyMs === 0 || now() < wait.dueMs)) return null;
  wait.dueMs = now() + everyMs;
  return { bytes: bytes ?? encoder.encode(beat()) };
}
