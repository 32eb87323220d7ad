// The laws that hold between two steps: nobody is forgotten, nothing is counted wrong, and nothing hangs.
import { plainModel } from "../../src/lemonade/names.ts";
import type { Job, Known, SlotRecord } from "../../src/slots/known.ts";
import { actingOn, slotsShown } from "../../src/slots/roster.ts";
import type { World } from "./world.ts";
import { all, found } from "../../src/slots/table.ts";

/** The first law that does not hold; null: all do. */
export function brokenIn(world: World): string | null {
  if (world.isEnded) return brokenAtEnd(world);
  return brokenOfRequests(world) ?? brokenOfTurn(world) ?? brokenOfSlots(world);
}

function brokenAtEnd({ requests, orders }: World): string | null {
  if (requests.includes("in")) return "the server ends, and a request has no answer";
  return orders.includes("in") ? "the server ends, and an order has no answer" : null;
}

function brokenOfRequests({ known, requests, attempts, orders }: World): string | null {
  for (const [id, fate] of requests.entries()) {
    const request = found(known.requests, id);
    if ((fate === "in") !== (request !== undefined)) return "a request is forgotten, or kept after its end";
    if (!request) continue;
    if ((request.child !== null) !== attempts.has(id))
      return "an attempt is under way that is not known, or the reverse";
    const isHeld = known.slots.get(request.slot)?.held.includes(id) ?? false;
    if (isHeld === (request.child !== null)) return "a request is neither held nor dialled, or both";
  }
  for (const [id, fate] of orders.entries()) {
    const isKnown = [...known.slots.values()].some(({ job }) => job?.order?.id === id);
    if ((fate === "in") !== isKnown) return "an order is forgotten, or kept after its end";
  }
  return null;
}

function brokenOfTurn({ known, pending }: World): string | null {
  const { turn } = known;
  if (!turn) return null;
  const slot = known.slots.get(turn.slot);
  if (turn.isTouch) return pending.some(({ kind }) => kind === "touch") ? null : "the turn is held by nobody";
  return slot?.job && slot.job.stage !== "turn" ? null : "the turn is held by nobody";
}

function brokenOfSlots(world: World): string | null {
  const { known } = world;
  for (const slot of known.slots.values()) {
    const broken = brokenOfCounts(known, slot) ?? (slot.job && hangs(world, slot, slot.job));
    if (broken) return broken;
    const { turn } = known;
    const isHeldUp = actingOn(known, slot) !== null || (turn !== null && turn.claim !== null && turn.slot !== slot.id);
    if (slot.held.length > 0 && !slot.job && !isHeldUp) return "a request waits for nothing";
  }
  const shown = slotsShown(known);
  const isSame = (one: string, other: string): boolean =>
    one === other || (plainModel(one) === plainModel(other) && !(one in known.models && other in known.models));
  for (const [at, one] of shown.entries())
    if (shown.slice(at + 1).some((other) => isSame(one.model, other.model))) return "two slots have one model";
  return null;
}

function brokenOfCounts(known: Known, slot: SlotRecord): string | null {
  const requests = all(known.requests);
  const underWay = requests.filter(({ slot: own, child }) => own === slot.id && child !== null).length;
  if (slot.inFlight !== underWay) return "in_flight is not what is under way";
  if (new Set(slot.held).size !== slot.held.length) return "a request is held twice";
  if (slot.held.some((id) => found(known.requests, id)?.slot !== slot.id)) return "a request is held that is over";
  if (slot.heldBytes !== slot.held.length) return "held bytes are counted wrong";
  for (const child of known.children.values())
    if (child.attempts !== requests.filter((request) => request.child === child.id).length)
      return "the attempts of a child are counted wrong";
  const { job } = slot;
  for (const id of [
    slot.child,
    slot.dead,
    job?.suspect ?? null,
    job?.fresh?.child ?? null,
    ...requests.map(({ child }) => child),
  ])
    if (id !== null && !known.children.has(id)) return "a child is forgotten that is in use";
  return null;
}

/** Each stage waits for an answer, for a moment, or for another's turn. */
function hangs({ known, pending }: World, slot: SlotRecord, job: Job): string | null {
  const hung = `a job hangs: ${job.stage}`;
  if (job.question !== null) {
    const { question } = job;
    return pending.some((one) => "question" in one && one.question === question) ? null : hung;
  }
  switch (job.stage) {
    case "turn":
      return known.turn && (known.turn.slot !== slot.id || known.turn.isTouch) && known.queue.includes(slot.id)
        ? null
        : hung;
    case "unloading":
      return pending.some((one) => one.kind === "unload" && one.job === job.id) ? null : hung;
    case "loading":
      return pending.some((one) => one.kind === "load" && one.job === job.id) ? null : hung;
    case "draining":
    case "room":
    case "checking":
    case "newcomer":
    case "reading back":
    case "warming":
      return null; // wakeAt() has the moment; the run to the end shows that it is enough.
  }
}
