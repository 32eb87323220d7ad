// Reads lemond's health every `poll_s` and shows it to the slots: adopts, notices evictions, ends attempts whose child is
// gone by the evidence, and tells lemond which models are in use. Never loads a model that is not loaded.
import { type Child, isListedAs, signOf } from "../slots/child.ts";
import type { Clock } from "../observe/clock.ts";
import { type HealthAnswer, isShared, type Lemonade, type Listing, type LoadedModel } from "./lemonade.ts";
import type { Log } from "../observe/log.ts";
import type { Probe } from "./probe.ts";
import { findListed } from "../slots/recover.ts";
import type { Slot } from "../slots/slot.ts";
import type { Turns } from "../slots/turns.ts";

export interface WatchDeps {
  readonly lemonade: Lemonade;
  readonly probe: Probe;
  readonly turns: Turns;
  readonly clock: Clock;
  readonly log: Log;
  readonly pollMs: () => number;
  readonly touchMs: () => number;
  /** The slots of now; `listing` may bring implicit ones. */
  readonly slots: (listing: Listing | null) => Iterable<Slot>;
}

export type Watch = ReturnType<typeof createWatch>;

const TOUCH_ANSWER_MS = 3000;

export function createWatch(deps: WatchDeps) {
  const { lemonade, probe, turns, clock, log } = deps;
  const touchedMs = new WeakMap<Slot, number>();
  const underSuspicion = new WeakSet<Child>();
  const distrustedSoFar = new Set<string>();
  let isUp: boolean | null = null;
  let latest: Listing | null = null;
  let isStopped = false;

  /** By the last listing. */
  const isSharedNow = (url: string): boolean => latest !== null && isShared(latest, url);

  /** Asks lemond, and shows a listing to every slot. */
  const refresh = async (): Promise<HealthAnswer> => {
    const answer = await lemonade.health();
    await noteReachable(answer);
    if (answer.kind === "listing") {
      if (!latest || answer.askedAt > latest.askedAt) latest = answer;
      noteDistrusted(answer);
      for (const slot of deps.slots(answer)) observe(slot, answer);
    } else if (answer.kind === "refused") {
      for (const slot of deps.slots(null)) {
        const { child } = slot.state;
        if (child?.process?.isAlive() === false && !slot.isBusy) slot.state.bury(child);
        for (const dialled of slot.flights.children()) void suspect(slot, dialled);
      }
    }
    return answer;
  };

  const noteDistrusted = ({ distrusted }: Listing): void => {
    for (const model of distrusted) {
      if (distrustedSoFar.has(model)) continue;
      distrustedSoFar.add(model);
      log.error("lemonade.backend_url_refused", { model, error: "neither on loopback nor on lemond's own host" });
    }
  };

  const noteReachable = async (answer: HealthAnswer): Promise<void> => {
    // Live but no health means busy with an unload, not down.
    const nowUp = answer.kind === "listing" || (answer.kind === "silent" && (await lemonade.isLive()));
    if (nowUp === isUp) return;
    if (!nowUp) {
      const error = "cause" in answer ? answer.cause : "connection refused";
      log.warn("lemonade.unreachable", { url: lemonade.url, error });
    } else if (isUp === false) log.info("lemonade.back", { url: lemonade.url });
    isUp = nowUp;
  };

  const observe = (slot: Slot, listing: Listing): void => {
    const { state } = slot;
    const listed = findListed(listing, state.model);
    if (listed) state.see(listed);
    for (const child of slot.flights.children()) judge(slot, child, listing, listed);
    // What an action or a repair does to the slot, it reads back itself.
    if (slot.isBusy || listing.askedAt <= state.settledAt) return;
    const { child, buried } = state;
    if (child && (!listed || (isListedAs(child, listed) && child.process?.isAlive() === false))) state.bury(child);
    else if (
      listed &&
      !(child && isListedAs(child, listed)) &&
      !(buried && listed.pid !== null && isListedAs(buried, listed))
    )
      state.adopt(listed, listing);
  };

  /** A connection may stay open and silent long after its child is gone: lemond no longer listing it ends the attempt. */
  const judge = (slot: Slot, child: Child, listing: Listing, listed: LoadedModel | undefined): void => {
    if (listing.askedAt <= child.knownSince) return;
    if (listed && isListedAs(child, listed)) {
      child.misses = 0;
      return;
    }
    child.misses++;
    if (child.misses > 1) slot.flights.cut(child, "evicted");
    else void cutIfPortIsNot(slot, child);
  };

  const cutIfPortIsNot = async (slot: Slot, child: Child): Promise<boolean> => {
    const sign = await signOf(child, probe, isSharedNow(child.url));
    const isGone = sign === "gone" || sign === "refused" || sign === "stranger";
    if (isGone) slot.flights.cut(child, "evicted");
    return isGone;
  };

  /**
   * lemond refuses connections, so nobody vouches for its children. One that is left behind wedged still listens and says
   * 200 to /health, but gives /slots no answer at all (lemond 10.6 after `kill -9`).
   */
  const suspect = async (slot: Slot, child: Child): Promise<void> => {
    if (underSuspicion.has(child)) return;
    underSuspicion.add(child);
    try {
      if (await cutIfPortIsNot(slot, child)) return;
      for (let silences = 0; silences < 2; silences++) if ((await probe.slots(child.url)) !== "silent") return;
      if (isUp) return; // It is back, and says itself what it has.
      slot.flights.cut(child, "wedged");
      if (!slot.isBusy) slot.state.bury(child);
    } finally {
      underSuspicion.delete(child);
    }
  };

  /** lemond counts only traffic that goes through itself as use: a load with the very options it shows renews it. */
  const touch = async (slot: Slot, listing: Listing): Promise<boolean> => {
    const { child, model } = slot.state;
    const listed = findListed(listing, model);
    const isDue = clock.now() - (touchedMs.get(slot) ?? -Infinity) >= deps.touchMs();
    if (!isDue || !child || !listed?.options || !isListedAs(child, listed) || slot.isBusy) return false;
    if (child.process?.isAlive() === false) return false; // The load would bring back what nobody asked for.
    const endTurn = turns.takeIfFree();
    if (!endTurn) return false;
    try {
      if (!slot.flights.takeUse()) return false;
      touchedMs.set(slot, clock.now());
      const done = await lemonade.load(listed.model, listed.options, TOUCH_ANSWER_MS);
      log.debug("lemonade.touch", { slot: slot.name, model: listed.model, ok: done.ok });
      return true;
    } finally {
      endTurn();
    }
  };

  /** A fault of ours must not end the polling. */
  const failed = (error: unknown): void =>
    log.error("server.internal", { error: error instanceof Error ? `${error.name}: ${error.message}` : "unknown" });

  const poll = async (): Promise<void> => {
    let answer = await refresh();
    for (const slot of deps.slots(null)) {
      slot.state.restIfQuiet(slot.flights.quietMs);
      if (answer.kind !== "listing" || deps.touchMs() === 0) continue;
      // A touch may take its time, and what lemond lists is only true for a moment.
      if (await touch(slot, answer)) answer = await refresh();
    }
  };

  return {
    refresh,
    /** Null until the first answer or refusal. */
    get isUp() {
      return isUp;
    },
    get latest() {
      return latest;
    },
    isShared: isSharedNow,
    /** Polls until stopped; the first poll is over when the promise resolves. */
    start: async (): Promise<void> => {
      await poll();
      void (async () => {
        while (!isStopped) {
          await clock.sleep(deps.pollMs());
          if (!isStopped) await poll().catch(failed);
        }
      })();
    },
    stop: (): void => {
      isStopped = true;
    },
  };
}
