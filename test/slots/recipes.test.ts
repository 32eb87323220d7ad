// Models that are no llama-server's go through lemond: their children never get a connection from us, and have everything else
// that a slot has. Names that health never lists are served without a load of ours.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import type { ModelSpec } from "../lemond/index.ts";
import { startStack } from "../stack.ts";

const models: readonly ModelSpec[] = [
  { id: "tiny-a" },
  { id: "tiny-b" },
  { id: "Gemma3-4b-it-FLM", recipe: "flm", checkpoint: "gemma3:4b" },
  { id: "gpt-cloud", recipe: "cloud", checkpoint: "openai/gpt" },
  { id: "router", recipe: "collection.router", components: ["tiny-b", "tiny-a"] },
];
const npu = [{ name: "primary", model: "Gemma3-4b-it-FLM", isDefault: true }];

describe.each(["10.6", "11.7"] as const)("a model on the NPU behind lemond %s", (version) => {
  test("answers plain and streaming, and its child never gets a connection from us", async () => {
    await using stack = await startStack({ lemond: { version, models }, slots: npu, loaded: [] });
    for (const stream of [false, true]) {
      const reply = await ended(stack.chat({ stream }));
      expect(reply).toMatchObject({ status: 200, how: "whole" });
      expect(reply.text).toContain("Gemma3-4b-it-FLM token 1");
    }
    await stack.slotIs(({ state }) => state === "ready");
    const child = stack.child();
    expect(stack.lemond.calls.filter(({ route }) => route === "/v1/chat/completions").length).toBe(2);
    // What reaches the child comes from lemond: none of it names us, and nobody asks it how it is.
    expect(child.requests.filter(({ isProbe, headers }) => isProbe || "x-hal0-via" in headers)).toEqual([]);
  });

  test.each([false, true])(
    "is repaired after its child died: the next chat is answered (stream: %p)",
    async (stream) => {
      await using stack = await startStack({
        lemond: { version, models },
        slots: npu,
        lemonade: { pollMs: 60_000 },
      });
      await stack.child().kill();
      const reply = await ended(stack.chat({ stream }));
      expect(reply).toMatchObject({ status: 200, how: "whole" });
      expect(stack.lemond.loads()).toBeLessThanOrEqual(2);
      expect(stack.lemond.calls.filter(({ route }) => route === "/v1/chat/completions").length).toBeLessThanOrEqual(2);
    },
  );
});

describe("names that health never lists", () => {
  const setting = { models, aliases: { "gpt-4o": "tiny-a" } };

  test.each(["gpt-cloud", "router"])("%s is served without a load of ours", async (model) => {
    await using stack = await startStack({ lemond: setting, slots: [], loaded: [] });
    for (const stream of [false, true])
      expect(await ended(stack.chat({ model, stream }))).toMatchObject({ status: 200, how: "whole" });
    expect(stack.lemond.calls.filter(({ route, model: asked }) => route === "/v1/load" && asked === model)).toEqual([]);
  });

  test.each(["gpt-cloud", "router"])("%s stays served while lemond is asked what it has loaded", async (model) => {
    await using stack = await startStack({
      lemond: setting,
      slots: [{ name: "primary", model, isDefault: true }],
      loaded: [],
    });
    for (const stream of [false, true]) {
      const reply = ended(stack.chat({ stream, sim: { firstByteMs: 900 } }));
      for (let polls = 0; polls < 4; polls++) await stack.lemond.received("/v1/health");
      expect(await reply).toMatchObject({ status: 200, label: null, how: "whole" });
    }
    const states = stack.logged("slot.transition").filter(({ slot, to }) => slot === "primary" && to === "offline");
    const ours = stack.lemond.calls.filter(({ route, model: asked }) => route === "/v1/load" && asked === model);
    expect([states, ours]).toEqual([[], []]);
  });

  test("an alias of lemond's is loaded once, and then served by its name", async () => {
    const slots = [{ name: "primary", model: "gpt-4o", isDefault: true }];
    await using stack = await startStack({ lemond: setting, slots, loaded: [] });
    for (let chats = 0; chats < 3; chats++)
      expect(await ended(stack.chat({ stream: chats === 1 }))).toMatchObject({ status: 200, how: "whole" });
    expect(stack.lemond.count("/v1/load")).toBe(1);
    expect(await stack.slot()).toMatchObject({ state: "ready", last_error: null });
  });
});
