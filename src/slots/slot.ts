// A slot: the gate, one shared repair at a time, and the one retry of each request. Decides by repair.ts, acts through
// recover.ts; what is known of the child is in state.ts, the attempts under way in flights.ts.
import type { Lost, Outcome } from "../dispatch/attempt.ts";
import type { Call, Sent } from "../dispatch/call.ts";
import type { SlotConfig } from "../config/config.ts";
import { DispatchError } from "../http/errors.ts";
import { createDial } from "./dial.ts";
import { createFlights } from "./flights.ts";
import { createWaiting } from "./hold.ts";
import type { Phase } from "./recover.ts";
import { nextStep } from "./repair.ts";
import { createRepairs, type RepairsDeps } from "./shared-repair.ts";
import { createState, type Label, type StateDeps } from "./state.ts";

export interface SlotDeps extends RepairsDeps, Omit<StateDeps, "tick" | "inFlight"> {
  readonly maxWaiting: () => number;
  readonly isDraining: () => boolean;
  readonly firstByteTimeoutMs: () => number;
  readonly isShared: (url: string) => boolean;
}

/** An operator's action under way: requests meet the gate. */
export interface Action {
  readonly promise: Promise<unknown>;
  readonly model: string;
}

interface Loss {
  readonly lost: Lost;
  readonly atMs: number;
  readonly generation: number;
}

type Way = { readonly go: Label | null } | { readonly stop: Sent };
const AT_ONCE: Way = { go: null };

export type Slot = ReturnType<typeof createSlot>;

