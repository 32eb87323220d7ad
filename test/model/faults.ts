// Faults that src/slots once had, or might have, each as a change of one place in one file; and the law that it breaks.

export interface Fault {
  readonly name: string;
  /** In src/slots. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly right: string;
  readonly wrong: string;
  readonly scenario: string;
  readonly law: string;
}

export const faults: readonly Fault[] = [
  {
    name: "a repair that nobody waits for takes another slot's room",
    file: "check.ts",
    right: "if (!isWanted && (job.isOnDemand || isFull || isContested))",
    wrong: "if (!isWanted && job.isOnDemand)",
    scenario: "two slots and room for one",
    law: "a load that nobody waits for evicts a model",
  },
  {
    name: "the wait for room is as long as the whole hold",
    file: "turns.ts",
    right: "(request.heldSinceMs + request.heldUntilMs) / 2",
    wrong: "request.heldUntilMs",
    scenario: "two slots and room for one",
    law: "a request that is held for room gets no load within its hold",
  },
  {
    name: "the slot lets go of its child although the unload failed",
    file: "orders.ts",
    right: "if (result.ok || result.status === 404) release(move, slot);",
    wrong: "release(move, slot); if (result.ok || result.status === 404);",
    scenario: "two requests and an operator's restart",
    law: "a child is let go of that runs and is listed",
  },
  {
    name: "the end waits for attempts alone",
    file: "requests.ts",
    right: "return requests.size + orders;",
    wrong: "return [...requests.values()].filter(({ child }) => child !== null).length;",
    scenario: "the end of the process",
    law: "the server ends, and an order has no answer",
  },
  {
    name: "names of models are compared without their prefixes",
    file: "roster.ts",
    right: " && !Object.hasOwn(known.models, own)",
    wrong: "",
    scenario: "two models whose names differ in the prefix",
    law: "a request is dialled at a child of another model",
  },
  {
    name: "a slot without a section can be swapped",
    file: "orders.ts",
    right: 'if (action === "swap" && slot.isImplicit)',
    wrong: "if (false)",
    scenario: "a swap of a slot without a section",
    law: "a request is dialled at a child of another model",
  },
  {
    name: "a swap does not wait for the requests of the slot that has the model",
    file: "roster.ts",
    right: "other === slot || ((other.isImplicit || other.isLeaving) && hasIt(other.model))",
    wrong: "other === slot",
    scenario: "a swap to the model of a slot without a section",
    law: "an order does not wait for the requests under way",
  },
  {
    name: "who asked for a model is served by the one that has its slot now",
    file: "requests.ts",
    right: "if (!acting && model !== null && !isSameModel(move.known, slot.model, model))",
    wrong: "if (false)",
    scenario: "requests for a model by its name, and a swap",
    law: "a request is dialled at a child of another model",
  },
  {
    name: "the rest of a stream gets no answer from a slot that was taken out",
    file: "requests.ts",
    right: 'if (!slot) return void move.effects.push({ do: "answer", request, failure: { kind: "elsewhere" } });',
    wrong: "if (!slot) return;",
    scenario: "a reload without the slot whose stream is cut (lemond 11.7)",
    law: "a request is forgotten, or kept after its end",
  },
  {
    name: "a silent lemond is taken for evidence",
    file: "repair.ts",
    right: 'return "ask-lemond-again";',
    wrong: 'return "reload";',
    scenario: "a lemond that is silent",
    law: "a healthy child is unloaded",
  },
  {
    name: "a child that answers is reloaded",
    file: "repair.ts",
    right: 'case "ok":\n      return "keep";',
    wrong: 'case "ok":\n      return "reload";',
    scenario: "a lemond that is silent",
    law: "a healthy child is unloaded",
  },
  {
    name: "room that was waited for is not claimed",
    file: "turns.ts",
    right: "if (turn) turn.claim = typeOf(move.known, slot);",
    wrong: "",
    scenario: "two slots and room for one, the other way round",
    law: "an attempt begins on a child whose room is being taken",
  },
  {
    name: "a load does not wait for its turn",
    file: "check.ts",
    right: "if (!hasTurn(move, slot)) return takeTurn(move, slot, job);",
    wrong: "",
    scenario: "two slots, room for one, and a child that dies",
    law: "a load is sent while something else is under way at lemond",
  },
  {
    name: "a request is sent a third time",
    file: "requests.ts",
    right: "if (request.attempts > 1)",
    wrong: "if (request.attempts > 2)",
    scenario: "a request, and a child that dies twice (lemond 11.7)",
    law: "a request is dialled a third time",
  },
  {
    name: "a second request repairs by itself",
    file: "repair.ts",
    right: 'if (jobUnderWay) return "join";',
    wrong: "",
    scenario: "two requests, and a child that dies (lemond 11.7)",
    law: "a load is sent while something else is under way at lemond",
  },
  {
    name: "a failed load is followed by the next at once",
    file: "jobs.ts",
    right: "slot.backOff = afterFailure(slot.backOff, nowMs);",
    wrong: "afterFailure(slot.backOff, nowMs);",
    scenario: "two requests, and a child that dies (lemond 11.7)",
    law: "a load is sent during back-off",
  },
  {
    name: "another client's eviction is answered with a load",
    file: "check.ts",
    right: 'if (isContested) return waitFor(move, slot, job, "newcomer");',
    wrong: "",
    scenario: "another client's load",
    law: "another client's eviction is fought",
  },
  {
    name: "the answer to an older question counts",
    file: "step.ts",
    right: "if (job?.question !== question) continue;",
    wrong: "if (!job?.question) continue;",
    scenario: "an answer of lemond that comes late",
    law: "a load is called failed that worked",
  },
  {
    name: "a child that is taken back counts as another",
    file: "children.ts",
    right: "if (!slot.last || !isListedAs(slot.last, listed)) slot.generation++;",
    wrong: "slot.generation++;",
    scenario: "a lemond whose port refuses for a while, and a child that is busy",
    law: "the generation does not count the children",
  },
  {
    name: "requests are cut for an order while lemond is away",
    file: "orders.ts",
    right: 'case "unasked":\n      return askLemond(move, job);',
    wrong: 'case "unasked":\n      cutRequests(move, slot.id, "unloaded");\n      return askLemond(move, job);',
    scenario: "a request that the gate holds, and an operator's restart",
    law: "requests are cut for an order although lemond was not there",
  },
];
