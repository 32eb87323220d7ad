// What may happen next in a world, whoever makes it happen. A move is a kind and a target (a request, an order, a pending
// answer, a child), so that a run can be told in words and made again.
import type { Event } from "../../src/slots/events.ts";
import { answers } from "./answers.ts";
import { happen, forgetSent, mayPass, nextWakeMs, noteCut, over, wake } from "./happen.ts";
import { evictAll, isAlive, kill, listedOf, makeRoom, serverOf, start, touch, VISITOR } from "./lemond.ts";
import { type Asked, type Budget, replaced, type World } from "./world.ts";
import { slotOfAsked, slotOfName } from "./find.ts";
import { underWay } from "../../src/slots/requests.ts";
import { ownerOf } from "../../src/slots/roster.ts";
import { found } from "../../src/slots/table.ts";

export interface Kind {
  readonly words: string;
  /** Of somebody's own will: where nothing goes wrong any more it need not happen. */
  readonly isWilled?: boolean;
  readonly isClock?: boolean;
  targets(world: World): readonly number[];
  make(world: World, target: number): void;
}

export interface Move {
  readonly kind: Kind;
  readonly target: number;
}

export function movesOf(world: World): Move[] {
  if (world.isEnded) return [];
  return kinds.flatMap((kind) => kind.targets(world).map((target) => ({ kind, target })));
}

const FORWARD = { path: "/v1/load", body: {} };
const ONCE = [0];
const NEVER: number[] = [];

export const spend = (world: World, trouble: keyof Budget): void => void world.budget[trouble]--;

/** Numbers of those that are to come. */
const out = (fates: World["requests"]): number[] => fates.flatMap((fate, id) => (fate === "out" ? [id] : []));

const attempts = (world: World, isFit: (request: number, isStreaming: boolean) => boolean): number[] =>
  [...world.attempts].flatMap(([request, isStreaming]) => (isFit(request, isStreaming) ? [request] : []));

/** How the process stands that a request was dialled at. */
function healthOf(world: World, request: number): "running" | "loading" | "wedged" | "gone" {
  const child = world.known.children.get(found(world.known.requests, request)?.child ?? -1);
  if (!child) throw new Error(`request ${request} is dialled at no child`);
  return serverOf(world.lemond, child, world.scenario.arePidsVisible)?.health ?? "gone";
}

const isHanging = (world: World, request: number): boolean => {
  const child = world.known.children.get(found(world.known.requests, request)?.child ?? -1);
  return child !== undefined && child.pid !== null && world.lemond.hanging.includes(child.pid);
};

/** The connection breaks: before the first byte the request may go on, after it the stream ends. */
function lose(world: World, request: number): void {
  const isStreaming = world.attempts.get(request) ?? false;
  if (isStreaming) noteCut(world, request);
  over(world, request, isStreaming);
  const event: Event = isStreaming
    ? { kind: "broken", request, cause: "reset" }
    : { kind: "lost", request, lost: { kind: "lost", error: "ConnectError", cause: "refused" } };
  happen(world, event);
}

function arrive(world: World, id: number, slot: number, asked: Asked, isContinuation: boolean): void {
  const model = "model" in asked ? asked.model : null;
  const request = { id, name: `request ${id}`, slot, bodyBytes: 1, isContinuation, model, mayDial: true };
  happen(world, { kind: "arrived", request });
}

