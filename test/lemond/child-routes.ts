// Which reply a llama-server gives to a request. No faults, no sockets.
import * as dialects from "./child-dialects.ts";
import * as replies from "./child-replies.ts";
import { parseBody, parseErrorText, simOf, tokensOf, type Sim } from "./child-sim.ts";
import type { Incoming } from "./http-parser.ts";
import type { ChildSettings } from "./ipc.ts";

export interface Routed {
  readonly reply: replies.Reply;
  readonly sim: Sim;
  readonly tokens: number;
}

export interface Hashed extends Incoming {
  readonly bodySha256: string;
}

export interface ChildState {
  readonly settings: ChildSettings;
  readonly busySlots: () => number;
}

const plain = (reply: replies.Reply): Routed => ({ reply, sim: {}, tokens: 0 });

export function route(incoming: Hashed, state: ChildState): Routed {
  const path = incoming.path.replace(/^\/v1(?=\/)/, "");
  if (incoming.method === "OPTIONS")
    return plain({ status: 200, contentType: "text/html", isStream: false, parts: [""] });
  if (incoming.method === "POST") return post(path, incoming, state.settings);
  if (incoming.method !== "GET") return plain(replies.notFound());
  switch (path) {
    case "/health":
      return plain(replies.json(200, { status: "ok" }));
    case "/models":
      return plain(replies.json(200, models(state.settings)));
    case "/slots":
      return plain(replies.json(200, slots(state)));
    case "/props":
      return plain(replies.json(200, props(state.settings)));
    default:
      return plain(replies.notFound());
  }
}

function post(path: string, incoming: Hashed, settings: ChildSettings): Routed {
  const answer = generators[path];
  if (answer === undefined) return plain(replies.notFound());
  const text = incoming.body.toString("utf8");
  const body = parseBody(text);
  if (body === null) return plain(replies.invalid(parseErrorText(text)));
  const sim = simOf(body);
  const tokens = tokensOf(body, sim);
  if (sim.echo === true) {
    return { reply: replies.json(200, { sha256: incoming.bodySha256, bytes: incoming.body.length }), sim, tokens: 0 };
  }
  const needed = required[path];
  if (needed !== undefined && body[needed] === undefined) return plain(replies.invalid(`'${needed}' is required`));
  const { ctxSize } = settings;
  if (sim.promptTokens !== undefined && sim.promptTokens > ctxSize) {
    return plain(replies.contextExceeded(sim.promptTokens, ctxSize));
  }
  const reply = answer({ settings, body, tokens });
  return { reply, sim, tokens };
}

const required: Readonly<Record<string, string>> = {
  "/chat/completions": "messages",
  "/messages": "messages",
  "/messages/count_tokens": "messages",
  "/completions": "prompt",
  "/responses": "input",
};

const generators: Readonly<Record<string, (generation: replies.Generation) => replies.Reply>> = {
  "/chat/completions": replies.chat,
  "/completions": replies.completion,
  "/embeddings": replies.embeddings,
  "/rerank": replies.rerank,
  "/reranking": replies.rerank,
  "/responses": dialects.responses,
  "/messages": dialects.messages,
  "/messages/count_tokens": ({ body }) => dialects.countTokens(body),
};

function models({ checkpoint, ctxSize }: ChildSettings) {
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
        created: replies.seconds(),
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
function slots({ settings, busySlots }: ChildState) {
  const busy = busySlots();
  return [0, 1, 2, 3].map((id) => ({ id, n_ctx: settings.ctxSize, speculative: false, is_processing: id < busy }));
}

const props = ({ checkpoint, ctxSize }: ChildSettings) => ({
  default_generation_settings: { params: { temperature: 0.800000011920929, stream: false }, n_ctx: ctxSize },
  total_slots: 4,
  model_alias: checkpoint,
  model_path: checkpoint,
  modalities: { vision: false, video: false, audio: false },
  build_info: "b11669-Debian",
  is_sleeping: false,
});
