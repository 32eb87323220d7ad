// What a test says of a model, and what of it is taken for granted. No state.
import type { Version } from "./types.ts";

export type ModelType = "llm" | "embedding" | "reranking" | "transcription" | "tts" | "image" | "classification";

/** `qwen3` and `r1` think; the last three come back damaged, trimmed, or closed where an answer shall be continued. */
export type TemplateName = "chatml" | "smollm2" | "qwen3" | "r1" | "phi-3.5" | "trims" | "closes";

/** How a model speaks. A request's `sim` has `text` and `reasoning` too, for that one answer. */
export interface ChatSettings {
  /** Default `chatml`. */
  readonly template?: TemplateName;
  /** `older` knows neither `continue_final_message` nor its 400s. Default `current`. */
  readonly build?: "current" | "older";
  /** `counted` (default): `MODEL token 1 `, … ; `words`: chosen by all the text before them, so that any change of it shows. */
  readonly says?: "counted" | "words";
  /** The whole answer. */
  readonly text?: string;
  /** The whole thought, where the template knows them. */
  readonly reasoning?: string;
  /** Between two tokens. Default 0. */
  readonly tokenMs?: number;
}

export interface ModelSpec {
  readonly id: string;
  /** What the child says it serves; default `/models/ID.gguf`. */
  readonly checkpoint?: string;
  /** Default `llm`. */
  readonly type?: ModelType;
  /**
   * Default `llamacpp`. Others' children refuse what was not meant for them: `flm` and `vllm` any `model` but the checkpoint,
   * `whispercpp`, `kokoro`, `sd-cpp` and the rest have routes of their own. `cloud` has no child (port 0, pid 0);
   * `collection.omni` and `collection.router` stand for their components and never show in health.
   */
  readonly recipe?: string;
  /** Of a collection: ids of other models. A router asks the first. */
  readonly components?: readonly string[];
  readonly labels?: readonly string[];
  readonly maxContextWindow?: number;
  readonly chat?: ChatSettings;
}

export type Spec = Required<ModelSpec>;

export function completeSpec(given: ModelSpec, version: Version): Spec {
  const { id, type = "llm", recipe = "llamacpp", components = [], maxContextWindow = 8192, chat = {} } = given;
  const own = type === "llm" && version === "11.7" ? ["chat"] : labelOf[type];
  const file = recipe === "llamacpp" ? `/models/${id}.gguf` : `${id.toLowerCase()}:1b`;
  const { checkpoint = file, labels = ["custom", ...own] } = given;
  return { id, type, recipe, components, checkpoint, labels, maxContextWindow, chat };
}

const labelOf: Readonly<Record<ModelType, readonly string[]>> = {
  llm: [],
  embedding: ["embeddings"],
  reranking: ["reranking"],
  transcription: ["transcription"],
  tts: ["tts"],
  image: ["image"],
  classification: ["classification"],
};
