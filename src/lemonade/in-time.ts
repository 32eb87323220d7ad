// The end of every question: its answer, or that none came in time.

/**
 * The promise's own end, or a rejection with a TimeoutError after `ms`. A signal alone does not do: to read or to cancel a body whose
 * fetch was aborted may never settle (Bun 1.4.5), and a slot that waits for such an answer waits for ever.
 */
export function inTime<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DOMException("no answer in time", "TimeoutError")), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
