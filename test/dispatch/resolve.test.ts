// What a client's `model` means, as tables.
import { describe, expect, test } from "bun:test";
import { availableNames, plainModel, resolve, type Names, type Resolution } from "../../src/dispatch/resolve.ts";

const names: Names = {
  slots: [
    { name: "primary", model: "Qwen3-GGUF", aliases: ["gpt-4o", "best"], isDefault: false },
    { name: "small", model: "user.Tiny-GGUF", aliases: ["Shadowed"], isDefault: false },
    { name: "Shadowed", model: "Third", aliases: ["Tiny-GGUF"], isDefault: false },
  ],
  remotes: [
    { name: "router", models: ["openai/*", "exact/model", "a*b*c", "*:free"] },
    { name: "second", models: ["openai/gpt-5", "*.gguf", "second/*"] },
  ],
  lemondModels: ["Qwen3-GGUF", "extra.Loose", "user.Mine", "openai/known"],
  loadedModel: null,
};

const slot = (name: string): Resolution => ({ kind: "slot", name });
const remote = (name: string): Resolution => ({ kind: "remote", name });
const implicit = (model: string): Resolution => ({ kind: "implicit", model });
const none: Resolution = { kind: "none" };

describe("a named model", () => {
  const table: [string, Resolution, string][] = [
    ["primary", slot("primary"), "a slot's name"],
    ["gpt-4o", slot("primary"), "an alias"],
    ["Qwen3-GGUF", slot("primary"), "a slot's model"],
    ["extra.Qwen3-GGUF", slot("primary"), "a slot's model with lemond's prefix"],
    ["user.Qwen3-GGUF", slot("primary"), "a slot's model with the other prefix"],
    ["user.Tiny-GGUF", slot("small"), "a slot's model as it is configured"],
    ["extra.Tiny-GGUF", slot("small"), "a slot's model with another prefix than configured"],
    ["Shadowed", slot("Shadowed"), "a name goes before another slot's alias"],
    ["Tiny-GGUF", slot("Shadowed"), "an alias goes before another slot's model"],
    ["openai/gpt-4o", remote("router"), "a pattern"],
    ["openai/", remote("router"), "a star stands for nothing too"],
    ["openai/known", remote("router"), "a pattern goes before lemond's models"],
    ["openai/gpt-5", remote("router"), "the first remote that matches"],
    ["exact/model", remote("router"), "a name without a star"],
    ["exact/model2", none, "a name without a star is not a beginning"],
    ["abc", remote("router"), "two stars for nothing"],
    ["a1b2c", remote("router"), "two stars"],
    ["abbc", remote("router"), "the middle more than once"],
    ["ac", none, "the middle is missing"],
    ["ab", none, "the end is missing"],
    ["xabc", none, "it begins before the pattern"],
    ["abcx", none, "it goes on after the pattern"],
    ["m:free", remote("router"), "a star in front"],
    ["model.gguf", remote("second"), "dots are no wildcards"],
    ["modelxgguf", none, "dots are no wildcards, seen from the other side"],
    ["Loose", implicit("extra.Loose"), "lemond's model without its prefix"],
    ["extra.Loose", implicit("extra.Loose"), "lemond's model as it lists it"],
    ["extra.Mine", implicit("user.Mine"), "lemond's model with another prefix"],
    ["PRIMARY", none, "names are told apart by case"],
    ["primary ", none, "names are not trimmed"],
    ["extra.extra.Loose", none, "one prefix only"],
    ["extra.primary", none, "a slot's name has no prefix"],
    ["router", none, "a remote's name is not a model"],
    ["__proto__", none, "a name of JavaScript's own"],
    ["nothing", none, "nothing of the kind"],
  ];
  test.each(table)("%s → %j: %s", (model, expected) => {
    expect(resolve(model, names)).toEqual(expected);
  });

  test("goes to a remote that takes everything only if it is no slot", () => {
    const all = { ...names, remotes: [{ name: "all", models: ["*"] }] };
    expect(resolve("anything at all", all)).toEqual(remote("all"));
    expect(resolve("Loose", all)).toEqual(remote("all"));
    expect(resolve("gpt-4o", all)).toEqual(slot("primary"));
  });

  test("of a hundred thousand letters is matched against many stars in no time", () => {
    const hard = { ...names, remotes: [{ name: "hard", models: [`${"a*".repeat(50)}b`] }] };
    const startedMs = performance.now();
    expect(resolve("a".repeat(100_000), hard)).toEqual(none);
    expect(performance.now() - startedMs).toBeLessThan(200);
  });
});

describe("no model, or an empty one,", () => {
  const primary = { name: "primary", model: "A", aliases: [], isDefault: false };
  const other = { name: "other", model: "user.B", aliases: [], isDefault: false };
  const chosen = { name: "chosen", model: "C", aliases: [], isDefault: true };
  const table: [string, Partial<Names>, Resolution][] = [
    ["is the slot marked as default", { slots: [primary, other, chosen], loadedModel: "B" }, slot("chosen")],
    ["is primary where none is marked", { slots: [other, primary], loadedModel: "B" }, slot("primary")],
    ["is the only slot", { slots: [other], loadedModel: "X" }, slot("other")],
    ["is the slot of what is loaded", { slots: [{ ...primary, name: "p" }, other], loadedModel: "B" }, slot("other")],
    ["is what is loaded where no slot has it", { slots: [], loadedModel: "extra.X" }, implicit("extra.X")],
    ["is nothing where nothing is loaded", { slots: [{ ...primary, name: "p" }, other], loadedModel: null }, none],
    ["is nothing where there is nothing", { slots: [], loadedModel: null }, none],
    ["is never a remote", { slots: [], remotes: [{ name: "all", models: ["*"] }], loadedModel: null }, none],
  ];
  test.each(table)("%s", (_, some, expected) => {
    expect(resolve(null, { ...names, ...some })).toEqual(expected);
    expect(resolve("", { ...names, ...some })).toEqual(expected);
  });
});

test("lemond's prefixes are taken off once, at the start alone", () => {
  expect(["extra.a", "user.a", "a", "my.extra.a", "extra.user.a", "extra"].map(plainModel)).toEqual([
    "a",
    "a",
    "a",
    "my.extra.a",
    "user.a",
    "extra",
  ]);
});

test("what a client can write is named once each, without patterns", () => {
  expect(availableNames(names)).toEqual([
    "primary",
    "gpt-4o",
    "best",
    "small",
    "Shadowed",
    "Tiny-GGUF",
    "Qwen3-GGUF",
    "extra.Loose",
    "user.Mine",
    "openai/known",
    "exact/model",
    "openai/gpt-5",
  ]);
});
