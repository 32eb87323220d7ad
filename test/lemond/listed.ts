// What health says of a loaded model, and lemond's clock. No state.
import type { Entry } from "./fleet.ts";
import type { Options } from "./load-options.ts";
import type { ListedModel } from "./personality.ts";

/** Finer than the milliseconds that health shows: two uses within one have an order. */
export const now = (): number => performance.now() + 1_000_000;

const seconds = (value: unknown): number | undefined => (typeof value === "number" ? value * 1000 : undefined);
export const idleLimitOf = (options: Options): number | undefined =>
  options["auto_evict"] === true ? seconds(options["evict_idle_timeout"]) : undefined;
const downsizeLimitOf = (options: Options): number | undefined =>
  options["auto_evict"] === true ? seconds(options["downsize_idle_timeout"]) : undefined;

export function listedOf({
  spec,
  child,
  options,
  launchCommand,
  pid,
  lastUse,
  inFlight,
  streaming,
}: Entry): ListedModel {
  const { id, checkpoint, type, maxContextWindow } = spec;
  const isDownsized = now() - lastUse > (downsizeLimitOf(options) ?? Infinity);
  const load = { isBusy: inFlight > 0, isStreaming: streaming > 0, isDownsized };
  return { id, checkpoint, type, url: child.url, pid, lastUse, options, launchCommand, maxContextWindow, ...load };
}
