// Which child a slot has: adopted, found dead, let go of. Reads lemond's listings; starts no repair and no load.
import type { SlotConfig } from "../config/config.ts";
import type { LossCause } from "../dispatch/attempt.ts";
import type { Listing, LoadedModel } from "../lemonade/listing.ts";
import { afterFailure, NO_BACK_OFF } from "./backoff.ts";
import { type ChildQuestion, type Move, nextId } from "./events.ts";
import type { Child, SlotRecord } from "./known.ts";
import type { ChildEvidence } from "./repair.ts";
import { isSameModel, listedFor, needsNoLoad, typeOf } from "./roster.ts";
import { all } from "./table.ts";
import type { SlotState } from "./transitions.ts";

const EVICTED = "model evicted from lemond (auto-reloads on next request)";
const LOAD_TIMES = 20;
const KEPT_SOON_MS = 60_000;

export function childOf({ known }: Move, id: number | null): Child | null {
  return id === null ? null : (known.children.get(id) ?? null);
}

/** True when the listed model is this very child. */
export function isListedAs(child: Pick<Child, "url" | "pid">, listed: LoadedModel): boolean {
  return child.url === listed.url && child.pid === listed.pid;
}

/** Two models are listed at this URL: a living process may have lost its port to the other's. */
export function isSharedUrl({ known }: Move, url: string): boolean {
  let count = 0;
  for (const listed of known.listing?.loaded ?? []) if (listed.url === url) count++;
  return count > 1;
}

/** Whether the slot's requests go to the child itself; for the other recipes lemond translates each request. */
export function isDialled(
  { config }: { readonly config: Pick<SlotConfig, "via"> },
  { recipe, isReachable }: Pick<Child, "recipe" | "isReachable">,
): boolean {
  if (config.via === "lemond" || !isReachable) return false;
  return config.via === "child" || recipe === "llamacpp";
}

export function enter(move: Move, slot: SlotRecord, to: SlotState): void {
  const from = slot.state;
  if (to === from) return;
  slot.state = to;
  slot.sinceMs = move.known.nowMs;
  if (to === "starting") slot.loadStartedMs = move.known.nowMs;
  move.effects.push({ do: "tell-state", slot, from, to });
}

/** Sets the state by use: serving while requests are on the child, else ready. */
export function followUse(move: Move, slot: SlotRecord): void {
  const isUsed = slot.inFlight > 0;
  if (slot.state === "idle" && isUsed) enter(move, slot, "ready");
  if (slot.state === "ready" && isUsed) enter(move, slot, "serving");
  if (slot.state === "serving" && !isUsed) enter(move, slot, "ready");
}

/** Begins to watch a listed child that no slot has yet. */
export function openChild(move: Move, { url, pid, checkpoint, type, recipe, isReachable }: LoadedModel): Child {
  const id = nextId(move);
  const own = { url, pid, checkpoint, type, recipe, isReachable };
  const child = { ...own, id, listedAt: id, misses: 0, attempts: 0, examination: null, isEvicted: false };
  move.known.children.set(id, child);
  move.effects.push({ do: "open", child });
  return child;
}

/** Takes the listed child as this slot's, whoever loaded it, and ends the back-off. */
export function adopt(move: Move, slot: SlotRecord, listed: LoadedModel, opened: Child | null = null): void {
  const { nowMs } = move.known;
  const before = childOf(move, slot.child);
  slot.settledAt = nextId(move);
  if (listed.options !== null || slot.seen === null) slot.seen = listed;
  if (!before || !isListedAs(before, listed)) {
    const { dead } = slot;
    slot.child = (opened ?? openChild(move, listed)).id;
    slot.dead = null;
    slot.adoptedMs = nowMs;
    // The same child, taken back after it was thought dead, is no new generation.
    if (!slot.last || !isListedAs(slot.last, listed)) slot.generation++;
    slot.last = { url: listed.url, pid: listed.pid };
    for (const old of [before?.id ?? null, dead]) forgetUnused(move, old);
  }
  if (slot.state === "warming" && slot.loadStartedMs !== null)
    slot.loadTimesMs = [...slot.loadTimesMs, nowMs - slot.loadStartedMs].slice(-LOAD_TIMES);
  slot.backOff = NO_BACK_OFF;
  slot.lastError = null;
  if (slot.state !== "serving" && slot.state !== "idle") enter(move, slot, "ready");
  followUse(move, slot);
  move.dirty.push(slot);
}

/** A slot without a child of its own: lemond answers to the name, and nothing is loaded for it. */
export function serveByName(move: Move, slot: SlotRecord): void {
  const { listing, settings } = move.known;
  if (slot.child !== null || !listing) return;
  const type = typeOf(move.known, slot);
  const own = { model: slot.model, url: settings.lemondUrl, pid: null, checkpoint: null, type, options: null };
  adopt(move, slot, { ...own, recipe: "", isReachable: false, lastUse: null, isBusy: false });
}

/** The child is dead or gone, without an unload of ours. */
export function bury(move: Move, slot: SlotRecord, dead: number): void {
  const before = slot.dead;
  slot.dead = dead;
  if (slot.child === dead) noteKept(move.known.nowMs, slot);
  if (before !== dead) forgetUnused(move, before);
  if (slot.child === dead) letGo(move, slot, EVICTED);
}

/** A kept model lost soon after its load is loaded again at growing intervals, or we and lemond's eviction would alternate. */
function noteKept(nowMs: number, slot: SlotRecord): void {
  const isSoon = nowMs - slot.adoptedMs < KEPT_SOON_MS;
  slot.keepBackOff = isSoon ? afterFailure(slot.keepBackOff, nowMs) : NO_BACK_OFF;
}

