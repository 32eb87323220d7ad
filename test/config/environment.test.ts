// The variables of the service.
import { expect, test } from "bun:test";
import { readEnvironment } from "../../src/config/environment.ts";

test("the service's variables are read as systemd reads them", () => {
  const text = "# A=1\n; B=1\n\nC=one two\n D = x\nE='a b'\nF=\"c\"\nG=\nnot an assignment\n";
  expect(readEnvironment(text)).toEqual({ C: "one two", E: "a b", F: "c", G: "" });
});
