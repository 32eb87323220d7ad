// Children of other recipes than llamacpp: they answer what lemond makes of a request, and refuse what was meant for lemond.
import * as replies from "./child-replies.ts";
import type { ChildSettings } from "./ipc.ts";

const speakers = ["/chat/completions", "/completions", "/embeddings", "/rerank", "/reranking", "/responses"];

/** The refusal, where this kind of child does not take the request; undefined where it answers as a llama-server would. */
export function foreignRefusal(path: string, model: unknown, settings: ChildSettings): replies.Reply | undefined {
  const { recipe, checkpoint } = settings;
  if (recipe === "llamacpp") return undefined;
  if (recipe === "flm" || recipe === "vllm" || recipe === "ryzenai-llm") {
    if (!speakers.includes(path)) return unknownPath(recipe);
    return model === checkpoint ? undefined : unknownModel(recipe, String(model));
  }
  return path in ownRoutes && ownRoutes[path] === recipe ? undefined : unknownPath(recipe);
}

/** What the children of these recipes are asked by lemond. */
const ownRoutes: Readonly<Record<string, string>> = {
  "/inference": "whispercpp",
  "/audio/speech": "kokoro",
  "/images/generations": "sd-cpp",
  "/images/edits": "sd-cpp",
  "/images/variations": "sd-cpp",
  "/images/upscale": "sd-cpp",
  "/classify": "onnxruntime",
  "/audio/generations": "acestep",
  "/3d/generations": "trellis",
};

const unknownPath = (recipe: string): replies.Reply =>
  replies.json(404, recipe === "vllm" ? { detail: "Not Found" } : { error: "Not Found" });

/** vllm: serving_engine.py; flm: rest_handler.cpp would load another model in its place, newer ones refuse. */
const unknownModel = (recipe: string, model: string): replies.Reply =>
  recipe === "vllm"
    ? replies.json(404, {
        object: "error",
        message: `The model \`${model}\` does not exist.`,
        type: "NotFoundError",
        param: null,
        code: 404,
      })
    : replies.json(404, { error: `model not found: ${model}` });
