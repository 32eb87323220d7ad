// lemond's answers in words: models, stats, and every error text (recordings 03, 04, 08 to 10, 16).
import { parseErrorText } from "./child-sim.ts";
import type { Fleet } from "./fleet.ts";
import type { Hold } from "./lock.ts";
import type { Personality } from "./personality.ts";
import { completeSpec, type Spec } from "./model-spec.ts";

export interface Answer {
  readonly status: number;
  /** Object: JSON with its keys sorted. String: as it is. */
  readonly body: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
}

export interface ControlContext {
  readonly personality: Personality;
  readonly fleet: Fleet;
  /** Both change: by a delete, by `/internal/aliases`. */
  readonly models: Spec[];
  readonly aliases: Record<string, string>;
  readonly pull: { readonly steps: number; readonly stepMs: number };
  readonly lemondPingMs: number;
  readonly maxModels: number;
  readonly apiKey: string | undefined;
  readonly adminKey: string | undefined;
  readonly healthHold: Hold;
}

export const invalidRequest = (problem: string): Answer => ({
  status: 400,
  body: { error: { code: "invalid_request", message: `Invalid request: ${problem}`, type: "invalid_request_error" } },
});

export function malformedLoad(context: ControlContext, text: string): Answer {
  if (context.personality.version === "10.6") return invalidRequest(parseErrorText(text));
  if (text === "") return { status: 400, body: { error: "Request body is required but was empty" } };
  return malformed(context, text);
}

/** A prompt that is no JSON. */
export function malformed({ personality }: ControlContext, text: string): Answer {
  const problem = parseErrorText(text);
  if (personality.version === "10.6") return { status: 500, body: { error: problem } };
  return { status: 400, body: { error: `Invalid JSON in request body: ${problem}` } };
}

export function loadFailed(id: string, message: string): Answer {
  if (message.includes("are pinned")) {
    const named = { code: "slots_pinned_error", param: "model", requested_model: id, type: "slots_pinned_error" };
    return { status: 409, body: { error: { ...named, message } } };
  }
  const text = `Failed to load model '${id}': ${message}`;
  return {
    status: 500,
    body: {
      error: { code: "model_load_error", message: text, param: "model", requested_model: id, type: "model_load_error" },
    },
  };
}

export function modelNotFound({ models }: ControlContext, id: string): Answer {
  const some = models.slice(0, 3).map((model) => `'${model.id}'`);
  const more = models.length > 3 ? `, and ${models.length - 3} more` : "";
  const advice = "Use 'lemonade list' or GET /api/v1/models?show_all=true to see all available models.";
  const message = `Model '${id}' was not found. Available models include: ${some.join(", ")}${more}. ${advice}`;
  return {
    status: 404,
    body: { error: { code: "model_not_found", message, param: "model", requested_model: id, type: "model_not_found" } },
  };
}

export function stats({ personality, fleet }: ControlContext): Answer {
  if (personality.version === "10.6" && fleet.ids().length === 0) {
    return { status: 200, body: { error: { message: "No model loaded", type: "model_not_loaded" } } };
  }
  const zeros = [
    "cache_tokens_total",
    "input_tokens",
    "input_tokens_total",
    "output_tokens",
    "output_tokens_total",
    "prompt_tokens",
    "prompt_tokens_total",
    "request_count_total",
    "routing_decisions_total",
    "routing_switches_total",
    "time_to_first_token",
    "tokens_per_second",
  ];
  return { status: 200, body: { cache_tokens: null, ...Object.fromEntries(zeros.map((name) => [name, 0])) } };
}

/** With `show_all`, also one that is known and not downloaded. */
export function modelsFor(context: ControlContext, target: string): readonly object[] {
  const own = context.models.map((spec) => modelBody(context, spec));
  if (!target.includes("show_all=true")) return own;
  const labels = context.personality.version === "11.7" ? ["chat", "llamacpp"] : ["llamacpp"];
  const checkpoint = "prism-ml/Bonsai-1.7B-gguf:Q1_0";
  const about = { id: "Bonsai-1.7B-gguf", checkpoint, labels, maxContextWindow: 0 };
  const other = modelBody(context, completeSpec(about, context.personality.version));
  const source = "source" in other ? { source: "huggingface" } : {};
  return [{ ...other, ...source, downloaded: false, size: 0.25 }, ...own];
}

export function modelBody(
  { personality }: ControlContext,
  { id, checkpoint, type, labels, maxContextWindow, recipe, components }: Spec,
): object {
  const common = {
    checkpoint,
    checkpoints: { main: checkpoint },
    components,
    created: 1_234_567_890,
    downloaded: true,
    id,
    labels,
    object: "model",
    owned_by: "lemonade",
    recipe,
    recipe_options: {},
    suggested: true,
  };
  const window = maxContextWindow > 0 ? { max_context_window: maxContextWindow } : {};
  if (personality.version === "10.6") return { ...common, ...window, size: 0.0004863142967224121 };
  return {
    ...common,
    ...window,
    context_length: 4096,
    registry_source: "huggingface",
    source: type === "llm" ? "extra_models_dir" : "local_path",
    update_available: false,
  };
}