/** lemond has said that the child is unloaded. */
export function release(move: Move, slot: SlotRecord): void {
  const { child } = slot;
  letGo(move, slot, null);
  forgetUnused(move, child);
}

/** Two models taken for one prove different by lemond's list: a slot gives up the other's child. */
export function disown(move: Move): void {
  const { known } = move;
  for (const slot of known.slots.values()) {
    const child = childOf(move, slot.child);
    const listed = child && known.listing?.loaded.find((other) => isListedAs(child, other));
    if (listed && !slot.job && !isSameModel(known, slot.model, listed.model)) {
      slot.seen = null;
      release(move, slot);
    }
  }
}

function letGo(move: Move, slot: SlotRecord, error: string | null): void {
  slot.child = null;
  slot.settledAt = nextId(move);
  slot.lastError = error;
  enter(move, slot, "offline");
  move.dirty.push(slot);
}

/** Forgets a child that no slot, attempt or job uses any more. */
export function forgetUnused(move: Move, id: number | null): void {
  const child = childOf(move, id);
  if (!child || child.attempts > 0) return;
  for (const { child: own, dead, job } of move.known.slots.values())
    if (own === id || dead === id || job?.suspect === id || job?.fresh?.child === id) return;
  move.known.children.delete(child.id);
  move.effects.push({ do: "forget", child: child.id });
}

/**
 * Shows a listing to every slot. `gone`: children whose process has ended. `wasBlocked`: another client's
 * eviction delayed the answer.
 */
export function observe(move: Move, listing: Listing, gone: readonly number[], wasBlocked: boolean): void {
  for (const slot of move.known.slots.values()) {
    const listed = listedFor(move.known, slot);
    if (listed) slot.seen = listed;
    // While a job runs, it updates the slot; the listing must not interfere.
    if (slot.job || listing.askedAt <= slot.settledAt) continue;
    if (needsNoLoad(move.known, slot)) {
      serveByName(move, slot);
      continue;
    }
    const child = childOf(move, slot.child);
    const dead = childOf(move, slot.dead);
    const isSame = child !== null && listed !== undefined && isListedAs(child, listed);
    if (child && !listed) child.isEvicted ||= wasBlocked;
    if (child && (!listed || (isSame && gone.includes(child.id)))) bury(move, slot, child.id);
    else if (listed && !isSame && !(dead && listed.pid !== null && isListedAs(dead, listed))) adopt(move, slot, listed);
  }
  const { children, lastId } = move.known;
  for (const child of children.values()) {
    if (listing.loaded.some((listed) => isListedAs(child, listed))) child.listedAt = lastId;
    if (child.attempts > 0 && child.isReachable) judge(move, child, listing);
  }
}

/**
 * A connection may stay open and silent long after its child is gone. The first listing without the child asks its port;
 * the second in a row ends the attempt.
 */
function judge(move: Move, child: Child, listing: Listing): void {
  if (listing.askedAt <= child.id) return;
  if (listing.loaded.some((listed) => isListedAs(child, listed))) child.misses = 0;
  else if (++child.misses > 1) cutAttempts(move, child.id, "evicted");
  else examine(move, child, "port");
}

/** Asks a child with attempts under way whether it is still there; one question at a time. */
function examine(move: Move, child: Child, how: ChildQuestion): void {
  child.examination ??= askChild(move, child, how);
}

/** Gives the number that the answer will carry. */
export function askChild(move: Move, child: Child, how: ChildQuestion): number {
  const question = nextId(move);
  move.effects.push({ do: "ask-child", question, child, how, isShared: isSharedUrl(move, child.url) });
  return question;
}

/** lemond refuses connections, so its children may be dead too. */
export function suspectAll(move: Move, gone: readonly number[]): void {
  for (const slot of move.known.slots.values())
    if (slot.child !== null && gone.includes(slot.child) && !slot.job) bury(move, slot, slot.child);
  for (const child of move.known.children.values())
    if (child.attempts > 0 && child.isReachable) examine(move, child, "slots");
}

/**
 * The answer to `examine`. A child orphaned by a killed lemond 10.6 still listens and says 200 to /health, but gives /slots
 * no answer at all: then the sign is `silent`, and counts only while lemond is down.
 */
export function examined(move: Move, child: Child, how: ChildQuestion, sign: ChildEvidence): void {
  child.examination = null;
  if (sign === "refused") return portRefused(move, child);
  if (sign === "gone" || sign === "stranger") return cutAttempts(move, child.id, "evicted");
  if (how !== "slots" || sign !== "silent" || move.known.isUp !== false) return;
  for (const slot of move.known.slots.values()) if (slot.child === child.id && !slot.job) bury(move, slot, child.id);
  cutAttempts(move, child.id, "wedged");
}

/** Its port refuses although our sockets to it are open: lemond evicts it, and the child ends once we hang up. */
export function portRefused(move: Move, child: Child): void {
  child.isEvicted ||= child.attempts > 0;
  for (const { job } of move.known.slots.values())
    if (job?.suspect === child.id && job.loads === 0) job.isContested ||= child.isEvicted;
  cutAttempts(move, child.id, "evicted");
}

export function cutAttempts({ known, effects }: Move, child: number, cause: LossCause): void {
  for (const request of all(known.requests))
    if (request.child === child && request.isDirect) effects.push({ do: "cut", request: request.id, cause });
}

/** Cuts all attempts of one slot. */
export function cutRequests({ known, effects }: Move, slot: number, cause: LossCause): void {
  for (const request of all(known.requests))
    if (request.slot === slot && request.child !== null) effects.push({ do: "cut", request: request.id, cause });
}
