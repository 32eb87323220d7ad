// Requests and replies of OpenAI's routes in Ollama's words, and back (ollama_api.cpp). Pure.
import type { Body } from "./child-sim.ts";
import { sorted } from "./lemond-send.ts";

const at = "2024-01-01T00:00:00Z";

export const lineOf = (value: object): string => `${JSON.stringify(sorted({ created_at: at, ...value }))}\n`;

const options: Readonly<Record<string, string>> = {
  temperature: "temperature",
  top_p: "top_p",
  seed: "seed",
  stop: "stop",
  num_predict: "max_tokens",
  repeat_penalty: "frequency_penalty",
};

function mapped(request: Body): Body {
  const inner = request["options"];
  const given: Body = { ...(typeof inner === "object" ? inner : {}), ...request };
  const found = Object.entries(options).filter(([name]) => given[name] !== undefined);
  // `sim` is the tests' own: it goes with the request to the child.
  const sim = request["sim"] === undefined ? {} : { sim: request["sim"] };
  return { ...Object.fromEntries(found.map(([name, openai]) => [openai, given[name]])), ...sim };
}

export const openaiChat = (request: Body, stream: boolean): Body => ({
  model: request["model"],
  messages: request["messages"] ?? [],
  ...mapped(request),
  stream,
});

export const openaiCompletion = (request: Body, stream: boolean): Body => ({
  model: request["model"],
  prompt: request["prompt"] ?? "",
  ...mapped(request),
  stream,
});

const record = (value: unknown): Body => (typeof value === "object" && value !== null ? { ...value } : {});
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const firstChoice = (reply: Body): Body | undefined => {
  const choices = reply["choices"];
  return Array.isArray(choices) && choices.length > 0 ? record(choices[0]) : undefined;
};

/** An error has no choice: of it only the name and `done` are left. */
export function chunkOf(path: string, model: string, chunk: Body): object {
  const choice = firstChoice(chunk);
  if (choice === undefined) return { model, done: false };
  const reason = choice["finish_reason"];
  const end = typeof reason === "string" ? { done: true, done_reason: reason } : { done: false };
  if (path !== "/api/chat") return { model, response: textOf(choice["text"]), ...end };
  return { model, message: messageOf(record(choice["delta"])), ...end };
}

function messageOf(message: Body): object {
  const thinking = message["reasoning_content"];
  return {
    role: textOf(message["role"]) || "assistant",
    content: textOf(message["content"]),
    ...(typeof thinking === "string" ? { thinking } : {}),
  };
}

const counts = { total_duration: 0, load_duration: 0, prompt_eval_duration: 0, eval_duration: 0 };

/** The line after the last chunk: one that says `done` once more. */
export const doneOf = (path: string, model: string, reason: string): object => ({
  created_at: at,
  model,
  ...(path === "/api/chat" ? { message: { role: "assistant", content: "" } } : { response: "" }),
  done: true,
  done_reason: reason,
  ...(reason === "unload" ? {} : { ...counts, prompt_eval_count: 0, eval_count: 0 }),
  ...(reason === "unload" || path === "/api/chat" ? {} : { context: [] }),
});

function usageOf(reply: Body): object {
  const usage = record(reply["usage"]);
  return { prompt_eval_count: usage["prompt_tokens"] ?? 0, eval_count: usage["completion_tokens"] ?? 0, ...counts };
}

export function chatOf(model: string, reply: Body): object {
  const choice = firstChoice(reply) ?? {};
  const message = messageOf(record(choice["message"]));
  const done = { done: true, done_reason: textOf(choice["finish_reason"]) || "stop" };
  return { created_at: at, model, message, ...done, ...usageOf(reply) };
}

export const generatedOf = (model: string, reply: Body): object => ({
  created_at: at,
  model,
  response: textOf(firstChoice(reply)?.["text"]),
  done: true,
  done_reason: "stop",
  context: [],
  ...usageOf(reply),
});

const vectorsOf = (reply: Body): readonly unknown[] => {
  const data = reply["data"];
  return Array.isArray(data) ? data.map((item) => record(item)["embedding"]) : [];
};

export const embedOf = (model: string, reply: Body): object => ({
  model,
  embeddings: vectorsOf(reply),
  total_duration: 0,
  load_duration: 0,
  prompt_eval_count: 0,
});

export const embeddingOf = (model: string, reply: Body): object => ({ model, embedding: vectorsOf(reply)[0] ?? [] });