export function createSlot(initial: SlotConfig, deps: SlotDeps) {
  const { clock, log, metrics, lemonade } = deps;
  const flights = createFlights(clock.now, () => state.followFlights());
  const state = createState(initial, { ...deps, tick: lemonade.tick, inFlight: () => flights.count });
  const waiting = createWaiting(initial.name, deps.maxWaiting);
  const dial = createDial({
    ...deps,
    state,
    flights,
    onInterrupted: (child, cause, requestId) => {
      const isOurs = state.child === child || (state.child === null && state.buried === child);
      if (isOurs && !action && !repairs.current && state.backOffMs <= 0 && !deps.isDraining())
        repairs.start(cause, false, requestId);
    },
  });
  const slotName = initial.name;
  let action: Action | null = null;
  let phase: Phase | "draining" = "checking";

  const enterPhase = (next: typeof phase): void => {
    phase = next;
    deps.onChange();
  };
  const repairs = createRepairs(slotName, state, waiting, enterPhase, deps);

  const loadingError = (): DispatchError => {
    const retry_after_s = state.retryAfterS;
    const progress = { phase, requested_model: action?.model ?? state.model, upstream: slotName };
    const message = `Slot ${slotName} is not ready (${phase}); try again in ${retry_after_s} s.`;
    const details = { slot: slotName, state: state.name, retry_after_s, progress };
    return new DispatchError("slot.loading", message, details, { "retry-after": String(retry_after_s) });
  };

  /** There is a child, and nobody is at work on it. */
  const isReady = (): boolean => state.child !== null && !action && !repairs.current;
  /** Another slot's load is about to take the child's room: what is dialled now would be cut. */
  const claimed = (): Promise<void> | null => (state.child ? deps.turns.claimed(state.child.type) : null);

  /** There is no child to send it to: the request's own loss, or that nothing could be dialled. */
  const stopped = (loss: Loss | null, label: Label, reason: string | null, retryAfterS?: number): Way => {
    const backOffS = Math.ceil(state.backOffMs / 1000);
    const wait = retryAfterS ?? (backOffS > 0 ? backOffS : undefined);
    const cause = state.buried ? "evicted" : "not loaded";
    const outcome: Outcome = loss?.lost ?? { kind: "lost", error: "ConnectError", cause };
    const headers: Record<string, string> = wait === undefined ? {} : { "retry-after": String(wait) };
    const told = loss ? undefined : (reason ?? undefined);
    return { stop: { outcome, label, target: lemonade.url, headers, reason: told, end: () => {} } };
  };

  /**
   * The way to a child that can be dialled: at arrival (`loss` null), or between attempt 1 and attempt 2.
   * Throws DispatchError where the gate or the waiting room says no.
   */
  const findWay = async (call: Call, loss: Loss | null): Promise<Way> => {
    const deadlineMs = clock.now() + state.config.holdMs;
    let label: Label | null = null;
    for (;;) {
      // What is cut off because the server stops is not repaired any more.
      if (loss && deps.isDraining()) throw new DispatchError("server.draining", "The server is stopping.");
      const { child, generation } = state;
      const claim = isReady() ? claimed() : null;
      if (claim) {
        const held = await waiting.hold(claim, deadlineMs - clock.now(), call.client);
        if (held.kind === "value") continue;
      }
      if (isReady() && !loss && !call.client.aborted) return { go: label };
      const step = nextStep({
        clientGone: call.client.aborted,
        operatorActing: action !== null,
        movedOn: child !== null && loss !== null && generation > loss.generation,
        repairUnderWay: repairs.current !== null,
        hasChild: child !== null,
        backsOff: state.backOffMs > 0,
        lemond: "unasked",
        child: "unasked",
      });
      switch (step) {
        case "stop":
          return {
            stop: { outcome: { kind: "client-gone" }, label: null, target: lemonade.url, headers: {}, end: () => {} },
          };
        case "gate": {
          if (!action || state.config.gate === "reject") throw loadingError();
          const held = await waiting.hold(action.promise, deadlineMs - clock.now(), call.client);
          if (held.kind === "late") throw loadingError();
          break;
        }
        case "use-current":
          return { go: "retargeted" };
        case "join": {
          if (!repairs.current) break;
          const { startedMs, promise } = repairs.current;
          const held = await waiting.hold(promise, deadlineMs - clock.now(), call.client);
          if (held.kind === "late") {
            // "Loading" is only said while it is: a question to lemond, or a wait for a turn or for room, is no load.
            if (phase !== "checking" && phase !== "waiting") throw loadingError();
            return stopped(loss, "failed", "lemond does not answer", state.retryAfterS);
          }
          if (held.kind === "client-gone" || held.value.label === "abandoned") break;
          label = held.value.label;
          // A child that nobody has called dead may still be dialled by those who only waited.
          if (label === "failed" && (loss || !state.child)) return stopped(loss, label, held.value.reason);
          // That the child was alive before this connection was lost proves nothing: look again.
          const isStale = label === "alive" && loss !== null && startedMs < loss.atMs;
          if (loss && !isStale) return { go: label };
          break;
        }
        case "back-off":
          metrics.repaired(slotName, "backed_off", null);
          return stopped(loss, "backed_off", state.lastError);
        default:
          repairs.start(loss?.lost.cause ?? "evicted", loss === null, call.requestId);
      }
    }
  };

  /** One request, from the gate to its reply or its last failure. Throws DispatchError of `slot.loading` or `slot.overloaded`. */
  const send = async (call: Call): Promise<Sent> => {
    const isOpen = isReady() && !claimed() && !call.client.aborted;
    const way = isOpen ? AT_ONCE : await findWay(call, null);
    if ("stop" in way) return way.stop;
    const { generation } = state;
    const first = await dial(call);
    if (first.outcome.kind !== "lost") return { ...first, label: way.go };
    const loss: Loss = { lost: first.outcome, atMs: clock.now(), generation };
    if (!action && !call.client.aborted) {
      const { error, cause } = loss.lost;
      metrics.upstreamDead(slotName, error);
      const fields = {
        request_id: call.requestId,
        slot: slotName,
        upstream: slotName,
        target: first.target,
        error,
        cause,
      };
      log.warn("dispatch.upstream_dead_attempting_recover", fields);
    }
    const again = await findWay(call, loss);
    if ("stop" in again) return { ...again.stop, target: first.target };
    const second = await dial(call);
    // An SDK that sent it a third time would only repeat what was just repeated.
    const headers = second.outcome.kind === "lost" ? { "x-should-retry": "false" } : {};
    return { ...second, label: again.go, headers };
  };

  return {
    name: slotName,
    get model() {
      return state.model;
    },
    /** The model that it will have when the operator's action under way has ended. */
    get wanted() {
      return action?.model ?? state.model;
    },
    get aliases() {
      return state.config.aliases;
    },
    get isDefault() {
      return state.config.isDefault;
    },
    state,
    flights,
    waiting,
    counts: repairs.counts,
    enterPhase,
    send,
    /** An operator's action or a repair is under way. */
    get isBusy() {
      return action !== null || repairs.current !== null;
    },
    /** Closes the gate until the action's promise settles. */
    begin: (next: Action): void => {
      const open = (): void => {
        action = null;
        deps.onChange();
      };
      // Who waits at the gate learns of a failure from the slot's state, not from the operator's error.
      action = { ...next, promise: next.promise.then(open, open) };
    },
  };
}