const clients: readonly Kind[] = [
  {
    words: "request arrives:",
    isWilled: true,
    targets: ({ requests, isDraining }) => (isDraining ? NEVER : out(requests).slice(0, 1)),
    make: (world, id) => {
      const asked = world.asked[id];
      const slot = asked && slotOfAsked(world, asked);
      if (!slot) return;
      world.requests = replaced(world.requests, id, "in");
      arrive(world, id, slot.id, asked, false);
    },
  },
  {
    words: "a stream that was cut is to be continued, of request",
    targets: ({ budget, cut }) => (budget.continuations > 0 ? [...cut.keys()] : NEVER),
    make: (world, id) => {
      spend(world, "continuations");
      const slot = world.cut.get(id);
      const asked = world.asked[id];
      if (!slot || !asked) return;
      world.cut.delete(id);
      world.asked = [...world.asked, asked];
      world.requests = [...world.requests, "in"];
      world.dials = [...world.dials, 0];
      arrive(world, world.requests.length - 1, slot, asked, true);
    },
  },
  {
    words: "the client has its first byte, request",
    targets: (world) => attempts(world, (id, isStreaming) => !isStreaming && healthOf(world, id) === "running"),
    make: (world, id) => void world.attempts.set(id, true),
  },
  {
    words: "the reply ends, request",
    targets: (world) => attempts(world, (id) => healthOf(world, id) === "running"),
    make: (world, id) => {
      over(world, id, true);
      happen(world, { kind: "ended", request: id });
    },
  },
  {
    words: "the connection of a child that is gone breaks, request",
    targets: (world) => attempts(world, (id) => healthOf(world, id) === "gone"),
    make: lose,
  },
  {
    words: "the connection of a child that lives breaks, request",
    targets: (world) => (world.budget.resets > 0 ? attempts(world, (id) => healthOf(world, id) !== "gone") : NEVER),
    make: (world, id) => {
      spend(world, "resets");
      lose(world, id);
    },
  },
  {
    words: "the child says that it loads, to request",
    targets: (world) => attempts(world, (id, isStreaming) => !isStreaming && healthOf(world, id) === "loading"),
    make: (world, id) => {
      over(world, id, false);
      world.dials = replaced(world.dials, id, (world.dials[id] ?? 0) - 1);
      happen(world, { kind: "still-loading", request: id });
    },
  },
  {
    words: "the port refuses under the silent connection of request",
    targets: (world) => attempts(world, (id) => isHanging(world, id)).slice(0, 1),
    make: (world, id) => {
      const child = found(world.known.requests, id)?.child;
      if (child) happen(world, { kind: "port-refused", child });
    },
  },
  {
    words: "the client leaves, request",
    targets: ({ budget, requests }) =>
      budget.leaves > 0 ? requests.flatMap((fate, id) => (fate === "in" ? [id] : [])) : NEVER,
    make: (world, id) => {
      spend(world, "leaves");
      world.leftMs = world.nowMs;
      over(world, id, true);
      happen(world, { kind: "left", request: id });
    },
  },
];

const operators: readonly Kind[] = [
  {
    words: "the operator orders",
    isWilled: true,
    targets: ({ orders, isDraining }) => (isDraining ? NEVER : out(orders).slice(0, 1)),
    make: (world, id) => {
      const ordered = world.scenario.orders[id - 1];
      const slot = ordered && slotOfName(world, ordered.slot);
      if (!ordered || !slot) return;
      const { action, model = slot.model, isForwarded = false } = ordered;
      // The API refuses a swap to a model that another slot has.
      const owner = action === "swap" ? ownerOf(world.known, model) : undefined;
      world.orders = replaced(world.orders, id, owner && owner !== slot ? "done" : "in");
      if (owner && owner !== slot) return;
      world.ordered = { ...world.ordered, [id]: { id: slot.id, child: slot.child } };
      const forward = isForwarded ? FORWARD : null;
      happen(world, { kind: "ordered", slot: slot.id, order: id, action, model, forward });
    },
  },
  {
    words: "the server is told to end",
    targets: ({ budget }) => (budget.drains > 0 ? ONCE : NEVER),
    make: (world) => {
      spend(world, "drains");
      world.isDraining = true;
      happen(world, { kind: "draining" });
    },
  },
  {
    words: "nothing is under way any more, and the server ends",
    targets: (world) => (world.isDraining && underWay(world.known) === 0 ? ONCE : NEVER),
    make: (world) => void (world.isEnded = true),
  },
  {
    words: "the time for requests under way is over",
    isWilled: true,
    targets: ({ isDraining, isStopped }) => (isDraining && !isStopped ? ONCE : NEVER),
    make: (world) => {
      happen(world, { kind: "stopping" });
      world.isStopped = true;
      world.isEnded = true;
    },
  },
  {
    words: "the configuration is read anew",
    targets: ({ budget }) => (budget.reloads > 0 ? ONCE : NEVER),
    make: (world) => {
      spend(world, "reloads");
      const { settings, reloaded } = world.scenario;
      happen(world, { kind: "configured", settings, slots: reloaded });
      happen(world, { kind: "wake" });
    },
  },
  {
    words: "the clock goes on to the next timer",
    isClock: true,
    targets: (world) => (mayPass(world, nextWakeMs(world)) ? ONCE : NEVER),
    make: (world) => wake(world, nextWakeMs(world)),
  },
];

