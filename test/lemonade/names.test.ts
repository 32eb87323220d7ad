// Which model a name means among several that differ in lemond's prefixes alone, as tables.
import { expect, test } from "bun:test";
import { findModel, ownerOf, plainModel } from "../../src/lemonade/names.ts";

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

test.each<[candidates: string[], name: string, found: string | undefined, why: string]>([
  [["X", "user.X"], "user.X", "user.X", "as it is, behind its namesake"],
  [["user.X", "X"], "X", "X", "the same the other way round"],
  [["X", "user.X"], "extra.X", "X", "the first without prefixes where none is the same"],
  [["user.X"], "X", "user.X", "a prefix that was left out"],
  [["X"], "user.X", "X", "a prefix too many"],
  [["extra.X"], "user.X", "extra.X", "another prefix"],
  [["x", "my.X", "X.user"], "X", undefined, "nothing of the kind"],
  [[], "X", undefined, "nothing at all"],
])("among %j, %s is %s: %s", (candidates, name, found, _) => {
  expect(findModel(candidates, name, (candidate) => candidate)).toBe(found);
});

test.each<[owners: string[], listed: string, known: string[], owner: string | undefined, why: string]>([
  [["X", "user.X"], "user.X", ["X", "user.X"], "user.X", "two models, each with its owner"],
  [["X"], "user.X", ["X", "user.X"], undefined, "it has a model of its own, this one is nobody's"],
  [["X"], "user.X", ["user.X"], "X", "it left the prefix out, and can mean no other"],
  [["extra.X"], "X", ["X", "user.X"], "extra.X", "it wrote another prefix, and has no model of its own"],
  [["X"], "user.X", [], "X", "what lemond lists is not known"],
  [["Y"], "X", ["X"], undefined, "another model"],
])("of the owners of %j, %s with %j listed has %s: %s", (models, listed, known, owner, _) => {
  expect(
    ownerOf(
      models.map((model) => ({ model })),
      listed,
      known,
    )?.model,
  ).toBe(owner);
});
