// Turns the events of a new stream into the rest of a cut one: what the client has seen so far → what it sees next. Pure.
// Comments and what is not understood pass as they are.
import { isRecord, parsed } from "./json.ts";
import type { Kind, Recorded } from "./recording.ts";

export interface Seam {
  readonly kind: Kind;
  readonly recorded: Recorded;
  /** Tokens of the text that has been sent. */
  readonly sentTokens: number;
  /** Of the client's own prompt, where they were counted; null: what the new child's prompt has without the text. */
  readonly promptTokens: number | null;
}

/** Marks the seam for people who read the stream. */
export const SEAM = ": continued\n\n";

/** Whole events, as text, in and out. A role without text has been sent already, and is left out. */
export function splice(events: string, seam: Seam): string {
  return events
    .split(/(?<=\n\n)/)
    .map((event) => spliced(event, seam))
    .join("");
}

function spliced(event: string, seam: Seam): string {
  const value = event.startsWith("data:") ? parsed(event.slice("data:".length)) : null;
  if (!isRecord(value) || !Array.isArray(value["choices"])) return event;
  const { id, created, model } = seam.recorded;
  const choices = value["choices"].map(withoutRole);
  const usage = isRecord(value["usage"]) ? { usage: wholeUsage(value["usage"], seam) } : {};
  const isEmpty = choices.length > 0 && choices.every(isSilent) && value["usage"] === undefined;
  return isEmpty ? "" : `data: ${JSON.stringify({ ...value, choices, created, id, model, ...usage })}\n\n`;
}

function withoutRole(choice: unknown): unknown {
  if (!isRecord(choice) || !isRecord(choice["delta"])) return choice;
  const { role: _, ...delta } = choice["delta"];
  return { ...choice, delta };
}

/** Nothing that the client does not know: no text, no end, no call. */
function isSilent(choice: unknown): boolean {
  if (!isRecord(choice) || !isRecord(choice["delta"]) || (choice["finish_reason"] ?? null) !== null) return false;
  return Object.values(choice["delta"]).every((value) => value === null || value === "");
}

/**
 * The new child counted the text so far as prompt; for the client it is part of the answer. The last letters of a prompt and
 * the first of the text can be one token then, so that the difference alone would be too small.
 */
function wholeUsage(usage: Readonly<Record<string, unknown>>, seam: Seam): Record<string, unknown> {
  const { sentTokens } = seam;
  const { prompt_tokens, completion_tokens, prompt_tokens_details } = usage;
  if (typeof prompt_tokens !== "number" || typeof completion_tokens !== "number") return usage;
  const prompt = seam.promptTokens ?? Math.max(0, prompt_tokens - sentTokens);
  const { cached_tokens: cached } = isRecord(prompt_tokens_details) ? prompt_tokens_details : {};
  const details = typeof cached === "number" ? { cached_tokens: Math.min(cached, prompt) } : {};
  return {
    ...usage,
    completion_tokens: completion_tokens + sentTokens,
    prompt_tokens: prompt,
    total_tokens: prompt + completion_tokens + sentTokens,
    ...(isRecord(prompt_tokens_details) ? { prompt_tokens_details: { ...prompt_tokens_details, ...details } } : {}),
  };
}

/**
 * What is missing of a stream whose text is all there: its reason (the limit was used up), its usage where the prompt was
 * counted, and [DONE].
 */
export function lastEvents({ kind, recorded, sentTokens, promptTokens }: Seam): string {
  const { id, created, model, end } = recorded;
  if (end === "done") return "";
  const total_tokens = (promptTokens ?? 0) + sentTokens;
  const usage =
    promptTokens === null
      ? {}
      : { usage: { completion_tokens: sentTokens, prompt_tokens: promptTokens, total_tokens } };
  const chunk = (choices: unknown[], more: object): string =>
    `data: ${JSON.stringify({ choices, created, id, model, object: OBJECT[kind], ...more })}\n\n`;
  const said = kind === "chat" ? { delta: {} } : { text: "", logprobs: null };
  const last = [{ finish_reason: "length", index: 0, ...said }];
  // llama-server gives the usage of a chat an event of its own, and that of a completion the last one's.
  const hasOwn = kind === "chat" && promptTokens !== null;
  const reason = end === "open" ? chunk(last, hasOwn ? {} : usage) : "";
  return `${reason}${hasOwn ? chunk([], usage) : ""}data: [DONE]\n\n`;
}

const OBJECT = { chat: "chat.completion.chunk", completion: "text_completion" } as const;
