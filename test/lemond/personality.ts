// Where lemond 10.6 and 11.7 differ: what they notice, refuse and list. Values are those of the recordings.
import type { ModelType, Version } from "./types.ts";

export interface Personality {
  readonly version: Version;
  readonly fullVersion: string;
  readonly workers: number;
  readonly reservedArguments: string;
  readonly backends: readonly string[];
  /** 11.7 takes a dead child off the list; 10.6 never looks. */
  readonly noticesDeath: boolean;
  /** Which answers wait for an unload or eviction under way. */
  readonly blockedByUnload: readonly string[];
}

const personalities: Readonly<Record<Version, Personality>> = {
  "10.6": {
    version: "10.6",
    fullVersion: "10.6.0",
    workers: 8,
    reservedArguments:
      "--ctx-size, --device, --embedding, --embeddings, --gpu-layers, --jinja, --mmproj, --mmproj-auto, --mmproj-offload, --mmproj-url, --model, --n-gpu-layers, --no-jinja, --no-mmproj, --no-mmproj-auto, --no-mmproj-offload, --port, --rerank, --reranking, -c, -dev, -m, -mm, -mmu, -ngl",
    backends: ["auto", "cpu", "vulkan"],
    noticesDeath: false,
    blockedByUnload: ["/v1/health", "/v1/stats"],
  },
  "11.7": {
    version: "11.7",
    fullVersion: "11.7.0",
    workers: 32,
    reservedArguments:
      "--ctx-size, --device, --embedding, --embeddings, --jinja, --metrics, --mmproj, --mmproj-auto, --mmproj-url, --model, --model-draft, --no-jinja, --no-mmproj, --no-mmproj-auto, --port, --rerank, --reranking, --spec-draft-model, -c, -dev, -m, -md, -mm, -mmu",
    backends: ["auto", "cpu"],
    noticesDeath: true,
    blockedByUnload: ["/v1/health", "/v1/models"],
  },
};

export const personalityOf = (version: Version): Personality => personalities[version];

/** What health shows of one loaded model. */
export interface ListedModel {
  readonly id: string;
  readonly checkpoint: string;
  readonly type: ModelType;
  readonly url: string;
  readonly pid: number;
  readonly lastUse: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly launchCommand: readonly string[];
  readonly maxContextWindow: number;
  readonly isBusy: boolean;
  readonly isStreaming: boolean;
  readonly isDownsized: boolean;
}

export function healthBody(personality: Personality, listed: readonly ListedModel[], maxModels: number): object {
  const types = ["embedding", "image", "llm", "reranking", "transcription", "tts"];
  const newest = listed.reduce<ListedModel | undefined>(
    (best, model) => (best === undefined || model.lastUse >= best.lastUse ? model : best),
    undefined,
  );
  const common = {
    model_loaded: newest?.id ?? null,
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
    pinned_models: perType(types117, 0),
    telemetry: { enabled: false },
    update_check_done: true,
    ...common,
  };
}

const listed106 = (model: ListedModel) => ({
  backend_url: model.url,
  checkpoint: model.checkpoint,
  device: "cpu",
  last_use: Math.floor(model.lastUse),
  model_name: model.id,
  pid: model.pid,
  recipe: "llamacpp",
  recipe_options: model.options,
  type: model.type,
});

const listed117 = (model: ListedModel) => ({
  ...listed106(model),
  backend_alive: true,
  backend_health: model.isBusy ? "busy" : "ready",
  is_busy: model.isBusy,
  is_streaming: model.isStreaming,
  launch_command: model.launchCommand,
  loaded: true,
  max_context_window: model.maxContextWindow,
  pinned: false,
  residency_class: "standard",
  slot_pool: `standard/${model.type}`,
  status: model.isBusy ? "in_use" : model.isDownsized ? "downsized" : "ready",
  watchdog_reset: false,
});

/** nlohmann::json prints its keys in order. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}
