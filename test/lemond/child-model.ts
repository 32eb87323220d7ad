// What a simulated model says: the next words are a pure function of all the text before them, as those of a real one at
// temperature 0. So a stream that was cut and goes on from the very text that was sent equals the undisturbed one.
import { hash, wordsOf } from "./child-tokens.ts";
import { thought } from "./child-template.ts";

export interface Speech {
  readonly model: string;
  /**
   * `counted`: `MODEL token 1 MODEL token 2 …`. `words`: chosen by the hash of the whole prompt and of what was said, so that
   * any change before it changes all that follows. A text: that, and then the end.
   */
  readonly says: "counted" | "words" | { readonly text: string };
  /** What it thinks first. Default: as it speaks. */
  readonly thinks: string | undefined;
  /** Words of the answer without its thought; what says no limit may go on for ever. */
  readonly words: number | undefined;
}

export interface Heard {
  readonly prompt: string;
  /** What the model has said by the end of the prompt. Undefined in a completion, where nobody knows. */
  readonly tail: string | undefined;
  /** `none`: the model knows no thoughts, and neither does its prompt. */
  readonly thought: "none" | "on" | "off";
}

/** The words that follow, tags of a thought included. Its end is the model's own. */
export function nextWords(speech: Speech, heard: Heard): Iterable<string> {
  return speech.says === "words" ? chosenWords(speech, heard) : knownWords(speech, heard);
}

/** A sequence that is known from its beginning: where in it the prompt ends is found, and it goes on from there. */
function* knownWords(speech: Speech, { prompt, tail, thought: mode }: Heard): Iterable<string> {
  if (tail === undefined) {
    yield* afterPrompt(speech, prompt);
    return;
  }
  // What does not begin as the sequence does is none of it: the model begins anew, and everybody can see that.
  let left = isBeginning(tail, wholeOf(speech, mode)) ? tail : "";
  for (const word of wholeOf(speech, mode)) {
    if (left === "") yield word;
    else if (word.length <= left.length) left = left.slice(word.length);
    else {
      yield word.slice(left.length);
      left = "";
    }
  }
}

function isBeginning(tail: string, words: Iterable<string>): boolean {
  let left = tail;
  for (const word of words) {
    if (left.length <= word.length) return word.startsWith(left);
    if (!left.startsWith(word)) return false;
    left = left.slice(word.length);
  }
  return left === "";
}

/** In a completion the longest beginning of the sequence that the prompt ends with was said. */
function* afterPrompt(speech: Speech, prompt: string): Iterable<string> {
  if (speech.says === "counted") {
    const said = new RegExp(`${RegExp.escape(speech.model)} token (\\d+) $`).exec(prompt)?.[1] ?? "0";
    yield* contentOf(speech, Number(said));
    return;
  }
  const words = [...contentOf(speech, 0)];
  let skipped = words.length;
  while (skipped > 0 && !prompt.endsWith(words.slice(0, skipped).join(""))) skipped -= 1;
  yield* words.slice(skipped);
}

function* wholeOf(speech: Speech, mode: Heard["thought"]): Iterable<string> {
  if (mode !== "none") {
    const { model, thinks = [1, 2, 3].map((nth) => `${model} thought ${nth} `).join("") } = speech;
    yield* wordsOf(thought.start + (mode === "on" ? thinks : "") + thought.end);
  }
  yield* contentOf(speech, 0);
}

function* contentOf({ model, says, words = Infinity }: Speech, from: number): Iterable<string> {
  if (typeof says === "object") return yield* wordsOf(says.text);
  for (let nth = from + 1; nth <= words; nth += 1) yield `${model} token ${nth} `;
}

const vocabulary = " river| blue| lemon| the| and| café| Straße|,|.|\n|1|7|😀|🍋|—|…".split("|");
/** Inside a thought a line ends it; right behind it, none begins. */
const thoughts = vocabulary.filter((word) => word !== "\n");

function* chosenWords({ words = Infinity }: Speech, { prompt, tail = "", thought: mode }: Heard): Iterable<string> {
  let state = hash(Buffer.from(prompt));
  const spoken = (word: string): string => {
    state = hash(Buffer.from(word), state);
    return word;
  };
  const any = (among: readonly string[]): string => among[(state >>> 8) % among.length] ?? "";
  let said = tail;
  while (mode !== "none" && !said.includes(thought.end)) {
    const word = tagAfter(said) ?? (state % 11 === 0 ? "\n" : any(thoughts));
    said += word;
    yield spoken(word);
  }
  const content = mode === "none" ? tail : said.slice(said.indexOf(thought.end) + thought.end.length);
  // Space around a thought is shown to nobody, so an answer with one could not be told from one without.
  let among = mode !== "none" && content === "" ? thoughts : vocabulary;
  for (let left = words - wordsOf(content).length; left > 0; left -= 1) {
    // It ends by itself after some 60 words, unless a number of them was asked for.
    if (words === Infinity && state % 61 === 0) return;
    yield spoken(any(among));
    among = vocabulary;
  }
}

/** What must follow around a thought; undefined inside one. */
function tagAfter(said: string): string | undefined {
  if (said === "") return "<think>";
  if (said === "<think>" || said.endsWith("</think>") || said.endsWith("</think>\n")) return "\n";
  if (said === thought.start) return " Well";
  return said.endsWith("\n") ? "</think>" : undefined;
}
