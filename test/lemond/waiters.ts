// A log that can be waited on: what has been, and what comes next. Every wait ends, by itself after ten seconds.

export interface Log<T> {
  readonly items: readonly T[];
  add(item: T): void;
  /** Tell the waiters that an item has changed. */
  changed(item: T): void;
  next(match: (item: T) => boolean, what: string): Promise<T>;
  any(match: (item: T) => boolean, what: string): Promise<T>;
}

const patienceMs = 10_000;

export function createLog<T>(): Log<T> {
  const items: T[] = [];
  const waiters = new Set<(item: T) => void>();
  const tell = (item: T): void => {
    for (const waiter of [...waiters]) waiter(item);
  };
  const next = (match: (item: T) => boolean, what: string): Promise<T> =>
    new Promise((resolve, reject) => {
      const waiter = (item: T): void => {
        if (!match(item)) return;
        waiters.delete(waiter);
        clearTimeout(timer);
        resolve(item);
      };
      const timer = setTimeout(() => {
        waiters.delete(waiter);
        reject(new Error(`${what}: nothing matched in ${patienceMs / 1000} s, ${items.length} in the log`));
      }, patienceMs);
      waiters.add(waiter);
    });
  return {
    items,
    add(item) {
      items.push(item);
      tell(item);
    },
    changed: tell,
    next,
    any(match, what) {
      const found = items.find(match);
      return found === undefined ? next(match, what) : Promise.resolve(found);
    },
  };
}
