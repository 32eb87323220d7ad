// From the messages of a chat to the prompt that the model reads: templates, and how a last assistant message is continued.
// The order of the checks and the way a continuation is put together are llama.cpp's (server-common.cpp, chat.cpp; recording
// llama-server-11434/80). Pure.
import type { Body } from "./child-sim.ts";
import type { TemplateName } from "./model-spec.ts";

export interface ChatTemplate {
  readonly render: (messages: readonly Message[], withGeneration: boolean) => string;
  /** What `render` adds for a new answer, as llama.cpp finds it: the difference of the two renderings. */
  readonly generation: string;
  /** Begins every answer in the whole prompt; what stands behind the last one is what the model has said. */
  readonly marker: string;
  readonly isThinking: boolean;
  /** The template opens the thought itself. */
  readonly opensThought: boolean;
  /** What it does to a prompt that shall be continued. */
  readonly spoil: (prompt: string) => string;
}

export interface Message {
  readonly role: string;
  readonly content: string;
  readonly reasoning: string;
  readonly hasToolCalls: boolean;
}

export const thought = { start: "<think>\n", end: "\n</think>\n\n" };

const asItIs = (text: string): string => text;
const chatmlOf = (messages: readonly Message[]): string =>
  messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join("");

const chatml: ChatTemplate = {
  render: (messages, withGeneration) => chatmlOf(messages) + (withGeneration ? "<|im_start|>assistant\n" : ""),
  generation: "<|im_start|>assistant\n",
  marker: "<|im_start|>assistant\n",
  isThinking: false,
  opensThought: false,
  spoil: asItIs,
};

const smollmSystem =
  "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n";
const phiOf = (messages: readonly Message[]): string =>
  messages.map(({ role, content }) => `<|${role}|>\n${content}<|end|>\n`).join("");
const r1Of = (messages: readonly Message[]): string =>
  messages
    .map(({ role, content }) =>
      role === "assistant" ? `<｜Assistant｜>${content}<｜end▁of▁sentence｜>` : `<｜User｜>${content}`,
    )
    .join("");

const templates: Readonly<Record<TemplateName, ChatTemplate>> = {
  chatml,
  smollm2: {
    ...chatml,
    render: (messages, withGeneration) =>
      (messages[0]?.role === "system" ? "" : smollmSystem) + chatml.render(messages, withGeneration),
  },
  qwen3: { ...chatml, isThinking: true },
  r1: {
    render: (messages, withGeneration) =>
      `<｜begin▁of▁sentence｜>${r1Of(messages)}${withGeneration ? `<｜Assistant｜>${thought.start}` : ""}`,
    generation: `<｜Assistant｜>${thought.start}`,
    marker: "<｜Assistant｜>",
    isThinking: true,
    opensThought: true,
    spoil: asItIs,
  },
  // Without a prompt for an answer it ends with the end of all; both renderings then share a `<`, which llama.cpp loses.
  "phi-3.5": {
    render: (messages, withGeneration) => phiOf(messages) + (withGeneration ? "<|assistant|>\n" : "</s>"),
    generation: "|assistant|>\n",
    marker: "<|assistant|>\n",
    isThinking: false,
    opensThought: false,
    spoil: asItIs,
  },
  trims: { ...chatml, spoil: (prompt) => prompt.trimEnd() },
  closes: { ...chatml, spoil: (prompt) => `${prompt}<|im_end|>\n` },
};

export const templateOf = (name: TemplateName): ChatTemplate => templates[name];

export type Prompt =
  /** `repeats`: the stream begins with this text, which the client sent itself. */
  | { readonly kind: "prompt"; readonly text: string; readonly thinks: boolean; readonly repeats: string }
  | { readonly kind: "invalid"; readonly message: string };

const invalid = (message: string): Prompt => ({ kind: "invalid", message });
const twoAtTheEnd = "Cannot have 2 or more assistant messages at the end of the list.";

