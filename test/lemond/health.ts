// What lemond's health says of itself and of each loaded model, and its clock (recordings 02, 07, 26). No state.
import type { Entry } from "./entry.ts";
import type { Options } from "./load-options.ts";
import type { Personality } from "./personality.ts";

/** Finer than the milliseconds that health shows: two uses within one have an order. */
export const now = (): number => performance.now() + 1_000_000;

const seconds = (value: unknown): number | undefined => (typeof value === "number" ? value * 1000 : undefined);
export const idleLimitOf = (options: Options): number | undefined =>
  options["auto_evict"] === true ? seconds(options["evict_idle_timeout"]) : undefined;
const downsizeLimitOf = (options: Options): number | undefined =>
  options["auto_evict"] === true ? seconds(options["downsize_idle_timeout"]) : undefined;

export function healthBody(personality: Personality, listed: readonly Entry[], maxModels: number): object {
  const types = ["embedding", "image", "llm", "reranking", "transcription", "tts"];
  const newest = listed.reduce<Entry | undefined>(
    (best, model) => (best === undefined || model.lastUse >= best.lastUse ? model : best),
    undefined,
  );
  const common = {
    model_loaded: newest?.spec.id ?? null,
    status: "ok",
    version: personality.fullVersion,
    websocket_port: 9000,
  };
  const perType = (names: readonly string[], value: number) => Object.fromEntries(names.map((name) => [name, value]));
  if (personality.version === "10.6") {
    return { all_models_loaded: listed.map(listed106), max_models: perType(types, maxModels), ...common };
  }
  const types117 = ["classification", ...types];
  return {
    all_models_loaded: listed.map(listed117),
    max_models: perType(types117, maxModels),
    pinned_helper_models: perType(types117, 0),
    pinned_models: Object.fromEntries(
      types117.map((type) => [type, listed.filter((entry) => entry.isPinned && entry.spec.type === type).length]),
    ),
    telemetry: { enabled: false },
    update_check_done: true,
    ...common,
  };
}

const listed106 = ({ child, spec, lastUse, pid, options, isPinned }: Entry) => ({
  backend_url: child.url,
  checkpoint: spec.checkpoint,
  device: spec.recipe === "flm" ? "npu" : "cpu",
  last_use: Math.floor(lastUse),
  model_name: spec.id,
  pid,
  recipe: spec.recipe,
  recipe_options: isPinned ? { ...options, pinned: true } : options,
  type: spec.type,
});

function listed117(entry: Entry) {
  const { spec, inFlight, streaming, isPinned, options, lastUse, launchCommand } = entry;
  const isBusy = inFlight > 0;
  const isDownsized = now() - lastUse > (downsizeLimitOf(options) ?? Infinity);
  return {
    ...listed106(entry),
    backend_alive: true,
    backend_health: isBusy ? "busy" : "ready",
    is_busy: isBusy,
    is_streaming: streaming > 0,
    launch_command: launchCommand,
    loaded: true,
    max_context_window: spec.maxContextWindow,
    pinned: isPinned,
    residency_class: "standard",
    slot_pool: spec.recipe === "cloud" ? "unmetered" : `standard/${spec.type}`,
    status: isBusy ? "in_use" : isDownsized ? "downsized" : "ready",
    watchdog_reset: false,
  };
}
