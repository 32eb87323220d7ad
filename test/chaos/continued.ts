// Holds a stream that was cut and went on against the undisturbed one: the same text by character, one role, one id, one end,
// the same usage. Where the pieces lie and how long they took may differ. Pure; each byte of a text is one character.
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

/**
 * What differs, or null where nothing does. Comments have been taken out of `text`. `isUncounted`: the child may not have said
 * how many tokens the text was, so that the answer can be longer than its limit by those that no event showed.
 */
export function continuedFault(text: string, whole: string, isUncounted: boolean): string | null {
  const [said, expected] = [saidIn(text), saidIn(whole)];
  if (typeof said === "string") return said;
  if (typeof expected === "string") return `the undisturbed stream: ${expected}`;
  const faultOf = (name: "reasoning" | "content" | "roles" | "ends" | "ids" | "models" | "dones"): string[] =>
    said[name] === expected[name]
      ? []
      : [`${name}: ${JSON.stringify(said[name])} for ${JSON.stringify(expected[name])}`];
  const frame = (["roles", "ids", "models", "dones"] as const).flatMap(faultOf);
  if (isUncounted && frame.length === 0)
    return `${said.reasoning}${said.content}`.startsWith(`${expected.reasoning}${expected.content}`)
      ? null
      : "the text parts";
  const faults = [
    ...frame,
    ...(["reasoning", "content", "ends"] as const).flatMap(faultOf),
    ...usageFaults(said, expected),
  ];
  return faults[0] ?? null;
}

function usageFaults(said: Said, expected: Said): string[] {
  const shown = JSON.stringify(said.usage);
  if (shown === JSON.stringify(expected.usage)) return [];
  const differs = [`usage: ${shown} for ${JSON.stringify(expected.usage)}`];
  const tokens = expected.usage?.[1];
  if (!said.usage || typeof tokens !== "number") return differs;
  // The last token can be the first half of a character, or the tag of a thought: no event told of it.
  const text = Buffer.from(expected.content, "latin1").toString();
  const isUnsaid = expected.reasoning === "" ? tokens > countTokens(text) : expected.ends === '["length"]';
  const isNothing = expected.content + expected.reasoning === "";
  return isNothing || (isUnsaid && said.usage[1] === tokens - 1) ? [] : differs;
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