export function promptOf(body: Body, template: ChatTemplate, build: "current" | "older"): Prompt {
  const messages = messagesOf(body);
  const last = messages.at(-1);
  const isLastOurs = last?.role === "assistant";
  const thinks = template.isThinking && isThinkingOn(body);
  if (build === "older") {
    // It knows no flags: a last message of the assistant is always continued, and repeated (server-common.cpp before May 2026).
    if (last === undefined || !isLastOurs)
      return { kind: "prompt", text: fresh(template, messages, thinks), thinks, repeats: "" };
    if (messages.at(-2)?.role === "assistant") return invalid(twoAtTheEnd);
    if (thinks) return invalid("Assistant response prefill is incompatible with enable_thinking.");
    const text = fresh(template, messages.slice(0, -1), thinks) + last.content;
    return { kind: "prompt", text, thinks, repeats: last.content };
  }
  let continued = continuedPart(body["continue_final_message"]);
  let addsGeneration = body["add_generation_prompt"] !== false;
  const isUnasked = continued === "none" && isLastOurs;
  if (isUnasked) {
    if (messages.at(-2)?.role === "assistant") return invalid(twoAtTheEnd);
    continued = "auto";
    addsGeneration = false;
  }
  if (continued !== "none" && addsGeneration)
    return invalid("Cannot set both add_generation_prompt and continue_final_message to true.");
  if (continued !== "none" && isLastOurs && last.hasToolCalls)
    return invalid("Cannot continue an assistant message that contains tool calls.");
  if (continued === "none" || last === undefined) {
    const text = addsGeneration ? fresh(template, messages, thinks) : template.render(messages, false);
    return { kind: "prompt", text, thinks, repeats: "" };
  }
  if (continued === "auto") continued = last.reasoning !== "" && last.content === "" ? "reasoning" : "content";
  const before = template.render(messages.slice(0, -1), false);
  const text = template.spoil(before + continuation(template, last, continued));
  return { kind: "prompt", text, thinks, repeats: isUnasked ? last.content : "" };
}

function continuation(template: ChatTemplate, last: Message, continued: "content" | "reasoning"): string {
  const content = continued === "content" ? last.content : "";
  if (!template.isThinking) return template.generation + content;
  const begin = template.generation.split(thought.start)[0] ?? "";
  return begin + thought.start + last.reasoning + (continued === "content" ? thought.end : "") + content;
}

/** A thought that is switched off is opened and closed at once. */
function fresh(template: ChatTemplate, messages: readonly Message[], thinks: boolean): string {
  const prompt = template.render(messages, true);
  if (!template.isThinking || thinks) return prompt;
  return prompt + (template.opensThought ? "" : thought.start) + thought.end;
}

type Continued = "none" | "auto" | "content" | "reasoning";

/** What is neither true nor one of the two names counts for nothing (common_chat_continuation_parse). */
function continuedPart(value: unknown): Continued {
  if (value === true) return "auto";
  return value === "content" ? "content" : value === "reasoning_content" ? "reasoning" : "none";
}

function isThinkingOn(body: Body): boolean {
  const options = body["chat_template_kwargs"];
  const off = typeof options === "object" && options !== null && "enable_thinking" in options;
  return !(off && options.enable_thinking === false) && body["reasoning_effort"] !== "none";
}

function messagesOf(body: Body): readonly Message[] {
  // OpenAI's responses have `input`: one text, or the messages.
  const input = typeof body["input"] === "string" ? [{ role: "user", content: body["input"] }] : body["input"];
  const messages = body["messages"] ?? input;
  const all: readonly unknown[] = Array.isArray(messages) ? messages : [];
  return all.map((message) => {
    const fields: Body = typeof message === "object" && message !== null ? { ...message } : {};
    return {
      role: String(fields["role"] ?? "user"),
      content: textOf(fields["content"]),
      reasoning: textOf(fields["reasoning_content"]),
      hasToolCalls: Array.isArray(fields["tool_calls"]) && fields["tool_calls"].length > 0,
    };
  });
}

/** A string, or the texts of its parts. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: unknown) => (isTextPart(part) ? part.text : "")).join("");
}

const isTextPart = (part: unknown): part is { readonly text: string } =>
  typeof part === "object" && part !== null && "text" in part && typeof part.text === "string";
