// Judges, by the prompts that a child's own template makes, whether it would go on with a text and not with something else.
// llama.cpp appends the text to the prompt by itself, so finding it there proves nothing. Pure.
import type { Recorded } from "./recording.ts";

/** Beginnings of a thought that a template left in the text. */
const THOUGHTS = [
  "<think",
  "<thinking",
  "<thought",
  "<reasoning",
  "<seed:think",
  "<|channel|>",
  "<|START_THINKING|>",
  "[THINK]",
  "◁think▷",
];

export type Verdict = "fits" | "unfit" | "newlines twice";

/**
 * `before`: the prompt of the client's own messages; `continued`: that of the same with the text so far.
 * `newlines twice`: the template adds newlines at the end of the thought that the recorded one has already.
 */
export function judge(before: string, continued: string, { reasoning, content }: Recorded): Verdict {
  const text = content === "" ? reasoning : content;
  if (!continued.endsWith(text)) return "unfit";
  const head = continued.slice(0, continued.length - text.length);
  const prompt = squeezed(before);
  if (!squeezed(head).startsWith(prompt)) return "unfit";
  if (content === "") return "fits";
  if (reasoning === "") return THOUGHTS.some((tag) => text.trimStart().startsWith(tag)) ? "unfit" : "fits";
  return judgeThought(head, prompt, reasoning);
}

/** The thought must stand in `head`, behind the prompt. */
function judgeThought(head: string, prompt: string, reasoning: string): Verdict {
  const thought = reasoning.replace(/\n+$/, "");
  const at = head.lastIndexOf(thought);
  if (at < 0 || squeezed(head.slice(0, at)).length < prompt.length) return "unfit";
  const own = reasoning.length - thought.length;
  const there = /^\n*/.exec(head.slice(at + thought.length))?.[0].length ?? 0;
  return own > 0 && there >= 2 * own ? "newlines twice" : "fits";
}

const squeezed = (text: string): string => text.replace(/\s+/g, "");
