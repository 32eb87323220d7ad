// Loads take turns: lemond loads one model at a time, and a load that is not read back leaves the others with a false picture.

export interface Turns {
  /** Resolves with the function that ends the turn; turns are given in the order in which they were asked for. */
  take(): Promise<() => void>;
  /** The same at once, or null while somebody has the turn. */
  takeIfFree(): (() => void) | null;
}

export function createTurns(): Turns {
  const queue: (() => void)[] = [];
  let isTaken = false;

  const give = (): (() => void) => {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const next = queue.shift();
      if (next) next();
      else isTaken = false;
    };
  };

  const takeIfFree = (): (() => void) | null => {
    if (isTaken) return null;
    isTaken = true;
    return give();
  };

  return {
    takeIfFree,
    take: () => {
      const free = takeIfFree();
      return free ? Promise.resolve(free) : new Promise((resolve) => queue.push(() => resolve(give())));
    },
  };
}
