// One slot as the rest of the server sees it: where requests and orders go in, and what is reported about it.
import type { Call, Sent } from "../dispatch/call.ts";
import type { WaitProgress } from "../dispatch/heartbeat.ts";
import { DispatchError } from "../http/errors.ts";
import type { Clock } from "../observe/clock.ts";
import type { Log } from "../observe/log.ts";
import type { LemondReply } from "../lemonade/lemonade.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Attempts } from "./attempts.ts";
import { medianMs } from "./backoff.ts";
import { phaseOf } from "./jobs.ts";
import type { JobEnd, OrderFault } from "./events.ts";
import type { Action, Forward, Known, Request, SlotRecord } from "./known.ts";

export type TakeOrder = (slot: number, action: Action, model: string, forward: Forward | null) => Promise<OrderEnd>;

/** `reply`: lemond's own answer to the load, unload or delete, where one was sent. */
export interface OrderEnd {
  readonly fault: OrderFault | null;
  readonly reply: LemondReply | null;
}

export interface SlotDeps {
  readonly known: Known;
  readonly attempts: Attempts;
  readonly order: TakeOrder;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly onRepair: (repair: RepairRecord) => void;
}

/** One repair as the operator reads it later. */
export interface RepairRecord extends Pick<JobEnd, "cause" | "outcome" | "from" | "to" | "durationMs"> {
  readonly slot: string;
  readonly requestId: string | null;
}

export type Slot = ReturnType<typeof createSlot>;

const seconds = (ms: number): number => Math.round(ms / 1000);

export function createSlot(record: SlotRecord, deps: SlotDeps) {
  const { log, metrics, known } = deps;
  const { name } = record;
  const counts = { recovered: 0, retargeted: 0, alive: 0, failed: 0 };

  const repaired = ({ cause, outcome, from, to, durationMs, request }: JobEnd): void => {
    if (outcome in counts) counts[outcome as keyof typeof counts]++;
    metrics.repaired(name, outcome, outcome === "backed_off" ? null : durationMs / 1000);
    if (outcome === "backed_off") return;
    deps.onRepair({ slot: name, cause, outcome, from, to, durationMs, requestId: request });
    const fields = { request_id: request ?? undefined, slot: name, cause, outcome, from, to };
    if (outcome !== "failed") log.info("dispatch.upstream_recovered", { ...fields, took_ms: Math.round(durationMs) });
  };

  return {
    name,
    /** Read by others, written by step.ts alone. */
    get model() {
      return record.model;
    },
    get aliases() {
      return record.config.aliases;
    },
    get isDefault() {
      return record.config.isDefault;
    },
    record,
    known,
    counts,
    /** Sends the request to the slot's child. Throws DispatchError of `slot.loading`, `slot.overloaded` or `server.draining`. */
    send: (call: Call): Promise<Sent> => deps.attempts.send(record, call),
    /** Carries out an operator's order. Throws DispatchError: `slot.busy`, `slot.load_failed`, `dispatch.upstream_unavailable`. */
    order: async (action: Action, model = record.model): Promise<void> => {
      const { fault } = await deps.order(record.id, action, model, null);
      if (fault) throw orderError(record, fault, known.settings.lemondUrl);
    },
    /** A load, unload or delete that a client sent to lemond's own path. Throws DispatchError where lemond gave no reply. */
    forward: async (action: "load" | "unload", forward: Forward): Promise<LemondReply> => {
      const { fault, reply } = await deps.order(record.id, action, record.model, forward);
      if (reply) return reply;
      const silent: OrderFault = { code: "unload-failed", cause: "lemond does not answer", retryAfterS: 1 };
      throw orderError(record, fault ?? silent, known.settings.lemondUrl);
    },
    lost: ({ name: request_id, loss }: Request, target: string): void => {
      if (!loss) return;
      const { error, cause } = loss.lost;
      metrics.upstreamDead(name, error);
      const fields = { request_id, slot: name, upstream: name, target, error, cause };
      log.warn("dispatch.upstream_dead_attempting_recover", fields);
    },
    jobEnded: (end: JobEnd): void => {
      if (end.isLoss) repaired(end);
      else metrics.loaded(name, end.outcome);
    },
    /** What a request of the slot waits for. */
    progress: (): WaitProgress => {
      const phase = phaseOf(record.job);
      const aboutMs = medianMs(record.loadTimesMs);
      return {
        phase: phase === "checking" ? phase : phase === "waiting" ? "waiting for room" : "loading",
        elapsedS: seconds(deps.clock.now() - (record.job?.startedMs ?? deps.clock.now())),
        aboutS: aboutMs === undefined ? null : seconds(aboutMs),
      };
    },
  };
}

function orderError({ name, model, state }: SlotRecord, fault: OrderFault, lemondUrl: string): DispatchError {
  const details = { slot: name, state };
  switch (fault.code) {
    case "busy":
      return new DispatchError("slot.busy", `Slot ${name} is being loaded, unloaded or repaired already.`, details);
    case "implicit":
      return new DispatchError(
        "slot.busy",
        `Slot ${name} has no section in the configuration, so it cannot be swapped.`,
        details,
      );
    case "draining":
      return new DispatchError("server.draining", "The server is stopping.");
    case "unload-failed": {
      const error = { upstream: name, target: lemondUrl, error: "ConnectError", cause: fault.cause };
      return new DispatchError(
        "dispatch.upstream_unavailable",
        `Slot ${name}: unloading failed: ${fault.cause}`,
        error,
      );
    }
    case "load-failed": {
      const message = `Slot ${name}: loading ${model} failed: ${fault.cause}`;
      const headers = { "retry-after": String(fault.retryAfterS) };
      return new DispatchError("slot.load_failed", message, { slot: name, model, error: fault.cause }, headers);
    }
  }
}
