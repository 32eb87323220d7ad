// What a client's `model` means, as tables.
import { describe, expect, test } from "bun:test";
import { availableNames, type Names, resolve, type Resolution, type Resolved } from "../../src/dispatch/resolve.ts";

const names: Names = {
  slots: [
    { name: "primary", model: "Qwen3-GGUF", aliases: ["gpt-4o", "best", "claude-*"], isDefault: false },
    { name: "small", model: "user.Tiny-GGUF", aliases: ["Shadowed", "openai/gpt-5", "m*:free"], isDefault: false },
    { name: "Shadowed", model: "Third", aliases: ["Tiny-GGUF", "openai/*"], isDefault: false },
    { name: "twin", model: "Twin", aliases: [], isDefault: false },
  ],
  remotes: [
    { name: "router", models: ["openai/*", "exact/model", "a*b*c", "*:free", "tagged:latest"] },
    { name: "second", models: ["openai/gpt-5", "*.gguf", "claude-haiku*", "Qwen3-GGUF", "Known"] },
  ],
  lemondModels: [
    "Qwen3-GGUF",
    "extra.Loose",
    "user.Mine",
    "openai/known",
    "Twin",
    "user.Twin",
    "Known",
    "claude-local",
  ],
  loadedModel: null,
};
const order = ["router", "primary", "small", "second", "Shadowed", "twin"];

type By = Resolved["by"];
const slot = (name: string, by: By): Resolved => ({ kind: "slot", name, by });
const remote = (name: string, by: By): Resolved => ({ kind: "remote", name, by });
const implicit = (model: string, by: By): Resolved => ({ kind: "implicit", model, by });
const none: Resolution = { kind: "none" };

describe("a model that is named", () => {
  const table: [model: string, expected: Resolved, why: string][] = [
    ["primary", slot("primary", "name"), "1: a slot's name"],
    ["Shadowed", slot("Shadowed", "name"), "1 before 2: a name before another slot's alias"],
    ["gpt-4o", slot("primary", "name"), "2: an alias"],
    ["Tiny-GGUF", slot("Shadowed", "name"), "2 before 7: an alias before another slot's model"],
    ["openai/gpt-5", slot("small", "name"), "2 before 4: an alias before a remote's name"],
    ["Qwen3-GGUF", slot("primary", "name"), "3 before 4: a slot's model before a remote's name"],
    ["user.Tiny-GGUF", slot("small", "name"), "3: a slot's model as it is configured"],
    ["exact/model", remote("router", "name"), "4: a remote's name"],
    ["Known", remote("second", "name"), "4 before 5: a remote's name before lemond's"],
    ["openai/known", implicit("openai/known", "name"), "5 before 8: lemond's model before a remote's pattern"],
    ["claude-local", implicit("claude-local", "name"), "5 before 8: lemond's model before an alias's pattern"],
    ["extra.Loose", implicit("extra.Loose", "name"), "5: lemond's model as it lists it"],
    ["user.Twin", implicit("user.Twin", "name"), "5: a model whose namesake is a slot's"],
    ["Twin", slot("twin", "name"), "3: that namesake"],
  ];
  test.each(table)("%s → %j: %s", (model, expected) => {
    expect(resolve(model, names, order)).toEqual(expected);
  });
});

describe("a model that is nearly named", () => {
  const table: [model: string, expected: Resolved, why: string][] = [
    ["primary:latest", slot("primary", "near"), "6: a slot's name"],
    ["gpt-4o:latest", slot("primary", "near"), "6: an alias"],
    ["Twin:latest", slot("twin", "near"), "6: a slot's model"],
    ["user.Twin:latest", implicit("user.Twin", "near"), "6 before 7: lemond's model before its namesake"],
    ["exact/model:latest", remote("router", "near"), "6: a remote's name"],
    ["extra.Qwen3-GGUF", slot("primary", "near"), "7: a slot's model with lemond's prefix"],
    ["extra.Tiny-GGUF", slot("small", "near"), "7: a slot's model with another prefix than configured"],
    ["Loose", implicit("extra.Loose", "near"), "7: lemond's model without its prefix"],
    ["extra.Mine", implicit("user.Mine", "near"), "7: lemond's model with another prefix"],
    ["Loose:latest", implicit("extra.Loose", "near"), "7: without its prefix and with a tag"],
  ];
  test.each(table)("%s → %j: %s", (model, expected) => {
    expect(resolve(model, names, order)).toEqual(expected);
  });

  test("belongs to the slot that names it without its prefix, where that can mean no other", () => {
    const slots = [{ name: "mine", model: "Mine", aliases: [], isDefault: false }];
    expect(resolve("user.Mine", { ...names, slots }, order)).toEqual(slot("mine", "name"));
    expect(resolve("extra.Mine", { ...names, slots }, order)).toEqual(slot("mine", "near"));
    expect(resolve("user.Mine", { ...names, slots, lemondModels: ["Mine", "user.Mine"] }, order)).toEqual(
      implicit("user.Mine", "name"),
    );
    expect(resolve("user.Mine", { ...names, slots, lemondModels: [] }, order)).toEqual(slot("mine", "near"));
  });
});

