// Which chat and completion requests can be gone on with by another child, and what that child is then asked. Pure.
import { isRecord } from "./json.ts";
import type { Kind, Recorded } from "./recording.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** Why the request cannot be gone on with, for the log; null where nothing stands against it. */
export function objectionTo(body: Fields, kind: Kind): string | null {
  const refusal = (kind === "chat" ? CHAT : COMPLETION).find(([field, isFit]) => !isFit(body[field], body));
  return refusal ? refusal[0] : null;
}

type Rule = readonly [field: string, isFit: (value: unknown, body: Fields) => boolean];

const isAbsent = (value: unknown): boolean => value === undefined || value === null;
const isOff = (value: unknown): boolean => isAbsent(value) || value === false || value === 0 || value === "";
const isOne = (value: unknown): boolean => isOff(value) || value === 1;

/** A grammar and what is made into one begin anew at the seam; the others ask for more than one text. */
const COMMON: readonly Rule[] = [
  ["n", isOne],
  ["logprobs", isOff],
  ["n_probs", isOff],
  ["grammar", isOff],
  ["json_schema", isAbsent],
  ["response_format", (value) => isAbsent(value) || field(value, "type") === "text"],
];

const CHAT: readonly Rule[] = [
  ...COMMON,
  ["tool_choice", (value) => isAbsent(value) || value === "auto" || value === "none"],
  ["reasoning_format", (value) => isAbsent(value) || value === "auto" || value === "deepseek"],
  ["continue_final_message", isAbsent],
  ["add_generation_prompt", isAbsent],
  ["echo", isAbsent],
  ["messages", (value) => Array.isArray(value) && value.length > 0 && field(value.at(-1), "role") !== "assistant"],
];

const COMPLETION: readonly Rule[] = [
  ...COMMON,
  ["echo", isOff],
  ["suffix", isOff],
  ["best_of", isOne],
  ["prompt", (value) => typeof value === "string"],
];

const field = (value: unknown, name: string): unknown => (isRecord(value) ? value[name] : undefined);

const LIMITS = ["max_tokens", "max_completion_tokens", "n_predict"];

/** How many tokens the client still wants when `sent` have come; null where it set no limit. */
export function tokensLeft(body: Fields, sent: number): number | null {
  const limits = LIMITS.map((name) => body[name]).filter((limit) => typeof limit === "number" && limit > 0);
  return limits.length === 0 ? null : Math.min(...limits.map((limit) => Number(limit) - sent));
}

/** The client's body with the text so far as the beginning of the answer, and `sent` tokens fewer to come. */
export function continuedBody(body: Fields, kind: Kind, recorded: Recorded, sent: number): Fields {
  const limits = LIMITS.flatMap((name) => {
    const limit = body[name];
    return typeof limit === "number" && limit > 0 ? [[name, limit - sent]] : [];
  });
  const rest = { ...body, ...Object.fromEntries(limits) };
  const { content, reasoning } = recorded;
  if (kind === "completion") return { ...rest, prompt: `${String(body["prompt"])}${content}` };
  const message = { role: "assistant", content, ...(reasoning === "" ? {} : { reasoning_content: reasoning }) };
  return {
    ...rest,
    messages: [...(Array.isArray(body["messages"]) ? body["messages"] : []), message],
    continue_final_message: content === "" ? "reasoning_content" : "content",
    add_generation_prompt: false,
  };
}

/** llama-server counts each completion, and a chat where that was asked for. */
export const isUsageMissing = (body: Fields, kind: Kind, { end }: Recorded): boolean =>
  (end === "open" || end === "finished") && (kind === "completion" || wantsUsage(body));

/** All was said but [DONE]: a loss that the client need not hear of. */
export const isWhole = (body: Fields, kind: Kind, recorded: Recorded): boolean =>
  recorded.end !== "open" && !isUsageMissing(body, kind, recorded);

export function wantsUsage(body: Fields): boolean {
  return field(body["stream_options"], "include_usage") === true;
}
