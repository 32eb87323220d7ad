// Which models lemond would unload to make room for another. Pure: predicts what lemond decides.
import type { Listing } from "./listing.ts";

/** Those used longest ago go first. Empty where there is room, or where lemond has said nothing yet. */
export function evictedFor(listing: Listing | null, model: string, type: string): string[] {
  const others = (listing?.loaded ?? []).filter((loaded) => loaded.type === type && loaded.model !== model);
  const limit = listing?.maxModels[type];
  if (typeof limit !== "number" || limit < 0) return [];
  return others
    .toSorted((a, b) => (a.lastUse ?? 0) - (b.lastUse ?? 0))
    .slice(0, Math.max(0, others.length + 1 - limit))
    .map((loaded) => loaded.model);
}
