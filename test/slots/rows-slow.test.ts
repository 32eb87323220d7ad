// Section 4 over real sockets: the rows that wait 3 s for an answer, side by side.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { startStack } from "../stack.ts";

/** The poll stays out of the way: what is noticed is noticed by requests. */
const unwatched = { pollMs: 60_000, touchMs: 0 };

describe.concurrent("no answer within 3 s", () => {
  test("of lemond: it is busy, and asked again; nothing is unloaded meanwhile", async () => {
    await using stack = await startStack({ lemond: { version: "10.6" }, lemonade: unwatched });
    await stack.child().kill();
    const latch = stack.lemond.holdHealth();
    const reply = ended(stack.chat());
    await stack.line("lemonade.busy");
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(stack.logged("lemonade.unreachable")).toEqual([]); // `/live` answers.
    expect((await stack.slot()).waiting).toBe(1);
    latch.release();
    expect(await reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 1]);
  }, 15_000);

  test("of a child that is listed and takes the connection: attempt 2, lemond untouched", async () => {
    await using stack = await startStack({ lemonade: unwatched });
    const child = stack.child();
    await child.set({ closeBeforeReply: 1, hang: true });
    const reply = ended(stack.chat());
    await child.receivedAny();
    await child.received();
    await child.set({});
    expect(await reply).toMatchObject({ status: 200, label: "alive", how: "whole" });
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    expect((await stack.slot()).generation).toBe(1);
  }, 15_000);
});
