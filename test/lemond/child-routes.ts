// Which reply a llama-server gives to a request. No faults, no sockets.
import { hasWideBounds } from "./adjust.ts";
import { modelsBody, propsBody, slotsBody } from "./child-about.ts";
import * as dialects from "./child-dialects.ts";
import * as replies from "./child-replies.ts";
import { answerChat, answerCompletion, type Asked, type Outcome } from "./child-answer.ts";
import { foreignRefusal } from "./child-foreign.ts";
import { mediaBody, mediaReply } from "./child-media.ts";
import { parseErrorText, simOf, type Body, type Sim } from "./child-sim.ts";
import { promptOf, templateOf } from "./child-template.ts";
import { tokenize } from "./child-tokens.ts";
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
      // A server for the NPU has none: lemond asks its /api/tags (fastflowlm_server.cpp).
      if (state.settings.recipe === "flm") return plain(replies.json(404, { error: "Not Found" }));
      return plain(replies.json(200, { status: "ok" }));
    case "/models":
      return plain(replies.json(200, modelsBody(state.settings)));
    case "/slots":
      return plain(replies.json(200, slotsBody(state.settings, state.busySlots())));
    case "/props":
      return plain(replies.json(200, propsBody(state.settings)));
    default:
      return plain(replies.notFound());
  }
}

function post(path: string, incoming: Hashed, settings: ChildSettings): Routed {
  const body = mediaBody(incoming.body, incoming.headers["content-type"]);
  const refusal = foreignRefusal(path, body?.["model"], settings);
  if (refusal !== undefined) return plain(refusal);
  const media = settings.recipe === "llamacpp" || body === null ? undefined : mediaReply(path, body);
  if (media !== undefined && body !== null) return { reply: media, sim: { ...simOf(body), bodyKb: 0 }, tokens: 0 };
  const handler = handlers[path];
  // The helpers of a template and a tokenizer have no second name under /v1.
  const isBare = path === "/apply-template" || path === "/tokenize";
  if (handler === undefined || (isBare && incoming.path !== path)) return plain(replies.notFound());
  if (body === null) return plain(replies.invalid(parseErrorText(incoming.body.toString("utf8"))));
  const { tokenMs = 0 } = settings.chat;
  const sim = { tokenMs, ...simOf(body) };
  if (sim.echo === true) {
    return { reply: replies.json(200, { sha256: incoming.bodySha256, bytes: incoming.body.length }), sim, tokens: 0 };
  }
  const needed = required[path];
  if (needed !== undefined && body[needed] === undefined) return plain(replies.invalid(`'${needed}' is required`));
  const { ctxSize } = settings;
  if (sim.promptTokens !== undefined && sim.promptTokens > ctxSize) {
    return plain(replies.contextExceeded(sim.promptTokens, ctxSize));
  }
  if (hasWideBounds(body["tools"]))
    return plain(replies.invalid("Failed to initialize samplers: failed to parse grammar"));
  return { ...handler({ settings, body, sim }), sim };
}

const required: Readonly<Record<string, string>> = {
  "/chat/completions": "messages",
  "/messages": "messages",
  "/messages/count_tokens": "messages",
  "/completions": "prompt",
  "/responses": "input",
  "/apply-template": "messages",
};

interface Question {
  readonly settings: ChildSettings;
  readonly body: Body;
  readonly sim: Sim;
}

type Handler = (question: Question) => { readonly reply: replies.Reply; readonly tokens: number };

const says =
  (answerOf: (asked: Asked) => Outcome, replyOf: (generation: replies.Generation) => replies.Reply): Handler =>
  ({ settings, body, sim }) => {
    const answer = answerOf({ model: settings.model, chat: settings.chat, body, sim });
    if ("invalid" in answer) return { reply: replies.invalid(answer.invalid), tokens: 0 };
    return { reply: replyOf({ settings, body, answer }), tokens: answer.tokens };
  };

const tells =
  (replyOf: (question: Question) => replies.Reply): Handler =>
  (question) => ({ reply: replyOf(question), tokens: 0 });

const handlers: Readonly<Record<string, Handler>> = {
  "/chat/completions": says(answerChat, replies.chat),
  "/completions": says(answerCompletion, replies.completion),
  "/responses": says(answerChat, dialects.responses),
  "/messages": says(answerChat, dialects.messages),
  "/embeddings": tells(replies.embeddings),
  "/rerank": tells(replies.rerank),
  "/reranking": tells(replies.rerank),
  "/messages/count_tokens": tells(({ body }) => dialects.countTokens(body)),
  "/apply-template": tells(applyTemplate),
  "/tokenize": tells(({ body }) => {
    const content = typeof body["content"] === "string" ? body["content"] : "";
    return replies.json(200, { tokens: tokenize(content, body["with_pieces"] === true) });
  }),
};

/** Recording llama-server-11434/80. */
function applyTemplate({ settings, body }: Question): replies.Reply {
  const { template = "chatml", build = "current" } = settings.chat;
  const prompt = promptOf(body, templateOf(template), build);
  return prompt.kind === "invalid" ? replies.invalid(prompt.message) : replies.json(200, { prompt: prompt.text });
}
