// What a llama-server answers: bodies of chat, completions, embeddings, rerank and its GET routes (recordings 13 to 18, 27, 28).
import type { Answer } from "./child-answer.ts";
import type { Body } from "./child-sim.ts";
import type { ChildSettings } from "./ipc.ts";

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly isStream: boolean;
  /** Of a stream: what goes out as one chunk each. Otherwise the body. */
  readonly parts: readonly (string | Uint8Array)[];
}

export interface Request {
  readonly settings: Pick<ChildSettings, "checkpoint" | "type">;
  readonly body: Body;
}

export interface Generation extends Request {
  readonly answer: Answer;
}

const fingerprint = "b11669-Debian";

export function json(status: number, value: unknown): Reply {
  return { status, contentType: "application/json; charset=utf-8", isStream: false, parts: [JSON.stringify(value)] };
}

export function events(parts: readonly string[]): Reply {
  return { status: 200, contentType: "text/event-stream", isStream: true, parts };
}

export const invalid = (message: string): Reply =>
  json(400, { error: { code: 400, message, type: "invalid_request_error" } });

export const loadingModel = (): Reply =>
  json(503, { error: { message: "Loading model", type: "unavailable_error", code: 503 } });

export const notFound = (): Reply =>
  json(404, { error: { message: "File Not Found", type: "not_found_error", code: 404 } });

export const notSupported = (what: "embeddings" | "reranking"): Reply =>
  json(501, {
    error: {
      code: 501,
      message: `This server does not support ${what}. Start it with \`--${what}\``,
      type: "not_supported_error",
    },
  });

export function contextExceeded(asked: number, ctxSize: number): Reply {
  const message = `request (${asked} tokens) exceeds the available context size (${ctxSize} tokens), try increasing it`;
  return json(400, {
    error: { code: 400, message, type: "exceed_context_size_error", n_prompt_tokens: asked, n_ctx: ctxSize },
  });
}

export const textOf = ({ pieces }: Answer, kind: "content" | "reasoning" = "content"): string =>
  pieces.map((piece) => (piece.kind === kind ? piece.text : "")).join("");

export const newId = (prefix: string): string =>
  prefix + crypto.randomUUID().replaceAll("-", "").slice(0, 32).padEnd(32, "x");

export const seconds = (): number => Math.floor(Date.now() / 1000);

export const usage = ({ tokens, promptTokens }: Answer) => ({
  completion_tokens: tokens,
  prompt_tokens: promptTokens,
  total_tokens: promptTokens + tokens,
  prompt_tokens_details: { cached_tokens: Math.max(0, promptTokens - 1) },
});

const timings = ({ tokens, promptTokens }: Answer) => ({
  cache_n: Math.max(0, promptTokens - 1),
  prompt_n: 1,
  prompt_ms: 0.374,
  prompt_per_token_ms: 0.374,
  prompt_per_second: 2673.7967914438505,
  predicted_n: tokens,
  predicted_ms: 0.594,
  predicted_per_token_ms: 0.1188,
  predicted_per_second: 8417.508417508418,
});

export const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const doneEvent = "data: [DONE]\n\n";

function wantsUsage(body: Body): boolean {
  const options = body["stream_options"];
  return (
    typeof options === "object" && options !== null && "include_usage" in options && options.include_usage === true
  );
}

export function chat({ settings, body, answer }: Generation): Reply {
  const common = { created: seconds(), model: settings.checkpoint, system_fingerprint: fingerprint };
  const id = newId("chatcmpl-");
  if (body["stream"] !== true) {
    const reasoning = textOf(answer, "reasoning");
    const thought = reasoning === "" ? {} : { reasoning_content: reasoning };
    const message = { role: "assistant", content: textOf(answer), ...thought };
    return json(200, {
      choices: [{ finish_reason: answer.reason, index: 0, message }],
      ...common,
      object: "chat.completion",
      usage: usage(answer),
      id,
      timings: timings(answer),
    });
  }
  const chunk = (choices: unknown[], more: object = {}): string =>
    event({
      choices,
      created: common.created,
      id,
      model: common.model,
      system_fingerprint: fingerprint,
      object: "chat.completion.chunk",
      ...more,
    });
  const choice = (delta: object, reason: string | null = null) => [{ finish_reason: reason, index: 0, delta }];
  const parts: string[] = [];
  // The role and the first token share one chunk of the transfer coding.
  let first = answer.hasRole ? chunk(choice({ role: "assistant", content: null })) : "";
  for (const { kind, text } of answer.pieces) {
    parts.push(first + chunk(choice(kind === "content" ? { content: text } : { reasoning_content: text })));
    first = "";
  }
  const withUsage = wantsUsage(body);
  parts.push(first + chunk(choice({}, answer.reason), withUsage ? {} : { timings: timings(answer) }));
  if (withUsage) parts.push(chunk([], { usage: usage(answer), timings: timings(answer) }));
  parts.push(doneEvent);
  return events(parts);
}

export function completion({ settings, body, answer }: Generation): Reply {
  const id = newId("chatcmpl-");
  const common = {
    created: seconds(),
    model: settings.checkpoint,
    system_fingerprint: fingerprint,
    object: "text_completion",
  };
  const choice = (text: string, reason: string | null) => [{ text, index: 0, logprobs: null, finish_reason: reason }];
  const last = { usage: usage(answer), id, timings: timings(answer) };
  if (body["stream"] !== true) return json(200, { choices: choice(textOf(answer), answer.reason), ...common, ...last });
  const parts = answer.pieces.map(({ text }) => event({ choices: choice(text, null), ...common, id }));
  parts.push(event({ choices: choice("", answer.reason), ...common, ...last }), doneEvent);
  return events(parts);
}

const modelNamed = ({ settings, body }: Request): string =>
  typeof body["model"] === "string" ? body["model"] : settings.checkpoint;

export function embeddings({ settings, body }: Request): Reply {
  if (settings.type === "llm") return notSupported("embeddings");
  const input = Array.isArray(body["input"]) ? body["input"] : [body["input"]];
  const vector = Array.from({ length: 64 }, (_, at) => Math.sin(at + 1) / 8);
  return json(200, {
    model: modelNamed({ settings, body }),
    object: "list",
    usage: { prompt_tokens: 7 * input.length, total_tokens: 7 * input.length },
    data: input.map((_, index) => ({ embedding: vector, index, object: "embedding" })),
  });
}

export function rerank({ settings, body }: Request): Reply {
  if (settings.type !== "reranking") return notSupported("reranking");
  const documents = Array.isArray(body["documents"]) ? body["documents"] : [];
  const tokens = 12 * documents.length;
  return json(200, {
    model: modelNamed({ settings, body }),
    object: "list",
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    results: documents.map((_, at) => ({ index: documents.length - 1 - at, relevance_score: -0.14 - at / 2 })),
  });
}
