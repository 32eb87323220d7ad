// The last repairs as the operator reads them: what was lost, what was done, how long it took. Kept in memory only.
import type { LossCause } from "../dispatch/attempt.ts";
import type { RepairRecord } from "../slots/slot.ts";
import type { Label } from "../slots/known.ts";

/** One repair in `GET /api/repairs`, on the page and in the event feed. */
export interface RepairEntry {
  /** When it ended, ISO 8601. */
  readonly time: string;
  readonly slot: string;
  readonly cause: string;
  readonly outcome: Label;
  /** URL of the child that was lost; null where there was none. */
  readonly from: string | null;
  /** URL of the child that serves now; null where the repair failed. */
  readonly to: string | null;
  readonly duration_s: number;
  /** The request that found the loss. */
  readonly request_id: string | null;
}

export interface Repairs {
  add(repair: RepairRecord): RepairEntry;
  /** Newest first. */
  list(): RepairEntry[];
}

/** A week of a host that loses a model every hour. */
const REMEMBERED = 200;

export function rememberRepairs(): Repairs {
  const entries: RepairEntry[] = [];
  return {
    add: (repair) => {
      const { slot, outcome, from, to, durationMs, requestId } = repair;
      const entry: RepairEntry = {
        time: new Date().toISOString(),
        slot,
        cause: causeWords(repair.cause, from),
        outcome,
        from,
        to,
        duration_s: Math.round(durationMs) / 1000,
        request_id: requestId,
      };
      entries.push(entry);
      if (entries.length > REMEMBERED) entries.shift();
      return entry;
    },
    list: () => entries.toReversed(),
  };
}

/** A slot that never had a child, or whose child was unloaded on request, was not evicted: it only had to be loaded. */
function causeWords(cause: LossCause, from: string | null): string {
  if (cause !== "evicted") return cause;
  return from === null ? "not loaded" : "evicted and noticed";
}
