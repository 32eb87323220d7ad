// A wait during which the client is sent the upstream's comments as they come, and a heartbeat after each silence.
// Knows nothing of what is waited for. One timer at a time, none while nobody asks for the next step.

export interface Wait<T> {
  /** What the client is to be sent next, or what was waited for. One step at a time. */
  step(): Promise<WaitStep<T>>;
  /** The upstream's own comments, whole events. */
  comment(bytes: Uint8Array): void;
}

export type WaitStep<T> = { readonly bytes: Uint8Array } | { readonly value: T };

export interface WaitOptions {
  /** Milliseconds of silence before a heartbeat; 0 is never. */
  readonly everyMs: number;
  readonly beat: () => string;
  readonly now: () => number;
}

/** `awaited` must not reject. */
export function createWait<T>(awaited: Promise<T>, { everyMs, beat, now }: WaitOptions): Wait<T> {
  const encoder = new TextEncoder();
  const comments: Uint8Array[] = [];
  let settled: { readonly value: T } | null = null;
  let dueMs = now() + everyMs;
  let wake: () => void = () => {};
  void awaited.then((value) => {
    settled = { value };
    wake();
  });

  /** Null: nothing yet. */
  const ready = (): WaitStep<T> | null => {
    const bytes = comments.shift() ?? null;
    if (bytes === null && settled) return settled;
    if (bytes === null && (everyMs === 0 || now() < dueMs)) return null;
    dueMs = now() + everyMs;
    return { bytes: bytes ?? encoder.encode(beat()) };
  };

  return {
    step: async () => {
      for (;;) {
        const step = ready();
        if (step) return step;
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const timer = everyMs > 0 ? setTimeout(resolve, Math.max(0, dueMs - now())) : null;
        await promise;
        if (timer) clearTimeout(timer);
      }
    },
    comment: (bytes) => {
      comments.push(bytes);
      wake();
    },
  };
}
