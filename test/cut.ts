// A stream whose child is lost in the middle: the steps that the tests of continuation share.
import { expect } from "bun:test";
import type { ChatSettings } from "./lemond/index.ts";
import { readStream, type Streamed } from "./lemond/speech-steps.ts";
import type { Stack, StackOptions } from "./stack.ts";

export const messages = [{ role: "user", content: "Name three colours." }];
export const ask = {
  model: "primary",
  stream: true,
  messages,
  max_tokens: 40,
  stream_options: { include_usage: true },
};
export const CHAT = "/v1/chat/completions";
export const UNFIT = "the template does not continue the text as it is";

export const speaking = (chat: ChatSettings, more: StackOptions = {}): StackOptions => ({
  ...more,
  lemond: { models: [{ id: "tiny-a", chat }], ...more.lemond },
});

/** What a stream says, its last event apart where that is an error. */
export const heard = (text: string): Streamed => readStream(text.replace(/data: \{"error":.*\n\n/, ""));

/** The whole stream without anybody's death. */
export async function undisturbed(stack: Stack, body: object = ask, path = CHAT): Promise<Streamed> {
  return heard(await (await stack.post(path, body)).text());
}

export interface Cut {
  readonly events: number;
  readonly body?: object;
  readonly path?: string;
  readonly tokenMs?: number;
  /** What happens to the child; default: it is killed. */
  readonly how?: (stack: Stack) => unknown;
}

/** The client's whole stream of which so many events with text had come when its child was lost. */
export async function cutAfter(
  stack: Stack,
  { events, body = ask, path = CHAT, tokenMs = 5, how = kill }: Cut,
): Promise<string> {
  const response = await stack.post(path, { ...body, sim: { tokenMs } });
  expect(response.status).toBe(200);
  const decoder = new TextDecoder();
  let text = "";
  let isCut = false;
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    const { content, reasoning } = heard(text);
    if (isCut || content.length + reasoning.length < events) continue;
    isCut = true;
    void how(stack);
  }
  // On a busy machine the answer may be over before its child is: that was no cut.
  const isWhole = text.includes("[DONE]") && !text.includes(": continued") && how === kill;
  return isWhole ? cutAfter(stack, { events, body, path, how }) : text;
}

export const kill = (stack: Stack): Promise<void> => stack.child().kill();

export const joined = (stream: Streamed): string => [...stream.reasoning, "|", ...stream.content].join("");
const ids = (text: string): Set<string | undefined> => new Set(text.match(/"id":"[^"]*"/g));

/** One answer, as nobody could tell from an undisturbed one, and one load for one death. */
export function expectWhole(stack: Stack, text: string, whole: Streamed): void {
  const got = heard(text);
  expect(joined(got)).toBe(joined(whole));
  expect({ roles: got.roles, finish: got.finish, isDone: got.isDone }).toEqual({
    roles: whole.roles,
    finish: whole.finish,
    isDone: true,
  });
  expect([ids(text).size, text.match(/\[DONE\]/g)?.length, text.match(/^: continued$/gm)?.length]).toEqual([1, 1, 1]);
  const { prompt_tokens, completion_tokens } = whole.usage ?? {};
  expect(got.usage).toMatchObject({ prompt_tokens, completion_tokens });
  expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
}

export const outcomes = async (stack: Stack): Promise<Record<string, number>> => {
  const text = await (await fetch(`${stack.url}/metrics`)).text();
  const found = text.matchAll(/^hal0_dispatch_stream_continued_total\{slot="primary",outcome="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, outcome = "", count]) => [outcome, Number(count)]));
};
