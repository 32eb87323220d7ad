// The laws that one step must keep (DESIGN.md section 3): what it sends, whom it dials and answers, what it lets go of. Judged
// against the lemond of the exploration, which knows what is really there.
import { plainModel } from "../../src/lemonade/names.ts";
import type { Effect, Event } from "../../src/slots/events.ts";
import type { Failure } from "../../src/slots/failures.ts";
import type { Known, Request, SlotRecord, Stage } from "../../src/slots/known.ts";
import { mayFollow } from "../../src/slots/transitions.ts";
import { checkpointOf, isAlive, listedOf, VISITOR } from "./lemond.ts";
import type { Sent, World } from "./world.ts";
import { all, found } from "../../src/slots/table.ts";

/** What of a slot is compared with what it was before the step. */
interface Standing {
  readonly child: number | null;
  readonly pid: number | null;
  readonly last: SlotRecord["last"];
  readonly generation: number;
  readonly stage: Stage | null;
}

export type Before = ReadonlyMap<number, Standing>;

export function standing({ known }: World): Before {
  const standings = new Map<number, Standing>();
  for (const { id, child, last, generation, job } of known.slots.values())
    standings.set(id, { child, pid: pidOf(known, child), last, generation, stage: job?.stage ?? null });
  return standings;
}

const pidOf = (known: Known, child: number | null): number | null =>
  child === null ? null : (known.children.get(child)?.pid ?? null);

export function judgeChanges(world: World, before: Before): void {
  for (const slot of world.known.slots.values()) {
    const was = before.get(slot.id);
    if (was) judgeChange(world, slot, was);
  }
}

const breaks = (world: World, law: string): void => void (world.broken = [...world.broken, law]);

/** Before it is carried out. */
export function judgeEffect(world: World, before: Before, event: Event, effect: Effect): void {
  switch (effect.do) {
    case "dial":
      return judgeDial(world, effect);
    case "answer":
      if (world.requests[effect.request.id] !== "in") breaks(world, "a request is answered twice");
      return judgeReason(world, before, effect.request, effect.failure);
    case "unload":
      return judgeUnload(world, effect.slot);
    case "load":
      return judgeLoad(world, effect.slot);
    case "touch":
      if (isLoading(world)) breaks(world, "a touch is sent while something else is under way at lemond");
      return;
    case "cut":
      if (effect.cause !== "unloaded") return;
      if (event.kind !== "health" || event.answer.kind !== "listing")
        breaks(world, "requests are cut for an order although lemond was not there");
      return;
    case "tell-order":
      if (world.orders[effect.order] !== "in") breaks(world, "an order is told twice");
      if (effect.fault?.code !== "draining") judgeOrder(world, effect.order, effect.fault === null);
      return;
    case "tell-job": {
      const { slot, reason } = effect.end;
      const listed = listedOf(world.lemond, slot.model);
      if (reason === "the model is not listed after the load" && listed && isAlive(world.lemond, listed.pid))
        breaks(world, "a load is called failed that worked");
      return;
    }
    case "tell-state":
      if (!mayFollow(effect.from, effect.to)) breaks(world, `a slot goes from ${effect.from} to ${effect.to}`);
      return;
    case "forget-slot":
      for (const request of all(world.known.requests))
        if (request.slot === effect.slot) breaks(world, "a slot is forgotten that has requests");
  }
}

const isLoading = ({ pending }: World): boolean =>
  pending.some(({ kind }) => kind === "load" || kind === "unload" || kind === "touch");

function judgeDial(world: World, { request, child }: Extract<Effect, { do: "dial" }>): void {
  const { known } = world;
  const slot = known.slots.get(request.slot);
  if (world.requests[request.id] !== "in") breaks(world, "a request is dialled that is over");
  if ((world.dials[request.id] ?? 0) >= 2) breaks(world, "a request is dialled a third time");
  const asked = world.asked[request.id];
  const wanted = asked && "model" in asked ? asked.model : ((slot?.isImplicit ? slot.name : slot?.model) ?? "");
  if (!isModelAt(known, wanted, child.checkpoint)) breaks(world, "a request is dialled at a child of another model");
  for (const pending of world.pending)
    if (pending.kind === "load" && pending.isEvicting && pending.slot !== request.slot)
      breaks(world, "an attempt begins on a child whose room is being taken");
  if (known.turn?.claim === child.type && known.turn.slot !== request.slot)
    breaks(world, "an attempt begins on a child whose room is being taken");
}

