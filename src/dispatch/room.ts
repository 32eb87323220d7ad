// Whether a slot lost its child because another slot of ours needed its room. Reads what is known, and changes nothing.
import { othersOfType, typeOf } from "../slots/roster.ts";
import type { Slot } from "../slots/slot.ts";

/** Our own load for another slot took the child's room, or is about to: to continue the stream would take the room back. */
export function gaveItsRoom({ known, record }: Slot, sinceMs: number): boolean {
  const { turn } = known;
  if (turn !== null && turn.slot !== record.id && turn.claim !== null) return true;
  const type = typeOf(known, record);
  const loaded = [...known.slots.values()].filter(
    (other) => other.id !== record.id && (other.loadStartedMs ?? 0) > sinceMs && typeOf(known, other) === type,
  );
  // What is listed may be older than our own load.
  const others = new Set([...loaded, ...othersOfType(known, record).listed].map(({ model }) => model));
  const limit = known.listing?.maxModels[type];
  return loaded.length > 0 && typeof limit === "number" && limit >= 0 && others.size >= limit;
}
