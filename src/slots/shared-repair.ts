// One repair of a slot at a time, shared by everyone who finds the slot like this; counted and told when it has ended.
import type { LossCause } from "../dispatch/attempt.ts";
import type { Waiting } from "./hold.ts";
import type { Metrics } from "../observe/metrics.ts";
import { recover, type Phase, type RecoverDeps, type Recovery } from "./recover.ts";
import type { Label, State } from "./state.ts";

export interface RepairsDeps extends RecoverDeps {
  readonly metrics: Metrics;
  readonly onRepair: (repair: RepairRecord) => void;
  readonly onChange: () => void;
}

/** One repair as the operator reads it later. */
export interface RepairRecord {
  readonly slot: string;
  readonly cause: LossCause;
  readonly outcome: Label;
  readonly from: string | null;
  readonly to: string | null;
  readonly durationMs: number;
  readonly requestId: string | null;
}

export interface RepairEnd {
  readonly label: Label | "abandoned";
  /** Why it failed. */
  readonly reason: string | null;
}

export interface SharedRepair {
  readonly startedMs: number;
  /** Never rejects. */
  readonly promise: Promise<RepairEnd>;
}

export function createRepairs(
  slot: string,
  state: State,
  waiting: Waiting,
  enterPhase: (phase: Phase) => void,
  deps: RepairsDeps,
) {
  const { clock, log, metrics } = deps;
  const counts = { recovered: 0, retargeted: 0, alive: 0, failed: 0 };
  let current: SharedRepair | null = null;

  const run = async (cause: LossCause, isOnDemand: boolean, requestId: string | null): Promise<RepairEnd> => {
    const suspect = state.child ?? state.buried;
    const startedMs = clock.now();
    const isAbandoned = (): boolean => isOnDemand && waiting.count === 0;
    const patient = { name: slot, state, requestId: requestId ?? undefined, isAbandoned, enterPhase };
    const result = await recover(patient, suspect, deps).catch((error: unknown): Recovery => ({
      outcome: "failed",
      cause: String(error),
      loadFailed: false,
    }));
    current = null;
    if (result.outcome === "abandoned") return { label: "abandoned", reason: null };
    const durationMs = clock.now() - startedMs;
    const outcome = result.outcome === "loaded" && !isOnDemand ? "recovered" : result.outcome;
    if (outcome !== "loaded") counts[outcome]++;
    metrics.repaired(slot, outcome, durationMs / 1000);
    const from = suspect?.url ?? null;
    const to = result.outcome === "failed" ? null : (state.child?.url ?? null);
    deps.onRepair({ slot, cause, outcome, from, to, durationMs, requestId });
    if (result.outcome !== "failed") {
      const fields = {
        request_id: requestId ?? undefined,
        slot,
        cause,
        outcome,
        from,
        to,
        took_ms: Math.round(durationMs),
      };
      log.info("dispatch.upstream_recovered", fields);
    } else if (result.loadFailed) state.failLoad(result.cause, requestId);
    else
      log.error("dispatch.recover_evicted_slot_failed", {
        request_id: requestId ?? undefined,
        slot,
        model: state.model,
        error: result.cause,
      });
    deps.onChange();
    return { label: outcome, reason: result.outcome === "failed" ? result.cause : null };
  };

  return {
    counts,
    /** The repair under way. */
    get current() {
      return current;
    },
    /** Starts one; the caller has seen that none is under way. It finishes also when nobody waits any more. */
    start: (cause: LossCause, isOnDemand: boolean, requestId: string | null): void => {
      enterPhase("checking");
      current = { startedMs: clock.now(), promise: run(cause, isOnDemand, requestId) };
    },
  };
}
