// Limits our requests at lemond's own port: each takes one of its workers, and health and loads need some too.

export interface Places {
  /** Resolves with the function that gives the place back; rejects when the signal is given first. */
  take(limit: AbortSignal): Promise<() => void>;
}

/** `most` is asked anew each time: lemond's version is known only after its first answer. */
export function createPlaces(most: () => number): Places {
  const waiting: (() => void)[] = [];
  let taken = 0;

  const giveBack = (): void => {
    taken--;
    while (taken < most() && waiting.length > 0) waiting.shift()?.();
  };
  const place = (): (() => void) => {
    taken++;
    let isOver = false;
    return () => {
      if (!isOver) giveBack();
      isOver = true;
    };
  };

  return {
    take: (limit) => {
      if (limit.aborted) return Promise.reject(limit.reason);
      if (taken < most()) return Promise.resolve(place());
      return new Promise((resolve, reject) => {
        const enter = (): void => {
          limit.removeEventListener("abort", leave);
          resolve(place());
        };
        const leave = (): void => {
          waiting.splice(waiting.indexOf(enter), 1);
          reject(limit.reason);
        };
        limit.addEventListener("abort", leave, { once: true });
        waiting.push(enter);
      });
    },
  };
}

/** Half the workers: lemond has 8 before version 11, then 32. */
export function placesOf(configured: number | null, version: string | undefined): number {
  return configured ?? (Number.parseInt(version ?? "0", 10) >= 11 ? 16 : 4);
}
