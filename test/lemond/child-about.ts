// What a llama-server says of itself: its models, slots and properties (recordings 15; llama-server-11434/86).
import { seconds } from "./child-replies.ts";
import type { ChildSettings } from "./ipc.ts";

export function modelsBody({ checkpoint, ctxSize }: ChildSettings) {
  const details = {
    parent_model: "",
    format: "gguf",
    family: "",
    families: [""],
    parameter_size: "",
    quantization_level: "",
  };
  return {
    models: [
      {
        name: checkpoint,
        model: checkpoint,
        modified_at: "",
        size: "",
        digest: "",
        type: "model",
        description: "",
        tags: [""],
        capabilities: ["completion"],
        parameters: "",
        details,
      },
    ],
    object: "list",
    data: [
      {
        id: checkpoint,
        aliases: [checkpoint],
        tags: [],
        object: "model",
        architecture: { input_modalities: ["text"], output_modalities: ["text"] },
        created: seconds(),
        owned_by: "llamacpp",
        meta: {
          vocab_type: 1,
          n_vocab: 358,
          n_ctx: ctxSize,
          n_ctx_train: 8192,
          n_embd: 64,
          n_params: 128064,
          size: 512256,
          ftype: "all F32",
        },
      },
    ],
  };
}

/** Four slots, as llama-server has by default; what is under way fills them from the first on. */
export function slotsBody({ ctxSize }: ChildSettings, busy: number) {
  return [0, 1, 2, 3].map((id) => ({ id, n_ctx: ctxSize, speculative: false, is_processing: id < busy }));
}

export const propsBody = ({ checkpoint, ctxSize }: ChildSettings) => ({
  default_generation_settings: { params: { temperature: 0.800000011920929, stream: false }, n_ctx: ctxSize },
  total_slots: 4,
  model_alias: checkpoint,
  model_path: checkpoint,
  modalities: { vision: false, video: false, audio: false },
  build_info: "b11669-Debian",
  is_sleeping: false,
});
