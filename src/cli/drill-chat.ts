// One chat of a drill: asks, reads the answer to its end, and judges whether it is whole. Keeps nothing of what was said.
import * as v from "valibot";
import { DrillError } from "./drill-server.ts";

export interface Asked {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The slot's name. */
  readonly model: string;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly isStream: boolean;
}

export interface Answer {
  readonly tookMs: number;
  /** Null: whole. */
  readonly fault: string | null;
  /** `x-hal0-repair`. */
  readonly repair: string | null;
}

/** What can be seen of a stream while it runs. */
export interface Watcher {
  /** The first text has come; the stream is read on when this is done. */
  onText(): Promise<void>;
  /** The rest comes from a new child. */
  onSeam(): void;
}

const Text = v.optional(v.nullable(v.string()));
const Message = v.object({ content: Text, reasoning_content: Text });
const Plain = v.object({ choices: v.tuple([v.object({ message: Message, finish_reason: v.string() })]) });
const Chunk = v.object({
  choices: v.optional(
    v.array(v.object({ delta: v.optional(Message, {}), finish_reason: v.optional(v.nullable(v.string())) })),
    [],
  ),
});
const Failed = v.object({ error: v.object({ message: v.string(), code: v.optional(v.nullable(v.string())) }) });
const DONE = "data: [DONE]";

export async function chat(asked: Asked, watcher: Watcher | null = null): Promise<Answer> {
  const began = performance.now();
  const end = (fault: string | null, repair: string | null): Answer => ({
    tookMs: performance.now() - began,
    fault,
    repair,
  });
  try {
    const response = await send(asked);
    const repair = response.headers.get("x-hal0-repair");
    if (response.ok && asked.isStream) return end(await readStream(response, watcher), repair);
    const text = await response.text();
    if (!response.ok) return end(`${response.status}: ${errorIn(text) ?? "no reason given"}`, repair);
    const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), Plain), text);
    return end(
      success && hasText(output.choices[0].message) ? null : "the answer is not a whole chat completion",
      repair,
    );
  } catch (error) {
    if (error instanceof DrillError) throw error;
    return end(`the connection broke (${error instanceof Error ? error.message : "unknown"})`, null);
  }
}

const send = ({ url, headers, model, prompt, maxTokens, isStream }: Asked): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: prompt }],
      max_tokens: maxTokens,
      stream: isStream,
    }),
    keepalive: false,
    timeout: false,
  });

/** Null where it is whole: text, a reason for its end, `[DONE]`, and no error. */
async function readStream(response: Response, watcher: Watcher | null): Promise<string | null> {
  let isText = false;
  let isFinished = false;
  for await (const line of linesOf(response)) {
    if (line === ": continued") watcher?.onSeam();
    if (line === DONE)
      return isText && isFinished ? null : "the stream ended without text or without a reason for its end";
    if (!line.startsWith("data:")) continue;
    const data = line.slice("data:".length);
    const fault = errorIn(data);
    if (fault !== null) return fault;
    const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), Chunk), data);
    if (!success) return "an event of the stream is not a chat completion's";
    const [choice] = output.choices;
    isFinished ||= typeof choice?.finish_reason === "string";
    if (isText || !choice || !hasText(choice.delta)) continue;
    isText = true;
    await watcher?.onText();
  }
  return "the stream ended without [DONE]";
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  let rest = "";
  for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + part).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line.trimEnd();
  }
}

const hasText = ({ content, reasoning_content }: v.InferOutput<typeof Message>): boolean =>
  Boolean(content) || Boolean(reasoning_content);

function errorIn(json: string): string | null {
  const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), Failed), json);
  return success ? `${output.error.code ?? "error"}: ${output.error.message}` : null;
}
