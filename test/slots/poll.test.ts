// Looking at lemond goes on, whatever fails on the way.
import { expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { startStack } from "../stack.ts";

test("a fault of ours in the first look does not end the looking", async () => {
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  let looks = 0;
  await using between = startBetween(lemond, async ({ path, pass }) => {
    const answer = await pass();
    if (path !== "/v1/health" || looks++ > 0) return answer;
    // Not to be dialled, which is logged.
    return new Response((await answer.text()).replaceAll("http://127.0.0.1", "http://192.0.2.1"));
  });
  let faults = 0;
  await using stack = await startStack({
    sharedLemond: between,
    loaded: [],
    onLine: ({ event }) => {
      if (event === "lemonade.backend_url_refused" && faults++ === 0) throw new Error("the log cannot be written");
    },
  });
  const { url, pid } = stack.child();
  await stack.slotIs((slot) => slot.url === url && slot.pid === pid);
  expect(faults).toBe(1);
  expect(await ended(stack.chat())).toMatchObject({ status: 200, how: "whole" });
  expect(lemond.loads()).toBe(1);
});
