// Section 4 of the contract as a table, row by row, and its laws over every combination of evidence. No sockets.
import { describe, expect, test } from "bun:test";
import {
  type ChildEvidence,
  type LemondEvidence,
  type Remedy,
  remedyOf,
  type Standing,
  type Way,
  wayOf,
} from "../../src/slots/repair.ts";

/** A request that has just come to a slot that serves. */
const fresh: Standing = {
  operatorActing: false,
  isLost: false,
  movedOn: false,
  jobUnderWay: false,
  hasChild: true,
  backsOff: false,
  isClaimed: false,
};

describe("the way of a request, row by row", () => {
  const rows: readonly (readonly [string, Partial<Standing>, Way])[] = [
    ["an operator's action is under way: the gate", { operatorActing: true }, "gate"],
    ["the generation is newer: the current target", { isLost: true, movedOn: true, hasChild: true }, "retarget"],
    ["a job is under way: join it", { jobUnderWay: true }, "join"],
    ["no child, and the slot backs off: the original error", { hasChild: false, backsOff: true }, "back-off"],
    ["a lost connection, whatever failed before: a repair", { isLost: true, backsOff: true, hasChild: true }, "repair"],
    ["no child, and no back-off: a load", { hasChild: false }, "repair"],
    ["nothing stands in the way: dial", {}, "dial"],
  ];
  test.each(rows)("%s", (_, standing, way) => {
    expect(wayOf({ ...fresh, ...standing })).toBe(way);
  });

  test("another slot's load is about to take the child's room: whoever would be dialled waits", () => {
    expect(wayOf({ ...fresh, isClaimed: true })).toBe("wait");
    expect(wayOf({ ...fresh, isClaimed: true, isLost: true, movedOn: true })).toBe("wait");
  });

  test("an earlier row wins over every later one", () => {
    expect(rows.length).toBeGreaterThan(5);
    for (const [at, [title, standing, way]] of rows.slice(0, 5).entries())
      for (const [, later] of rows.slice(at + 1))
        expect(`${title} → ${wayOf({ ...fresh, ...later, ...standing })}`).toBe(`${title} → ${way}`);
  });
});

describe("the remedy, row by row", () => {
  const rows: readonly (readonly [string, LemondEvidence, ChildEvidence, Remedy])[] = [
    ["nobody was asked: lemond is", "unasked", "unasked", "ask-lemond"],
    ["lemond refuses connections: the original error", "refused", "unasked", "give-up"],
    ["lemond does not answer: it is busy, ask again", "silent", "unasked", "ask-lemond-again"],
    ["listed at another URL or pid: take it", "elsewhere", "unasked", "adopt"],
    ["listed, the same child: the child is asked", "same", "unasked", "ask-child"],
    ["listed, its pid is gone: unload and load", "same", "gone", "reload"],
    ["listed, its port refuses: unload and load", "same", "refused", "reload"],
    ["listed, another model answers there: unload and load", "same", "stranger", "reload"],
    ["listed, its health is 200: lemond is left alone", "same", "ok", "keep"],
    ["listed, its health is 503: it is loading, wait", "same", "loading", "await-child"],
    ["listed, takes the connection and says nothing: busy", "same", "silent", "keep"],
    ["not listed: load only", "not-listed", "unasked", "load"],
  ];
  test.each(rows)("%s", (_, lemond, child, remedy) => {
    expect(remedyOf(lemond, child)).toBe(remedy);
  });
});

const flags = [false, true] as const;
const lemondSays = ["unasked", "refused", "silent", "elsewhere", "same", "not-listed"] as const;
const childSays = ["unasked", "gone", "refused", "ok", "loading", "silent", "stranger"] as const;

function* everyStanding(): Generator<Standing> {
  for (let bits = 0; bits < 2 ** 7; bits++) {
    const [operatorActing, isLost, movedOn, jobUnderWay, hasChild, backsOff, isClaimed] = Array.from(
      { length: 7 },
      (_, at) => flags[(bits >> at) & 1] ?? false,
    );
    yield {
      operatorActing: operatorActing ?? false,
      isLost: isLost ?? false,
      movedOn: movedOn ?? false,
      jobUnderWay: jobUnderWay ?? false,
      hasChild: hasChild ?? false,
      backsOff: backsOff ?? false,
      isClaimed: isClaimed ?? false,
    };
  }
}

describe("over every combination", () => {
  const counterexamples = (claim: (standing: Standing, way: Way) => boolean): Standing[] =>
    [...everyStanding()].filter((standing) => !claim(standing, wayOf(standing)));

  test("nobody is dialled without a child, during an order, or where its room is claimed", () => {
    const isDialled = (way: Way): boolean => way === "dial" || way === "retarget";
    expect(counterexamples((s, way) => !isDialled(way) || (s.hasChild && !s.operatorActing && !s.isClaimed))).toEqual(
      [],
    );
  });

  test("while a job is under way nobody starts another", () => {
    expect(counterexamples((s, way) => !s.jobUnderWay || way !== "repair")).toEqual([]);
  });

  test("a slot without a child that backs off starts nothing", () => {
    expect(counterexamples((s, way) => s.hasChild || !s.backsOff || way !== "repair")).toEqual([]);
  });

  const evidence = lemondSays.flatMap((lemond) => childSays.map((child) => [lemond, child] as const));
  const remedies = (claim: (lemond: LemondEvidence, child: ChildEvidence, remedy: Remedy) => boolean) =>
    evidence.filter(([lemond, child]) => !claim(lemond, child, remedyOf(lemond, child)));

  test("a child is unloaded only when lemond lists that very child and it is gone, refuses, or is a stranger", () => {
    const isDead = (child: ChildEvidence): boolean => ["gone", "refused", "stranger"].includes(child);
    expect(remedies((lemond, child, remedy) => (remedy === "reload") === (lemond === "same" && isDead(child)))).toEqual(
      [],
    );
  });

  test("a load without an unload is sent only when lemond does not list the model", () => {
    expect(remedies((lemond, _, remedy) => (remedy === "load") === (lemond === "not-listed"))).toEqual([]);
  });

  test("no evidence from lemond is no reason to load, to unload, or to ask the child", () => {
    const acts: readonly Remedy[] = ["load", "reload", "adopt", "keep", "ask-child", "await-child"];
    const isMute = (lemond: LemondEvidence): boolean => ["refused", "silent", "unasked"].includes(lemond);
    expect(remedies((lemond, _, remedy) => !isMute(lemond) || !acts.includes(remedy))).toEqual([]);
  });

  test("what the child says changes nothing unless lemond lists that child", () => {
    expect(remedies((lemond, _, remedy) => lemond === "same" || remedy === remedyOf(lemond, "unasked"))).toEqual([]);
  });
});
