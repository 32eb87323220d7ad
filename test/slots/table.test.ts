// Things by number: what is put is found until it is removed, and what lives long does not make the table grow.
import { describe, expect, test } from "bun:test";
import { all, createTable, found, nextNumber, put, remove } from "../../src/slots/table.ts";

test("whatever comes and goes, it holds what a map would hold", () => {
  const table = createTable<string>();
  const map = new Map<number, string>();
  let last = 0;
  let seed = 1;
  for (let n = 0; n < 20_000; n++) {
    seed = (seed * 48_271) % 2_147_483_647;
    const gone = [...map.keys()][seed % Math.max(1, map.size)];
    if (gone !== undefined && seed % 100 > 45 + (n % 7000) / 700) {
      expect(remove(table, gone)).toBe(map.delete(gone));
    } else {
      last = nextNumber(table, last);
      put(table, last, `${last}`);
      map.set(last, `${last}`);
    }
    expect([table.size, found(table, last)]).toEqual([map.size, map.get(last)]);
  }
  expect(all(table).toSorted()).toEqual([...map.values()].toSorted());
  for (const [id, thing] of map) expect(found(table, id)).toBe(thing);
});

describe("a number", () => {
  test("is never given twice, and what was removed is not found under a later one", () => {
    const table = createTable<string>();
    const first = nextNumber(table, 0);
    put(table, first, "first");
    remove(table, first);
    put(table, first + 8, "later");
    expect([found(table, first), found(table, first + 8), remove(table, first)]).toEqual([undefined, "later", false]);
  });

  test("passes by a place that is taken for hours, so that a few things never take many places", () => {
    const table = createTable<string>();
    let last = nextNumber(table, 0);
    put(table, last, "a stream of hours");
    const stream = last;
    for (let n = 0; n < 10_000; n++) {
      last = nextNumber(table, last);
      put(table, last, "short");
      remove(table, last);
    }
    expect([table.ids.length, found(table, stream)]).toEqual([8, "a stream of hours"]);
  });

  test("that somebody else gave has its place, whatever was there", () => {
    const table = createTable<string>();
    for (const id of [1, 9, 17, 65]) put(table, id, `${id}`);
    expect([1, 9, 17, 65].map((id) => found(table, id))).toEqual(["1", "9", "17", "65"]);
    put(table, 9, "another");
    expect([table.size, found(table, 9)]).toEqual([4, "another"]);
  });
});
