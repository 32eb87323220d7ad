// Section 4 of the contract as a table, row by row, and its laws over every combination of evidence. No sockets.
import { describe, expect, test } from "bun:test";
import { nextStep, type Evidence, type Step } from "../../src/slots/repair.ts";

/** A request that lost its attempt, before anybody was asked: the child is the one dialled, nothing else goes on. */
const lost: Evidence = {
  clientGone: false,
  operatorActing: false,
  movedOn: false,
  repairUnderWay: false,
  hasChild: true,
  backsOff: false,
  lemond: "unasked",
  child: "unasked",
};

describe("each row of the table", () => {
  const rows: readonly (readonly [string, Partial<Evidence>, Step])[] = [
    ["the client has gone: stop", { clientGone: true }, "stop"],
    ["an operator's action is under way: the gate", { operatorActing: true }, "gate"],
    ["the generation is newer than the one dialled: the current target", { movedOn: true }, "use-current"],
    ["a repair is under way: join it", { repairUnderWay: true }, "join"],
    ["no child, and the slot backs off: the original error", { hasChild: false, backsOff: true }, "back-off"],
    ["a child, whatever failed before: lemond is asked", { backsOff: true }, "ask-lemond"],
    ["no child, and no back-off: lemond is asked", { hasChild: false }, "ask-lemond"],
    ["lemond refuses connections: the original error", { lemond: "refused" }, "give-up"],
    ["lemond does not answer: it is busy, ask again", { lemond: "silent" }, "ask-lemond-again"],
    ["listed at another URL or pid: take it", { lemond: "elsewhere" }, "adopt"],
    ["listed, the same child: the child is asked", { lemond: "same" }, "ask-child"],
    ["listed, its pid is gone: unload and load", { lemond: "same", child: "gone" }, "reload"],
    ["listed, its port refuses: unload and load", { lemond: "same", child: "refused" }, "reload"],
    ["listed, another model answers there: unload and load", { lemond: "same", child: "stranger" }, "reload"],
    ["listed, its health is 200: lemond is left alone", { lemond: "same", child: "ok" }, "keep"],
    ["listed, its health is 503: it is loading, wait", { lemond: "same", child: "loading" }, "await-child"],
    ["listed, takes the connection and says nothing: busy", { lemond: "same", child: "silent" }, "keep"],
    ["not listed: load only", { lemond: "not-listed" }, "load"],
  ];
  for (const [title, evidence, step] of rows)
    test(title, () => {
      expect(nextStep({ ...lost, ...evidence })).toBe(step);
    });

  test("an earlier row wins over every later one", () => {
    const conditions = rows.map(([, evidence]) => evidence);
    for (const [at, [title, evidence, step]] of rows.slice(0, 5).entries())
      for (const later of conditions.slice(at + 1)) {
        const both = { ...lost, ...later, ...evidence };
        expect(`${title} → ${nextStep(both)}`).toBe(`${title} → ${step}`);
      }
  });
});

const flags = [false, true] as const;
const lemondSays = ["unasked", "refused", "silent", "elsewhere", "same", "not-listed"] as const;
const childSays = ["unasked", "gone", "refused", "ok", "loading", "silent", "stranger"] as const;

function* everyEvidence(): Generator<Evidence> {
  for (const clientGone of flags)
    for (const operatorActing of flags)
      for (const movedOn of flags)
        for (const repairUnderWay of flags)
          for (const hasChild of flags)
            for (const backsOff of flags)
              for (const lemond of lemondSays)
                for (const child of childSays)
                  yield { clientGone, operatorActing, movedOn, repairUnderWay, hasChild, backsOff, lemond, child };
}

/** Every combination for which the claim does not hold. */
const counterexamples = (claim: (evidence: Evidence, step: Step) => boolean): Evidence[] =>
  [...everyEvidence()].filter((evidence) => !claim(evidence, nextStep(evidence)));

const isOwn = ({ clientGone, operatorActing, movedOn, repairUnderWay, hasChild, backsOff }: Evidence): boolean =>
  !clientGone && !operatorActing && !movedOn && !repairUnderWay && (hasChild || !backsOff);

describe("over every combination of evidence", () => {
  test("there are as many as the values multiply to", () => {
    expect([...everyEvidence()].length).toBe(2 ** 6 * lemondSays.length * childSays.length);
  });

  test("a child is unloaded only when lemond lists that very child and it is gone, refuses, or is a stranger", () => {
    const isDead = ({ child }: Evidence): boolean => child === "gone" || child === "refused" || child === "stranger";
    expect(
      counterexamples((e, step) => (step === "reload") === (isOwn(e) && e.lemond === "same" && isDead(e))),
    ).toEqual([]);
  });

  test("a load without an unload is sent only when lemond does not list the model", () => {
    expect(counterexamples((e, step) => (step === "load") === (isOwn(e) && e.lemond === "not-listed"))).toEqual([]);
  });

  test("no evidence from lemond is no reason to load, to unload, or to ask the child", () => {
    const acts: readonly Step[] = ["load", "reload", "adopt", "keep", "ask-child", "await-child"];
    expect(
      counterexamples(({ lemond }, step) => {
        const isMute = lemond === "refused" || lemond === "silent" || lemond === "unasked";
        return !isMute || !acts.includes(step);
      }),
    ).toEqual([]);
  });

  test("a child that answers, loads or is merely slow keeps its place", () => {
    expect(
      counterexamples(
        ({ lemond, child }, step) =>
          lemond !== "same" || !["ok", "loading", "silent"].includes(child) || !["reload", "load"].includes(step),
      ),
    ).toEqual([]);
  });

  test("a slot without a child that backs off asks lemond for nothing", () => {
    const asks: readonly Step[] = ["ask-lemond", "ask-lemond-again", "ask-child", "load", "reload"];
    expect(counterexamples((e, step) => e.hasChild || !e.backsOff || !asks.includes(step))).toEqual([]);
  });

  test("a client that has gone costs nothing at all", () => {
    expect(counterexamples(({ clientGone }, step) => !clientGone || step === "stop")).toEqual([]);
  });

  test("an operator's action under way is waited for, whatever else is known", () => {
    expect(counterexamples((e, step) => e.clientGone || !e.operatorActing || step === "gate")).toEqual([]);
  });

  test("while a repair is under way nobody starts another", () => {
    const passive: readonly Step[] = ["stop", "gate", "use-current", "join"];
    expect(counterexamples((e, step) => !e.repairUnderWay || passive.includes(step))).toEqual([]);
  });

  test("what lemond says is not looked at before it was asked, nor the child before lemond", () => {
    expect(counterexamples((e, step) => !isOwn(e) || e.lemond !== "unasked" || step === "ask-lemond")).toEqual([]);
    expect(
      counterexamples((e, step) => !isOwn(e) || e.lemond !== "same" || e.child !== "unasked" || step === "ask-child"),
    ).toEqual([]);
  });

  test("what the child says changes nothing unless lemond lists that child", () => {
    expect(counterexamples((e, step) => e.lemond === "same" || step === nextStep({ ...e, child: "unasked" }))).toEqual(
      [],
    );
  });

  test("two answers are enough, unless somebody is busy or loading", () => {
    const isQuestion = (step: Step): boolean => step.startsWith("ask-") || step === "await-child";
    expect(
      counterexamples(
        (e, step) =>
          !isQuestion(step) ||
          e.lemond === "unasked" ||
          e.lemond === "silent" ||
          (e.lemond === "same" && (e.child === "unasked" || e.child === "loading")),
      ),
    ).toEqual([]);
  });
});
