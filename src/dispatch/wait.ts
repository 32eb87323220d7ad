// A wait during which the client is sent the upstream's comments as they come, and a heartbeat after each silence.
// Knows nothing of what is waited for. One timer at a time, none while nobody asks for the next step.

/** Written in this file alone. */
export interface Wait<T> {
  readonly options: WaitOptions;
  /** The upstream's own comments, whole events, that have not been sent yet. */
  readonly comments: Uint8Array[];
  settled: { readonly value: T } | null;
  /** When a heartbeat is due. */
  dueMs: number;
  wake: () => void;
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
export function createWait<T>(awaited: Promise<T>, options: WaitOptions): Wait<T> {
  const dueMs = options.now() + options.everyMs;
  const wait: Wait<T> = { options, comments: [], settled: null, dueMs, wake: () => {} };
  void awaited.then((value) => {
    wait.settled = { value };
    wait.wake();
  });
  return wait;
}

/** What the client is to be sent next, or what was waited for. One step at a time. */
export async function stepOf<T>(wait: Wait<T>): Promise<WaitStep<T>> {
  const { everyMs, now } = wait.options;
  for (;;) {
    const step = ready(wait);
    if (step) return step;
    const { promise, resolve } = Promise.withResolvers<void>();
    wait.wake = resolve;
    const timer = everyMs > 0 ? setTimeout(resolve, Math.max(0, wait.dueMs - now())) : null;
    await promise;
    if (timer) clearTimeout(timer);
  }
}

/** The upstream has sent a comment. */
export function comment(wait: Wait<unknown>, bytes: Uint8Array): void {
  wait.comments.push(bytes);
  wait.wake();
}

/** Null: nothing yet. */
function ready<T>(wait: Wait<T>): WaitStep<T> | null {
  const { everyMs, beat, now } = wait.options;
  const bytes = wait.comments.shift() ?? null;
  if (bytes === null && wait.settled) return wait.settled;
  if (bytes === null && (everyMs === 0 || now() < wait.dueMs)) return null;
  wait.dueMs = now() + everyMs;
  return { bytes: bytes ?? encoder.encode(beat()) };
}
