// One answer of a simulated llama-server before it has a dialect: its text in the pieces in which it becomes known, how many
// tokens it took, why it ended. What the words are is `child-model.ts`'s, how they are sent is `child-replies.ts`'s. Pure.
import { nextWords, type Heard, type Speech } from "./child-model.ts";
import { limitOf, type Body, type Sim } from "./child-sim.ts";
import { promptOf, templateOf } from "./child-template.ts";
import { countTokens, tokensOf, wordsOf } from "./child-tokens.ts";
import { createParser, createStops, type Piece } from "./child-pieces.ts";
import type { ChatSettings } from "./model-spec.ts";

export interface Answer {
  readonly pieces: readonly Piece[];
  /** The first token was a whole character: a chat's stream begins with an event for the role (recording 37). */
  readonly hasRole: boolean;
  readonly tokens: number;
  readonly promptTokens: number;
  readonly reason: "stop" | "length";
}

export interface Asked {
  readonly model: string;
  readonly chat: ChatSettings;
  readonly body: Body;
  readonly sim: Sim;
}

export type Outcome = Answer | { readonly invalid: string };

export function answerChat(asked: Asked): Outcome {
  const { body, chat } = asked;
  const template = templateOf(chat.template ?? "chatml");
  const prompt = promptOf(body, template, chat.build ?? "current");
  if (prompt.kind === "invalid") return { invalid: prompt.message };
  const at = prompt.text.lastIndexOf(template.marker);
  const tail = at < 0 ? "" : prompt.text.slice(at + template.marker.length);
  const thought = !template.isThinking ? "none" : prompt.thinks ? "on" : "off";
  const heard = { prompt: prompt.text, tail, thought } as const;
  return answer(asked, heard, prompt.repeats);
}

export function answerCompletion(asked: Asked): Outcome {
  return answer(asked, { prompt: String(asked.body["prompt"] ?? ""), tail: undefined, thought: "none" }, "");
}

function answer({ model, chat, body, sim }: Asked, heard: Heard, repeats: string): Answer {
  const limit = limitOf(body);
  const text = sim.text ?? chat.text;
  const isCounted = text === undefined && chat.says !== "words";
  const speech: Speech = {
    model,
    says: text === undefined ? (chat.says ?? "counted") : { text },
    thinks: sim.reasoning ?? chat.reasoning,
    words: sim.tokens ?? (isCounted && limit === undefined ? 4 : undefined),
  };
  // A scripted number of words is what comes, whatever the client's limit; a limit of 0 still gives one token.
  const most = sim.tokens === undefined ? Math.max(1, limit ?? Infinity) : Infinity;
  const parser = createParser(heard.thought !== "none" && body["reasoning_format"] !== "none");
  for (const word of wordsOf(heard.tail ?? "")) parser.feed(word);
  const stops = createStops(stopsOf(body));
  const decoder = new TextDecoder();
  const pieces: Piece[] = [];
  const first = repeats === "" ? [] : [{ kind: "content", text: repeats } as const];
  let tokens = 0;
  let hasRole = false;
  let isAtLimit = false;
  for (const bytes of bytesOf(nextWords(speech, heard))) {
    tokens += 1;
    const known = decoder.decode(bytes, { stream: true });
    const said = merged([...first.splice(0), ...stops.pass(parser.feed(known))]);
    if (tokens === 1) hasRole = known !== "" && !stops.isHolding;
    pieces.push(...said);
    isAtLimit = tokens >= most;
    if (isAtLimit || stops.isFound) break;
  }
  pieces.push(...stops.rest());
  const promptTokens = countTokens(heard.prompt);
  const endsByLimit = isAtLimit || (isCounted && limit !== undefined);
  return { pieces, hasRole, tokens, promptTokens, reason: endsByLimit && !stops.isFound ? "length" : "stop" };
}

function* bytesOf(words: Iterable<string>): Iterable<Uint8Array> {
  for (const word of words) yield* tokensOf(word);
}

/** What a token makes known of one kind is one event. */
function merged(pieces: readonly Piece[]): readonly Piece[] {
  const [first, second, ...rest] = pieces;
  if (first === undefined || second === undefined || first.kind !== second.kind) return pieces;
  return merged([{ kind: first.kind, text: first.text + second.text }, ...rest]);
}

function stopsOf(body: Body): readonly string[] {
  const stop = body["stop"];
  const all: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  return all.filter((one) => typeof one === "string").filter((one) => one !== "");
}
