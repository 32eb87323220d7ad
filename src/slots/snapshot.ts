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

export function snapshot({ name, state, flights, waiting, counts }: Slot): SlotSnapshot {
  const { child, config } = state;
  return {
    name,
    state: state.name,
    model: state.model,
    url: child?.url ?? null,
    pid: child?.pid ?? null,
    generation: state.generation,
    in_flight: flights.count,
    waiting: waiting.count,
    since: state.since.toISOString(),
    last_used_at: flights.lastUsedAt?.toISOString() ?? null,
    last_error: state.lastError,
    last_load_s: state.lastLoadS,
    repairs: { ...counts },
    aliases: config.aliases,
    default: config.isDefault,
  };
}
