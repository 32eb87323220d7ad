// The last repairs as the operator reads them: what was lost, what was done, how long it took.
import * as v from "valibot";
import type { LossCause } from "../dispatch/attempt.ts";
import type { RepairRecord } from "../slots/slot.ts";
import type { Label } from "../slots/known.ts";

/** One repair in `GET /api/repairs`, on the page, in the event feed, and as it is kept in the records' file. */
export const RepairEntry = v.object({
  /** When it ended, ISO 8601. */
  time: v.string(),
  slot: v.string(),
  cause: v.string(),
  /** A label that another version wrote is shown as it is. */
  outcome: v.custom<Label>((value) => typeof value === "string"),
  /** URL of the child that was lost; null where there was none. */
  from: v.nullable(v.string()),
  /** URL of the child that serves now; null where the repair failed. */
  to: v.nullable(v.string()),
  duration_s: v.number(),
  /** The request that found the loss. */
  request_id: v.nullable(v.string()),
});
export type RepairEntry = Readonly<v.InferOutput<typeof RepairEntry>>;

export interface Repairs {
  add(repair: RepairRecord): RepairEntry;
  /** Newest first. */
  list(): RepairEntry[];
}

/** A week of a host that loses a model every hour. */
const REMEMBERED = 200;

/** `before` are those of an earlier run, newest first. */
export function rememberRepairs(before: readonly RepairEntry[] = []): Repairs {
  const entries = before.slice(0, REMEMBERED).toReversed();
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