function isModelAt(known: Known, model: string, checkpoint: string | null): boolean {
  if (checkpoint === checkpointOf(model)) return true;
  if (model in known.models) return false;
  return [model, `user.${plainModel(model)}`, `extra.${plainModel(model)}`, plainModel(model)].some(
    (name) => checkpoint === checkpointOf(name),
  );
}

function judgeReason(world: World, before: Before, request: Request, failure: Failure): void {
  const { slot } = request;
  if (failure.kind === "draining" && !world.isDraining)
    breaks(world, "a request hears that the server ends, which is not so");
  const own = world.known.slots.get(slot);
  const isElsewhere =
    !own || (request.model !== null && !isModelAt(world.known, own.model, checkpointOf(request.model)));
  if (failure.kind === "elsewhere" && !isElsewhere)
    breaks(world, "a request hears that its model is elsewhere, which is not so");
  if (failure.kind === "overloaded") breaks(world, "a request hears that too many wait, which is not so");
  if (failure.kind !== "lost") return;
  if (failure.reason === "lemond does not answer" && !isAway(world))
    breaks(world, "a request hears that lemond does not answer, which is not so");
  if (failure.label === "backed_off" && world.failedMs[slot] === undefined)
    breaks(world, "a request meets a back-off although no load was sent");
  const isLate = request.heldUntilMs <= world.nowMs;
  if (failure.label === "failed" && !isLate && isUntroubled(world))
    breaks(world, "a request fails although nothing has");
  if (before.get(slot)?.stage === "room" && failure.label === "failed")
    breaks(world, "a request that is held for room gets no load within its hold");
}

const isUntroubled = ({ budget, scenario }: World): boolean =>
  sumOf(Object.values(budget)) === sumOf(Object.values(scenario.budget));
const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0);

/** It has refused or said nothing of late, or owes an answer. */
const isAway = ({ nowMs, awayMs, pending, scenario }: World): boolean =>
  nowMs - awayMs <= (scenario.slots[0]?.holdMs ?? 0) || pending.some(({ kind }) => kind === "health");

function judgeUnload(world: World, slot: SlotRecord): void {
  if (isLoading(world)) breaks(world, "an unload is sent while something else is under way at lemond");
  const listed = listedOf(world.lemond, slot.model);
  const order = slot.job?.order ?? null;
  if (!order) {
    if (listed && isAlive(world.lemond, listed.pid)) breaks(world, "a healthy child is unloaded");
    const sent = world.sent[slot.model] ?? NOTHING;
    if (sent.unloads > 0) breaks(world, "a second unload is sent for one death");
    world.sent = { ...world.sent, [slot.model]: { ...sent, unloads: 1 } };
    return;
  }
  const isOver = world.nowMs >= (slot.job?.startedMs ?? 0) + world.scenario.settings.drainMs;
  if (isOver) return;
  for (const request of all(world.known.requests)) {
    if (request.child === null) continue;
    const { checkpoint, pid } = world.known.children.get(request.child) ?? { checkpoint: null, pid: null };
    const isHit = checkpoint === checkpointOf(slot.model) || checkpoint === checkpointOf(order.model);
    if (isHit && isAlive(world.lemond, pid)) breaks(world, "an order does not wait for the requests under way");
  }
}

const NOTHING: Sent = { loads: 0, unloads: 0 };

/** The first one; the next are longer. */
const BACK_OFF_MS = 5000;

function judgeLoad(world: World, slot: SlotRecord): void {
  const { known, nowMs } = world;
  if (isLoading(world)) breaks(world, "a load is sent while something else is under way at lemond");
  const sent = world.sent[slot.model] ?? NOTHING;
  if (sent.loads > 0) breaks(world, "a second load is sent for one death");
  world.sent = { ...world.sent, [slot.model]: { ...sent, loads: 1 } };
  const before = world.failedMs[slot.id];
  // It may fail without a word, too.
  world.failedMs = { ...world.failedMs, [slot.id]: before ?? -Infinity };
  const { job } = slot;
  if (!job || job.order) return;
  if (nowMs - (before ?? -Infinity) < BACK_OFF_MS) breaks(world, "a load is sent during back-off");
  const isFor = slot.held.length > 0;
  if (!isFor && isFull(known, slot.model) && !isIdle(known, slot))
    breaks(world, "a load that nobody waits for evicts a model");
  const sinceMs = world.contested[slot.id];
  if (sinceMs === undefined) return;
  world.contested = { ...world.contested, [slot.id]: undefined };
  const { lemond } = world;
  const isFree = known.listing?.loaded.some(({ model }) => model === VISITOR) && !isFull(known, slot.model);
  // A use in this very moment is in no listing yet.
  const usedMs = lemond.visitorUsedMs === nowMs ? lemond.visitorUsedBeforeMs : lemond.visitorUsedMs;
  const isOld = nowMs - (lemond.visitor === "listed" ? usedMs : sinceMs + 8000) >= 2000 || nowMs - sinceMs >= 30_000;
  const isUrgent = slot.held.some((id) => {
    const request = found(known.requests, id);
    return request && nowMs >= (request.heldSinceMs + request.heldUntilMs) / 2;
  });
  // One that has left in this very moment was waited for when lemond was asked.
  if (!(isFree && isFor) && !isOld && !isUrgent && world.leftMs !== nowMs)
    breaks(world, "another client's eviction is fought");
}

