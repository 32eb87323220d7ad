// The state of one slot: which model, which child, which generation. A cache of what lemond says; lemond is the truth.
// Changes only through the functions here; starts nothing and asks nobody.
import { afterFailure, NO_BACK_OFF, retryAfterS } from "./backoff.ts";
import { type Child, isListedAs, openChild } from "./child.ts";
import type { Clock } from "../observe/clock.ts";
import type { SlotConfig } from "../config/config.ts";
import type { Listing, LoadedModel } from "../lemonade/lemonade.ts";
import type { Log } from "../observe/log.ts";
import { plainModel } from "../dispatch/resolve.ts";
import { isRoutine, mayFollow, type SlotState } from "./transitions.ts";

/** `x-hal0-repair`, and the outcome label of metrics and logs. */
export type Label = "recovered" | "retargeted" | "alive" | "loaded" | "failed" | "backed_off";

export interface StateDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Next value of the counter that orders listings and adoptions. */
  readonly tick: () => number;
  readonly typeOf: (model: string) => string;
  readonly inFlight: () => number;
  readonly onChange: () => void;
  /** Illegal transitions throw (tests) instead of being logged. */
  readonly isStrict: boolean;
}

export type State = ReturnType<typeof createState>;

const EVICTED = "model evicted from lemond (auto-reloads on next request)";
const LOAD_TIMES = 20;

export function createState(initial: SlotConfig, deps: StateDeps) {
  const { clock, log } = deps;
  let config = initial;
  let model = initial.model;
  let state: SlotState = "offline";
  let since = new Date();
  let child: Child | null = null;
  let buried: Child | null = null;
  /** The child last adopted, also after it was lost. */
  let last: Child | null = null;
  let generation = 0;
  /** Listings asked for up to here do not overrule what is known. */
  let settledAt = 0;
  let seen: LoadedModel | null = null;
  let lastError: string | null = null;
  let backOff = NO_BACK_OFF;
  let loadStartedMs: number | null = null;
  let loadTimesMs: number[] = [];

  const enter = (to: SlotState): void => {
    if (to === state) return;
    if (!mayFollow(state, to)) {
      const fault = `slot ${config.name}: ${state} may not become ${to}`;
      if (deps.isStrict) throw new Error(fault);
      log.error("slot.transition_illegal", { slot: config.name, from: state, to });
    }
    const write = isRoutine(state, to) ? log.debug : log.info;
    write("slot.transition", { slot: config.name, from: state, to });
    state = to;
    since = new Date();
    if (to === "starting") loadStartedMs = clock.now();
    deps.onChange();
  };

  /** Follows the requests: serving while some are on the child, ready when none is. */
  const followFlights = (): void => {
    const isUsed = deps.inFlight() > 0;
    if (state === "idle" && isUsed) enter("ready");
    if (state === "ready" && isUsed) enter("serving");
    if (state === "serving" && !isUsed) enter("ready");
  };

  const dropChild = (error: string | null): void => {
    child = null;
    settledAt = deps.tick();
    lastError = error;
    enter("offline");
  };

  return {
    enter,
    followFlights,
    get config() {
      return config;
    },
    get model() {
      return model;
    },
    get name() {
      return state;
    },
    get since() {
      return since;
    },
    get child() {
      return child;
    },
    /** The child last found dead, which a lemond that still lists it must not bring back. */
    get buried() {
      return buried;
    },
    get generation() {
      return generation;
    },
    get settledAt() {
      return settledAt;
    },
    get lastError() {
      return lastError;
    },
    get lastLoadS() {
      const last = loadTimesMs.at(-1);
      return last === undefined ? null : Math.round(last) / 1000;
    },
    get type() {
      return seen?.type ?? deps.typeOf(model);
    },
    /** What a load carries, so that the model comes back as it was. */
    get options() {
      return config.load ?? seen?.options ?? {};
    },
    /** Milliseconds until lemond may be asked for a load again; 0 or less: now. */
    get backOffMs() {
      return backOff.untilMs - clock.now();
    },
    get retryAfterS() {
      const isLoading = state === "starting" || state === "warming";
      return retryAfterS(loadTimesMs, isLoading && loadStartedMs !== null ? clock.now() - loadStartedMs : 0);
    },
    /** Remembers what lemond lists for the model. */
    see: (listed: LoadedModel): void => {
      seen = listed;
    },
    /** Takes the listed child as this slot's; whoever loaded it, it ends the back-off. */
    adopt: (listed: LoadedModel, listing: Listing): void => {
      settledAt = Math.max(deps.tick(), listing.askedAt);
      seen = listed;
      if (!child || !isListedAs(child, listed)) {
        child?.process?.close();
        buried?.process?.close();
        buried = null;
        child = openChild(listed, settledAt);
        // The same child, taken back after it was thought dead, is no new generation.
        if (!last || !isListedAs(last, listed)) generation++;
        last = child;
      }
      if (state === "warming" && loadStartedMs !== null)
        loadTimesMs = [...loadTimesMs, clock.now() - loadStartedMs].slice(-LOAD_TIMES);
      backOff = NO_BACK_OFF;
      lastError = null;
      if (state !== "serving" && state !== "idle") enter("ready");
      followFlights();
      deps.onChange();
    },
    /** The child is dead or gone, and nobody told us. */
    bury: (dead: Child): void => {
      if (buried !== dead) buried?.process?.close();
      buried = dead;
      if (child === dead) dropChild(EVICTED);
    },
    /** The slot is gone: lets go of the processes it watched. */
    close: (): void => {
      child?.process?.close();
      buried?.process?.close();
    },
    /** The child was unloaded on request. */
    release: (): void => {
      child?.process?.close();
      dropChild(null);
    },
    /** Ready becomes idle after `idle_after_s` without a request. */
    restIfQuiet: (quietMs: number): void => {
      const readyMs = Date.now() - since.getTime();
      if (state === "ready" && Math.min(quietMs, readyMs) >= config.idleAfterMs) enter("idle");
    },
    failLoad: (cause: string, requestId: string | null): void => {
      lastError = `load failed: ${cause}`;
      backOff = afterFailure(backOff, clock.now());
      enter("error");
      log.error("dispatch.recover_evicted_slot_failed", {
        request_id: requestId ?? undefined,
        slot: config.name,
        model,
        error: cause,
      });
    },
    /** Another model from now on; nothing is known of it yet. */
    become: (next: string): void => {
      if (plainModel(next) !== plainModel(model)) {
        seen = null;
        loadTimesMs = [];
        backOff = NO_BACK_OFF;
      }
      model = next;
      deps.onChange();
    },
    /** Takes a changed configuration of the same model; the child stays, a model swapped in stays too. */
    configure: (next: SlotConfig): void => {
      config = next;
      deps.onChange();
    },
  };
}
