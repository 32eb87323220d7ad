// Things by number, for what comes and goes with each request. A Map would keep what was deleted from it: at each rehash its old
// storage, dead in the old generation, points to the next (JSC of Bun 1.4.5). Five such maps made the collector's share of a
// request five times what it is. Decides nothing.

/** By place, which is the low bits of the number. Written in this file alone. */
export interface Table<T> {
  ids: number[];
  things: (T | null)[];
  size: number;
}

const FREE = -1;
/** A power of two, like every size. */
const FEWEST_PLACES = 8;

export function createTable<T>(): Table<T> {
  return { ids: filled(FEWEST_PLACES, FREE), things: filled<T | null>(FEWEST_PLACES, null), size: 0 };
}

const filled = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

export function found<T>({ ids, things }: Table<T>, id: number): T | undefined {
  const place = id & (ids.length - 1);
  return ids[place] === id ? (things[place] ?? undefined) : undefined;
}

export function put<T>(table: Table<T>, id: number, thing: T): void {
  while (!isFree(table, id) && !has(table, id)) grow(table);
  const place = id & (table.ids.length - 1);
  if (!has(table, id)) table.size++;
  table.ids[place] = id;
  table.things[place] = thing;
}

/** False where there is none of that number. */
export function remove<T>(table: Table<T>, id: number): boolean {
  if (!has(table, id)) return false;
  const place = id & (table.ids.length - 1);
  table.ids[place] = FREE;
  table.things[place] = null;
  table.size--;
  return true;
}

/** All of them, in no order. */
export function all<T>({ things }: Table<T>): T[] {
  return things.filter((thing) => thing !== null);
}

/** A number above `last` whose place is free: what lives long is passed by, and the table stays small. */
export function nextNumber<T>(table: Table<T>, last: number): number {
  if (table.size * 2 > table.ids.length) grow(table);
  let id = last + 1;
  while (!isFree(table, id)) id++;
  return id;
}

const has = ({ ids }: Table<unknown>, id: number): boolean => ids[id & (ids.length - 1)] === id;

const isFree = ({ ids }: Table<unknown>, id: number): boolean => ids[id & (ids.length - 1)] === FREE;

/** Numbers with different places have different ones in twice as many. */
function grow<T>(table: Table<T>): void {
  const { ids, things } = table;
  const places = ids.length * 2;
  table.ids = filled(places, FREE);
  table.things = filled<T | null>(places, null);
  ids.forEach((id, at) => {
    if (id === FREE) return;
    table.ids[id & (places - 1)] = id;
    table.things[id & (places - 1)] = things[at] ?? null;
  });
}