/** A kept slot may take the room of a model that is neither kept nor in use. */
function isIdle({ listing, slots, nowMs }: Known, { model, config }: SlotRecord): boolean {
  const others = listing?.loaded.filter((listed) => listed.model !== model) ?? [];
  const [oldest] = others.toSorted((a, b) => (a.lastUse ?? 0) - (b.lastUse ?? 0));
  const owner = [...slots.values()].find((slot) => slot.model === oldest?.model);
  if (!config.keep || !owner || owner.config.keep || owner.inFlight > 0) return false;
  return nowMs - Math.max(owner.lastUsedMs ?? 0, owner.adoptedMs) >= owner.config.idleAfterMs;
}

/** As lemond was last heard. */
export function isFull({ listing }: Known, model: string): boolean {
  const others = listing?.loaded.filter((listed) => listed.model !== model).length ?? 0;
  const limit = listing?.maxModels["llm"];
  return typeof limit === "number" && others >= limit;
}

/** The other client has evicted a child, and the slot is told: its port refuses while we have a connection to it. */
export function noteContest(world: World, event: Event): void {
  const isTold = event.kind === "port-refused" || (event.kind === "sign" && event.sign === "refused");
  const child = isTold ? world.known.children.get(event.child) : undefined;
  // What a job asks may be asked in the moment in which a child that has crashed still has our connections.
  if (event.kind === "sign" && child?.examination !== event.question) return;
  if (!child || child.attempts === 0 || !world.lemond.visited.includes(child.pid ?? -1)) return;
  for (const slot of world.known.slots.values())
    if (slot.child === child.id || slot.job?.suspect === child.id || slot.dead === child.id)
      world.contested = { ...world.contested, [slot.id]: world.nowMs };
}

/** What the operator is told is so. */
function judgeOrder(world: World, id: number, isDone: boolean): void {
  const { known, lemond, scenario, ordered } = world;
  const order = scenario.orders[id - 1];
  const before = ordered[id];
  const slot = before && known.slots.get(before.id);
  if (!order || !slot) return;
  if (isDone) {
    const isSo = (order.action === "unload") === (slot.child === null);
    if (!isSo || (order.action === "swap" && slot.model !== order.model))
      breaks(world, "an order is told done that is not done");
    return;
  }
  const listed = listedOf(lemond, slot.model);
  const isThere = listed !== undefined && listed.pid === slot.last?.pid && isAlive(lemond, listed.pid);
  if (isThere && lemond.isUp && before.child !== null && slot.child === null)
    breaks(world, "an order that failed loses a child that runs and is listed");
}

function judgeChange(world: World, slot: SlotRecord, was: Standing): void {
  if (slot.child !== null && world.failedMs[slot.id] !== undefined)
    world.failedMs = { ...world.failedMs, [slot.id]: undefined };
  const isSame = slot.child === was.child;
  const pid = pidOf(world.known, slot.child);
  const isNew = !isSame && slot.child !== null && pid !== (was.last?.pid ?? null);
  if (slot.generation !== was.generation + (isNew ? 1 : 0)) breaks(world, "the generation does not count the children");
  const { job } = slot;
  if (was.stage === null && job && !job.order && slot.child !== null) {
    const loser = all(world.known.requests).find(({ name }) => name === job.request);
    if (loser?.loss && loser.loss.generation < slot.generation)
      breaks(world, "a loss is repaired that was repaired before");
  }
  // While the gate is closed for a load with other options, its child is put aside.
  if (isSame || was.pid === null || was.pid === pid || slot.job?.order?.forward) return;
  // A lemond that refuses, and a child that says nothing either, are evidence.
  const isUp = world.lemond.isUp && world.known.isUp !== false;
  const { listed } = world.lemond;
  if (isUp && isAlive(world.lemond, was.pid) && listed.some((process) => process.pid === was.pid))
    breaks(world, "a child is let go of that runs and is listed");
}