describe("a model that fits a pattern", () => {
  const table: [model: string, expected: Resolved, why: string][] = [
    ["claude-sonnet-5", slot("primary", "pattern"), "an alias"],
    ["claude-haiku-5", slot("primary", "pattern"), "the first in the file's order: an alias of a slot before a remote"],
    ["openai/gpt-4o", remote("router", "pattern"), "the first in the file's order: a remote before an alias of a slot"],
    ["m1:free", remote("router", "pattern"), "the first in the file's order, though the slot's is longer"],
    ["openai/", remote("router", "pattern"), "a star stands for nothing too"],
    ["abc", remote("router", "pattern"), "two stars for nothing"],
    ["a1b2c", remote("router", "pattern"), "two stars"],
    ["abbc", remote("router", "pattern"), "the middle more than once"],
    ["m:free", remote("router", "pattern"), "a star in front"],
    ["model.gguf", remote("second", "pattern"), "dots are no wildcards"],
  ];
  test.each(table)("%s → %j: %s", (model, expected) => {
    expect(resolve(model, names, order)).toEqual(expected);
  });

  test("goes elsewhere where the file has another order", () => {
    const turned = order.toReversed();
    expect(resolve("claude-haiku-5", names, turned)).toEqual(remote("second", "pattern"));
    expect(resolve("openai/gpt-4o", names, turned)).toEqual(slot("Shadowed", "pattern"));
    expect(resolve("m1:free", names, turned)).toEqual(slot("small", "pattern"));
  });

  test("goes to a remote that takes everything only if nothing has that name", () => {
    const all = { ...names, remotes: [{ name: "all", models: ["*"] }] };
    expect(resolve("anything at all", all, ["all"])).toEqual(remote("all", "pattern"));
    expect(resolve("Loose", all, ["all"])).toEqual(implicit("extra.Loose", "near"));
    expect(resolve("gpt-4o", all, ["all"])).toEqual(slot("primary", "name"));
  });

  test("of a hundred thousand letters is matched against many stars in no time", () => {
    const hard = { ...names, remotes: [{ name: "hard", models: [`${"a*".repeat(50)}b`] }] };
    const startedMs = performance.now();
    expect(resolve("a".repeat(100_000), hard, ["hard"]).kind).toBe("none");
    expect(performance.now() - startedMs).toBeLessThan(200);
  });
});

test.each([
  ["exact/model2", "a name without a star is not a beginning"],
  ["ac", "the middle is missing"],
  ["ab", "the end is missing"],
  ["xabc", "it begins before the pattern"],
  ["abcx", "it goes on after the pattern"],
  ["modelxgguf", "dots are no wildcards, seen from the other side"],
  ["PRIMARY", "names are told apart by case"],
  ["primary ", "names are not trimmed"],
  ["extra.extra.Loose", "one prefix only"],
  ["extra.primary", "a slot's name has no prefix"],
  ["tagged", "a tag is taken off, and never put on"],
  ["primary:latest:latest", "one tag only"],
  [":latest", "a tag alone is no name, and not the default"],
  ["router", "a remote's name is not a model"],
  ["__proto__", "a name of JavaScript's own"],
  ["nothing", "nothing of the kind"],
])("%s is nothing: %s", (model) => {
  expect(resolve(model, names, order).kind).toBe("none");
});

describe("no model, or an empty one,", () => {
  const primary = { name: "primary", model: "A", aliases: [], isDefault: false };
  const other = { name: "other", model: "user.B", aliases: [], isDefault: false };
  const chosen = { name: "chosen", model: "C", aliases: [], isDefault: true };
  const p = { ...primary, name: "p" };
  const table: [string, Partial<Names>, Resolution][] = [
    [
      "is the slot marked as default",
      { slots: [primary, other, chosen], loadedModel: "B" },
      { kind: "slot", name: "chosen" },
    ],
    [
      "is primary where none is marked",
      { slots: [other, primary], loadedModel: "B" },
      { kind: "slot", name: "primary" },
    ],
    ["is the only slot", { slots: [other], loadedModel: "X" }, { kind: "slot", name: "other" }],
    ["is the slot of what is loaded", { slots: [p, other], loadedModel: "B" }, { kind: "slot", name: "other" }],
    [
      "is what is loaded, where a slot has its namesake",
      { slots: [p, other], loadedModel: "B", lemondModels: ["B", "user.B"] },
      { kind: "implicit", model: "B" },
    ],
    [
      "is what is loaded where no slot has it",
      { slots: [], loadedModel: "extra.X" },
      { kind: "implicit", model: "extra.X" },
    ],
    ["is nothing where nothing is loaded", { slots: [p, other], loadedModel: null }, none],
    ["is nothing where there is nothing", { slots: [], loadedModel: null }, none],
    ["is never a remote", { slots: [], remotes: [{ name: "all", models: ["*"] }], loadedModel: null }, none],
  ];
  test.each(table)("%s", (_, some, expected) => {
    expect(resolve(null, { ...names, ...some }, order)).toEqual({ ...expected, by: "default" });
    expect(resolve("", { ...names, ...some }, order)).toEqual({ ...expected, by: "default" });
  });
});

test("what a client can write is named once each, without patterns", () => {
  expect(availableNames(names)).toEqual([
    "primary",
    "gpt-4o",
    "best",
    "small",
    "Shadowed",
    "openai/gpt-5",
    "Tiny-GGUF",
    "twin",
    "Qwen3-GGUF",
    "extra.Loose",
    "user.Mine",
    "openai/known",
    "Twin",
    "user.Twin",
    "Known",
    "claude-local",
    "exact/model",
    "tagged:latest",
  ]);
});
