// Holds a stream that was cut and went on against the undisturbed one: the same text by character, one role, one id, one end,
// the same usage. Where the pieces lie and how long they took may differ. Pure; each byte of a text is one character.
import { thought } from "../lemond/child-template.ts";
import { countTokens } from "../lemond/child-tokens.ts";
import { isRecord, SEAM } from "./sse-text.ts";

interface Said {
  readonly reasoning: string;
  readonly content: string;
  readonly roles: number;
  readonly ends: string;
  /** Of prompt, answer and both. */
  readonly usage: readonly [unknown, unknown, unknown] | null;
  readonly ids: number;
  readonly models: string;
  readonly dones: number;
}

const DONE = "data: [DONE]";

/** What differs, or null where nothing does. Comments have been taken out of `text`. */
export function continuedFault(text: string, whole: string): string | null {
  const [said, expected] = [saidIn(text), saidIn(whole)];
  if (typeof said === "string") return said;
  if (typeof expected === "string") return `the undisturbed stream: ${expected}`;
  const faults = (["roles", "ids", "models", "dones", "reasoning", "content", "ends"] as const).flatMap((name) =>
    said[name] === expected[name]
      ? []
      : [`${name}: ${JSON.stringify(said[name])} for ${JSON.stringify(expected[name])}`],
  );
  return [...faults, ...usageFaults(said, expected)][0] ?? null;
}

/** A stream that was whole but for its usage is counted by its text: its last tokens can be half a character, or the end of a thought. */
function usageFaults({ usage }: Said, expected: Said): string[] {
  const [prompt, tokens] = expected.usage ?? [];
  const shown = shownTokens(expected);
  const isFit =
    JSON.stringify(usage) === JSON.stringify(expected.usage) ||
    (shown < Number(tokens) && JSON.stringify(usage) === JSON.stringify([prompt, shown, Number(prompt) + shown]));
  return isFit ? [] : [`usage: ${JSON.stringify(usage)} for ${JSON.stringify(expected.usage)}`];
}

/** The tokens that are seen in the text; behind a thought that an answer follows, its end was one of them. */
function shownTokens({ reasoning, content }: Said): number {
  const begin = reasoning === "" ? "" : `${thought.start}${reasoning}`;
  const end = reasoning === "" || content === "" ? "" : "</think>\n\n";
  return countTokens(Buffer.from(`${begin}${end}${content}`, "latin1").toString());
}

/** Whether anything has been said that another child could go on from. */
export function hasText(text: string): boolean {
  const said = saidIn(text);
  return typeof said !== "string" && said.content + said.reasoning !== "";
}

export const seamsIn = (text: string): number => text.split("\n\n").filter((event) => event === SEAM).length;

function saidIn(text: string): Said | string {
  const said = { reasoning: "", content: "", roles: 0, dones: 0 };
  const ends: unknown[] = [];
  let used: Said["usage"] = null;
  const ids = new Set<string>();
  const models = new Set<unknown>();
  for (const event of text.split("\n\n")) {
    if (event === "") continue;
    if (said.dones > 0) return `behind [DONE]: ${event}`;
    if (event === DONE) {
      said.dones += 1;
      continue;
    }
    const value: unknown = event.startsWith("data: {") ? JSON.parse(event.slice("data: ".length)) : null;
    if (!isRecord(value) || !Array.isArray(value["choices"])) return `no event of an answer: ${event}`;
    const { id, created, model, usage } = value;
    ids.add(JSON.stringify([id, created]));
    models.add(model);
    if (isRecord(usage) && used) return "two usages";
    if (isRecord(usage)) used = [usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]];
    const choice: unknown = value["choices"][0];
    if (!isRecord(choice)) continue;
    const delta = isRecord(choice["delta"]) ? choice["delta"] : {};
    if (delta["role"] !== undefined) said.roles += 1;
    said.content += textOf(delta["content"]) + textOf(choice["text"]);
    said.reasoning += textOf(delta["reasoning_content"]);
    if (choice["finish_reason"] !== null) ends.push(choice["finish_reason"]);
  }
  return {
    ...said,
    ends: JSON.stringify(ends),
    usage: used,
    ids: ids.size,
    models: [...models].join(),
  };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
