// The laws of repair, held against one state of the model. Null: all hold.
import type { World } from "./world.ts";

export function laws(world: World, isEnd: boolean): string | null {
  const { requests, counts, fault, repair, action } = world;
  // Healthy children and back-offs are judged in the very move.
  if (fault !== null) return fault;
  if (requests.some(({ attempts }) => attempts > 2)) return "a third attempt";
  if (counts.unloads > counts.deaths) return `${counts.unloads} unloads for ${counts.deaths} deaths`;
  const reasons = counts.deaths + counts.takenDown + counts.failedLoads;
  if (counts.loads > reasons) return `${counts.loads} loads for ${reasons} reasons`;
  for (const request of requests) {
    if (request.at !== "done" || request.how !== "original-error") continue;
    const isNeedless = request.attempts < 2 && counts.failedLoads + counts.diedLoading === 0;
    // Two attempts are lost by two losses: what the first one met is repaired before the second.
    const losses = counts.deaths + counts.resets + counts.cuts + counts.takenDown + counts.diedLoading;
    if (request.attempts === 2 && losses < 2) return "the second attempt met what the first had met";
    if (isNeedless) return "an error without need: nothing failed but one connection";
  }
  if (!isEnd) return null;
  if (requests.some(({ at }) => at !== "done")) return "somebody waits for ever";
  if (repair || action) return "a repair or an action never ends";
  return null;
}
