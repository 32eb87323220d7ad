// What the slot API, the event feed and the status page show of a slot.
import type { Slot } from "./slot.ts";
import type { SlotState } from "./transitions.ts";

export interface SlotSnapshot {
  readonly name: string;
  readonly state: SlotState;
  readonly model: string;
  readonly url: string | null;
  readonly pid: number | null;
  readonly generation: number;
  readonly in_flight: number;
  readonly waiting: number;
  /** ISO 8601, like `last_used_at`. */
  readonly since: string;
  readonly last_used_at: string | null;
  readonly last_error: string | null;
  readonly last_load_s: number | null;
  readonly repairs: Readonly<Record<"recovered" | "retargeted" | "alive" | "failed", number>>;
  readonly aliases: readonly string[];
  readonly default: boolean;
}

export function snapshot({ record, counts, known }: Slot): SlotSnapshot {
  const { config } = record;
  const child = record.child === null ? undefined : known.children.get(record.child);
  const lastLoadMs = record.loadTimesMs.at(-1);
  return {
    name: record.name,
    state: record.state,
    model: record.model,
    url: child?.url ?? null,
    pid: child?.pid ?? null,
    generation: record.generation,
    in_flight: record.inFlight,
    waiting: record.held.length,
    since: timeOf(record.sinceMs),
    last_used_at: record.lastUsedMs === null ? null : timeOf(record.lastUsedMs),
    last_error: record.lastError,
    last_load_s: lastLoadMs === undefined ? null : Math.round(lastLoadMs) / 1000,
    repairs: { ...counts },
    aliases: config.aliases,
    default: config.isDefault,
  };
}

/** ISO 8601 of a moment of the monotonic clock. */
const timeOf = (ms: number): string => new Date(performance.timeOrigin + ms).toISOString();
