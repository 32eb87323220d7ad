// A reload while slots are in use: which are gone, which stay, and what becomes of the requests on them.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { startStack, stackConfig, type Stack } from "../stack.ts";

const slots = [{ name: "primary", model: "tiny-a", isDefault: true }];
const names = async ({ url }: Stack): Promise<string[]> =>
  JSON.parse(await (await fetch(`${url}/api/slots`)).text()).map(({ name }: { name: string }) => name);

describe("after a reload with auto_slots = false", () => {
  const start = async (): Promise<Stack> => {
    const stack = await startStack({ slots, lemond: { maxModels: 2 }, loaded: ["tiny-a", "tiny-b"] });
    await stack.slotIs(({ state }) => state === "ready", "tiny-b");
    return stack;
  };
  const reload = ({ server, lemond }: Stack): void =>
    void server.reload(stackConfig(lemond.url, { slots, lemonade: { autoSlots: false } }));

  test("slots without a section are gone, cannot be loaded, and come back with no look at lemond", async () => {
    await using stack = await start();
    reload(stack);
    for (let polls = 0; polls < 3; polls++) await stack.lemond.received("/v1/health");
    expect(await names(stack)).toEqual(["primary"]);
    const asked = await Promise.all(
      ["load", "unload", "restart"].map((action) => ended(stack.post(`/api/slots/tiny-b/${action}`, {}))),
    );
    for (const reply of asked) expect(reply).toMatchObject({ status: 404, code: "slot.not_found" });
    expect(await ended(stack.chat({ model: "tiny-b" }))).toMatchObject({ status: 404, code: "dispatch.no_route" });
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([2, 0]);
    expect(stack.lemond.listed().toSorted()).toEqual(["tiny-a", "tiny-b"]);
  });

  test("a stream on one of them runs to its end, and one that breaks there is not repaired", async () => {
    await using stack = await start();
    const whole = ended(await stack.chat({ model: "tiny-b", stream: true, sim: { tokens: 40, tokenMs: 20 } }));
    const broken = await stack.chat({ model: "tiny-b", stream: true, sim: { tokens: 200, tokenMs: 20 } });
    reload(stack);
    expect(await whole).toMatchObject({ status: 200, how: "whole" });
    await stack.child("tiny-b").kill();
    await ended(broken);
    for (let polls = 0; polls < 3; polls++) await stack.lemond.received("/v1/health");
    expect(stack.lemond.loads("tiny-b")).toBe(1);
    expect(stack.repairs).toEqual([]);
  });
});
