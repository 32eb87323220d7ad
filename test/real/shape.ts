// Holds a stream that was cut against the undisturbed one: what is wrong with its shape, and where its text parts. Pure.
import { readStream } from "../lemond/speech-steps.ts";
import type { Ask } from "./asks.ts";

export interface Verdict {
  /** False: it was over before its child was. */
  readonly isContinued: boolean;
  readonly faults: readonly string[];
  /** The first character that differs; null where none does. */
  readonly partsAt: number | null;
}

const counted = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

export function judge(text: string, whole: string, { path, body }: Ask): Verdict {
  const [got, wanted] = [readStream(text), readStream(whole)];
  const [said, expected] = [got.content.join(""), wanted.content.join("")];
  const isContinued = /^: continued$/m.test(text);
  const partsAt = said === expected ? null : firstDifference(said, expected);
  const limit = Number(body["max_tokens"]);
  const usage = got.usage;
  const tokens = usage?.completion_tokens ?? 0;
  const isRight = (name: string, is: unknown, shouldBe: unknown): string[] =>
    is === shouldBe ? [] : [`${name}: ${String(is)} for ${String(shouldBe)}`];
  const faults = [
    ...isRight("roles", got.roles, path === "completions" ? 0 : wanted.roles),
    ...isRight("ids", new Set(text.match(/"id":"[^"]*"/g)).size, 1),
    ...isRight("[DONE]", counted(text, /^data: \[DONE\]$/gm), 1),
    ...isRight("reasons to end", counted(text, /"finish_reason":"/g), 1),
    ...isRight("usages", counted(text, /"usage":/g), 1),
    ...isRight("prompt_tokens", usage?.prompt_tokens, wanted.usage?.prompt_tokens),
    ...(/^data: .*"error":.*$/gm.exec(text) ?? []),
    ...(tokens > limit || tokens < got.content.length
      ? [`completion_tokens: ${tokens} for ${got.content.length} events and a limit of ${limit}`]
      : []),
    ...(partsAt === null ? isRight("completion_tokens", tokens, wanted.usage?.completion_tokens) : []),
    ...(partsAt === null ? isRight("finish_reason", got.finish, wanted.finish) : []),
    ...(got.finish === "length" ? isRight("completion_tokens at the limit", tokens, limit) : []),
  ];
  return { isContinued, faults, partsAt };
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  return at;
}
