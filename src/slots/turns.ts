// Loads take turns: lemond loads one model at a time, and a load that is not read back leaves the others with a false picture.

export interface Turns {
  /** Resolves with the function that ends the turn; turns are given in the order in which they were asked for. */
  take(): Promise<() => void>;
  /** The same at once, or null while somebody has the turn. */
  takeIfFree(): (() => void) | null;
  /** Whoever has the turn is about to make lemond drop a model of that type: until the turn ends nobody dials one. */
  claim(type: string): void;
  /** Resolves when the claim on that type ends; null where there is none. */
  claimed(type: string): Promise<void> | null;
}

export function createTurns(): Turns {
  const queue: (() => void)[] = [];
  let isTaken = false;
  let claim: { readonly type: string; readonly ended: Promise<void>; readonly end: () => void } | null = null;

  const give = (): (() => void) => {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      claim?.end();
      claim = null;
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
    claim: (type) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      claim = { type, ended: promise, end: resolve };
    },
    claimed: (type) => (claim?.type === type ? claim.ended : null),
    takeIfFree,
    take: () => {
      const free = takeIfFree();
      return free ? Promise.resolve(free) : new Promise((resolve) => queue.push(() => resolve(give())));
    },
  };
}
