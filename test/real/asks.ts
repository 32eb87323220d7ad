// What is asked of the real model, at temperature 0, and how a stream is read while it comes.
import { readStream } from "../lemond/speech-steps.ts";

export interface Ask {
  readonly name: string;
  readonly path: "chat/completions" | "completions";
  readonly body: Readonly<Record<string, unknown>>;
}

/** With a prompt in its cache the model's numbers differ in the last bit, and so its words at times, without any cut. */
const common = { model: "real", stream: true, temperature: 0, cache_prompt: false };
const chat = (name: string, content: string): Ask => ({
  name: `chat, ${name}`,
  path: "chat/completions",
  body: { ...common, messages: [{ role: "user", content }], stream_options: { include_usage: true } },
});
const completion = (name: string, prompt: string): Ask => ({
  name: `completion, ${name}`,
  path: "completions",
  body: { ...common, prompt },
});

const ASKS: readonly Ask[] = [
  chat("colours", "Name three colours, one a line, and say of each what it is like."),
  chat("story", "Tell a short story about a lemonade stand."),
  chat("list", "Write a numbered list of ten things to pack for a hike, each with a reason."),
  completion("sky", "The sky is"),
  // The first token of its answer may be one with the end of the prompt.
  completion("half a word", "A lemonade stand runs itself until some"),
];

export const asksOf = (tokens: number): readonly Ask[] =>
  ASKS.map((ask) => ({ ...ask, body: { ...ask.body, max_tokens: tokens } }));

/** The whole stream as text. `onPiece` is told how many events with text have come. */
export async function streamed(url: string, ask: Ask, onPiece: (pieces: number) => void = () => {}): Promise<string> {
  const response = await fetch(`${url}/v1/${ask.path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(ask.body),
    keepalive: false,
  });
  if (response.status !== 200) throw new Error(`${ask.name}: ${response.status} ${await response.text()}`);
  let text = "";
  for await (const chunk of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += chunk;
    onPiece(readStream(text.slice(0, text.lastIndexOf("\n\n") + 2)).content.length);
  }
  return text;
}
