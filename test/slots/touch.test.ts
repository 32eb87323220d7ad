// Touches that fail or take their time: one that failed was none, and a slow one holds up nothing but itself.
import { expect, test } from "bun:test";
import { startBetween, type Asked } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond, type Lemond } from "../lemond/index.ts";
import { startStack } from "../stack.ts";

const slots = [
  { name: "primary", model: "tiny-a", isDefault: true },
  { name: "second", model: "tiny-b" },
];

/** lemond with both models loaded; what `answer` gives stands for its answers to loads of the server's own, which are touches. */
async function start(answer: (nth: number, asked: Asked) => Response | Promise<Response>) {
  const lemond: Lemond = await startLemond({ maxModels: 2 });
  for (const { model } of slots) await lemond.load(model);
  let touches = 0;
  const between = startBetween(lemond, (asked) =>
    asked.path === "/v1/load" ? answer(++touches, asked) : asked.pass(),
  );
  const lemonade = { pollMs: 50, touchMs: 60_000 };
  const stack = await startStack({ sharedLemond: between, slots, loaded: [], lemonade });
  return {
    stack,
    touches: () => touches,
    [Symbol.asyncDispose]: async () => {
      await stack[Symbol.asyncDispose]();
      await between[Symbol.asyncDispose]();
      await lemond[Symbol.asyncDispose]();
    },
  };
}

test("a touch that failed was none: the next look at lemond brings another, long before touch_s", async () => {
  await using scene = await start((nth, { pass }) =>
    nth < 4 ? Response.json({ error: "busy" }, { status: 500 }) : pass(),
  );
  const { stack } = scene;
  expect((await ended(stack.chat())).status).toBe(200);
  await stack.line("lemonade.touch", ({ ok }) => ok === true);
  expect(stack.logged("lemonade.touch").map(({ ok }) => ok)).toEqual([false, false, false, true]);
  // One that was made is not repeated before touch_s.
  for (let polls = 0; polls < 5; polls++) await stack.lemond.received("/v1/health");
  expect(scene.touches()).toBe(4);
});

test("a touch that lemond takes its time for does not hold up the notice of another slot's death", async () => {
  const release = Promise.withResolvers<void>();
  await using scene = await start(async (_, { pass }) => {
    await release.promise;
    return pass();
  });
  const { stack } = scene;
  expect((await ended(stack.chat({ model: "primary" }))).status).toBe(200);
  while (scene.touches() === 0) await Bun.sleep(5);
  const second = stack.child("tiny-b");
  await second.kill();
  const died = performance.now();
  await stack.slotIs(({ state }) => state === "offline", "second");
  // The touch gets three seconds.
  expect(performance.now() - died).toBeLessThan(2000);
  expect(stack.logged("lemonade.touch")).toEqual([]);
  release.resolve();
});