const troubles: readonly Kind[] = [
  {
    words: "a child dies, pid",
    targets: ({ budget, lemond }) =>
      budget.kills > 0 ? lemond.processes.filter(({ model }) => model !== VISITOR).map(({ pid }) => pid) : NEVER,
    make: (world, pid) => {
      spend(world, "kills");
      const process = world.lemond.processes.find((one) => one.pid === pid);
      kill(world.lemond, pid);
      if (process) forgetSent(world, [process]);
    },
  },
  {
    words: "lemond takes a dead child off its list, pid",
    targets: ({ lemond }) =>
      lemond.isUp && lemond.isNoticing
        ? lemond.listed.flatMap(({ pid }) => (isAlive(lemond, pid) ? [] : [pid]))
        : NEVER,
    make: ({ lemond }, pid) => void (lemond.listed = lemond.listed.filter((process) => process.pid !== pid)),
  },
  {
    words: "a child has loaded, pid",
    targets: ({ lemond }) => lemond.processes.flatMap(({ pid, health }) => (health === "loading" ? [pid] : [])),
    make: ({ lemond }, pid) => {
      const warm = <T extends { pid: number }>(one: T) =>
        one.pid === pid ? { ...one, health: "running" as const } : one;
      lemond.processes = lemond.processes.map(warm);
      lemond.listed = lemond.listed.map(warm);
    },
  },
  {
    words: "another client's load evicts what is in its way",
    targets: ({ budget, lemond, pending }) =>
      budget.visits > 0 &&
      lemond.isUp &&
      lemond.visitor !== "coming" &&
      !listedOf(lemond, VISITOR) &&
      !pending.some(({ kind }) => kind === "load" || kind === "unload")
        ? ONCE
        : NEVER,
    make: (world) => {
      spend(world, "visits");
      const evicted = makeRoom(world.lemond, VISITOR);
      world.lemond.visited = evicted.map(({ pid }) => pid);
      forgetSent(world, evicted);
      world.lemond.visitor = "coming";
    },
  },
  {
    words: "the other client's model is listed",
    targets: ({ lemond }) => (lemond.isUp && lemond.visitor === "coming" ? ONCE : NEVER),
    make: (world) => {
      start(world.lemond, VISITOR, "running");
      world.lemond.visitor = "listed";
      world.lemond.visitorUsedMs = world.nowMs;
      world.lemond.visitorUsedBeforeMs = world.nowMs;
    },
  },
  {
    words: "the other client's model is used",
    targets: ({ budget, lemond }) => (budget.uses > 0 && lemond.visitor === "listed" ? ONCE : NEVER),
    make: (world) => {
      spend(world, "uses");
      touch(world.lemond, VISITOR);
      world.lemond.visitorUsedBeforeMs = world.lemond.visitorUsedMs;
      world.lemond.visitorUsedMs = world.nowMs;
    },
  },
  {
    words: "lemond goes away",
    targets: ({ budget, lemond }) => (budget.downs > 0 && lemond.isUp ? ONCE : NEVER),
    make: (world) => {
      spend(world, "downs");
      const { lemond } = world;
      lemond.isUp = false;
      // Those of 11.7 die with it; those of 10.6 stay behind, one of them wedged.
      const lost = evictAll({ ...lemond });
      lemond.processes = lemond.isNoticing ? [] : lemond.processes.map((one) => ({ ...one, health: "wedged" }));
      lemond.listed = [];
      lemond.visitor = "absent";
      lemond.visited = [];
      world.contested = {};
      forgetSent(world, lost);
    },
  },
  {
    words: "lemond's port refuses",
    targets: ({ budget, lemond }) => (budget.refusals > 0 && lemond.isUp ? ONCE : NEVER),
    make: (world) => {
      spend(world, "refusals");
      world.lemond.isUp = false;
    },
  },
  {
    words: "lemond comes back",
    targets: ({ lemond }) => (lemond.isUp ? NEVER : ONCE),
    make: ({ lemond }) => void (lemond.isUp = true),
  },
];

export const kinds: readonly Kind[] = [...clients, ...answers, ...operators, ...troubles];
