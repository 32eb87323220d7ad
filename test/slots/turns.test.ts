// Loads take turns: one at a time, in the order of asking, and nobody waits for ever.
import { expect, test } from "bun:test";
import { createTurns } from "../../src/slots/turns.ts";

/** What has happened once all that can happen now has. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("the first turn is given at once, the next when it ends, in the order of asking", async () => {
  const turns = createTurns();
  const given: string[] = [];
  const ask = async (name: string): Promise<() => void> => {
    const end = await turns.take();
    given.push(name);
    return end;
  };
  const first = ask("first");
  const second = ask("second");
  const third = ask("third");
  await settled();
  expect(given).toEqual(["first"]);
  (await first)();
  await settled();
  expect(given).toEqual(["first", "second"]);
  (await second)();
  await settled();
  expect(given).toEqual(["first", "second", "third"]);
  (await third)();
});

test("a turn that is ended twice is not given to two", async () => {
  const turns = createTurns();
  const end = await turns.take();
  const given: number[] = [];
  const waiting = [1, 2].map((nth) => turns.take().then(() => given.push(nth)));
  end();
  end();
  await settled();
  expect(given).toEqual([1]);
  expect(waiting.length).toBe(2);
});

test("who does not want to wait gets a turn only when nobody has one", async () => {
  const turns = createTurns();
  const end = turns.takeIfFree();
  expect(end).not.toBeNull();
  expect(turns.takeIfFree()).toBeNull();
  end?.();
  const again = await turns.take();
  expect(turns.takeIfFree()).toBeNull();
  again();
  expect(turns.takeIfFree()).not.toBeNull();
});

test("who does not want to wait does not overtake those who do", async () => {
  const turns = createTurns();
  const end = await turns.take();
  const waiting = turns.take();
  end();
  expect(turns.takeIfFree()).toBeNull();
  (await waiting)();
  expect(turns.takeIfFree()).not.toBeNull();
});
