// The repair decision, explored: every interleaving of two requests, an operator, deaths, lost connections and a failed
// load on both generations of lemond. No sockets, no time.
import { describe, expect, test } from "bun:test";
import { nextStep, type Step } from "../src/slots/repair.ts";
import { explore, type Explored } from "./model/explore.ts";
import type { NextStep } from "./model/recovery.ts";
import type { Action, Budget, Generation, World } from "./model/world.ts";

const versions: readonly Generation[] = ["10.6", "11.7"];
const gates: readonly World["gate"][] = ["reject", "hold"];
const orders: readonly (Action["order"] | null)[] = [null, "load", "unload", "restart"];

const PATIENCE_MS = 60_000;

/** What may go wrong together; each set is explored with every order, gate and generation. */
const troubles: Readonly<Record<string, Partial<Budget>>> = {
  "an eviction and a failed load": { deaths: 1, failedLoads: 1, backOffsOver: 1 },
  "an eviction, a lost connection and a client that leaves": { deaths: 1, resets: 1, leaves: 1 },
  "an eviction and a stale health answer": { deaths: 1, polls: 1 },
  "two evictions": { deaths: 2 },
  "an eviction, a silent lemond and a hold that ends": { deaths: 1, silences: 1, holdsOver: 1 },
  "two lost connections of a healthy child, and a silent lemond": { resets: 2, silences: 1 },
};

function exploreAll(left: Partial<Budget>, decide: NextStep): Explored[] {
  return versions.flatMap((version) =>
    orders.flatMap((order) =>
      // Without an operator nobody meets the gate.
      (order === null ? gates.slice(0, 1) : gates).map((gate) => explore({ version, gate, order, left }, decide)),
    ),
  );
}

/** The real table with one answer changed. */
function broken(from: Step, to: Step, when: (evidence: Parameters<NextStep>[0]) => boolean = () => true): NextStep {
  return (evidence) => {
    const step = nextStep(evidence);
    return step === from && when(evidence) ? to : step;
  };
}

function firstFault(decide: NextStep, left: Partial<Budget>): string | undefined {
  return exploreAll(left, decide).find(({ fault }) => fault !== null)?.fault?.law;
}

describe("in every interleaving of two requests and an operator's order the laws of repair hold", () => {
  test.each(Object.entries(troubles))(
    "with %s",
    (_, left) => {
      for (const { fault, states, ends } of exploreAll(left, nextStep)) {
        expect(fault).toBeNull();
        expect(states).toBeGreaterThan(50);
        expect(ends).toBeGreaterThan(0);
      }
    },
    PATIENCE_MS,
  );
});

describe("a table that breaks a law is found out", () => {
  const healthy = { resets: 1, silences: 1 };
  const evicted = { deaths: 1 };

  test("one that reloads a child which answers", () => {
    expect(firstFault(broken("keep", "reload"), healthy)).toBe("a healthy child was unloaded");
  });
  test("one that unloads when lemond is silent", () => {
    expect(firstFault(broken("ask-lemond-again", "reload"), healthy)).toBe("1 unloads for 0 deaths");
  });
  test("one that loads without the unload where lemond still lists the dead child", () => {
    const law = "an error without need: nothing failed but one connection";
    expect(firstFault(broken("reload", "load"), evicted)).toBe(law);
  });
  test("one that takes a dead child for busy", () => {
    expect(firstFault(broken("reload", "keep"), evicted)).toBe("the second attempt met what the first had met");
  });
  test("one that does not honour the back-off", () => {
    const decide = broken("back-off", "ask-lemond");
    expect(firstFault(decide, { ...evicted, failedLoads: 1 })).toBe("a load was sent during back-off");
  });
  test("one in which a second request starts a repair of its own", () => {
    const unjoined: NextStep = (evidence) => nextStep({ ...evidence, repairUnderWay: false });
    expect(firstFault(unjoined, evicted)).toBe("a second repair beside the one under way");
  });
  test("one that goes past the gate while an operator acts", () => {
    const ungated: NextStep = (evidence) => nextStep({ ...evidence, operatorActing: false });
    expect(firstFault(ungated, healthy)).toBeDefined();
  });
  test("one that waits for lemond to take back the loss of a child", () => {
    expect(firstFault(broken("load", "ask-lemond-again"), evicted)).toBe("somebody goes round in circles");
  });
});
