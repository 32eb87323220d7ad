// What a reply says of its tokens: `usage` as OpenAI's and Anthropic's routes have it, `timings` as llama-server adds them.
// Looks at a few kilobytes at both ends of a body and parses those two objects alone, once, when the body is over.
import { afterSpace, OPEN_OBJECT } from "../http/json-text.ts";

/** Null where the reply does not say. */
export interface Tokens {
  readonly prompt: number | null;
  readonly completion: number | null;
  /** Tokens of the answer a second, as the upstream measured it. */
  readonly perSecond: number | null;
}

export const UNKNOWN: Tokens = { prompt: null, completion: null, perSecond: null };

/** Both ends of a body, as it passes by. Written by `see` alone. */
export interface BodyEnds {
  head: Uint8Array | null;
  tail: Uint8Array[];
  tailBytes: number;
}

/** llama-server's last events take 0.6 KB, another server's may have more behind their numbers. */
const END_BYTES = 4096;
const BEGIN_BYTES = 1024;
/** Of a larger chunk the ends are copied, since a view keeps all of it in memory. */
const LARGE_BYTES = 64 * 1024;
/** How many are looked at from either end, should the first not be whole. */
const MOST_LOOKS = 4;
const MOST_OBJECT_BYTES = 1024;
const COLON = 0x3a;
const TIMINGS = Buffer.from('"timings"');
const USAGE = Buffer.from('"usage"');

export const noBody = (): BodyEnds => ({ head: null, tail: [], tailBytes: 0 });

/** Takes bytes of the body, in order. */
export function see(ends: BodyEnds, bytes: Uint8Array): void {
  const isLarge = bytes.length > LARGE_BYTES;
  ends.head ??= isLarge ? bytes.slice(0, BEGIN_BYTES) : bytes;
  const last = isLarge ? bytes.slice(-END_BYTES) : bytes;
  const { tail } = ends;
  tail.push(last);
  ends.tailBytes += last.length;
  for (let first = tail[0]; first && ends.tailBytes - first.length >= END_BYTES; first = tail[0]) {
    ends.tailBytes -= first.length;
    tail.shift();
  }
}

/** What the body says of its tokens. Called once, when it is over: lets go of the bytes. */
export function tokensIn(ends: BodyEnds): Tokens {
  const { head } = ends;
  const known = tokensAtEnd(ends);
  ends.head = null;
  ends.tail = [];
  // Vectors follow their `usage`, and an Anthropic message's first event has the prompt's.
  if (known.prompt !== null || head === null) return known;
  const begun = tokensOf(firstObject(bufferOf(head, 0, BEGIN_BYTES), USAGE), null);
  return { ...known, prompt: begun.prompt, completion: known.completion ?? begun.completion };
}

/** llama-server has `timings` in every last event, OpenAI's `usage` is there where it was asked for. */
function tokensAtEnd(ends: BodyEnds): Tokens {
  const last = endOf(ends);
  return tokensOf(lastObject(last, USAGE), lastObject(last, TIMINGS));
}

/** The last bytes, of as few chunks as hold them. */
function endOf({ tail, tailBytes }: BodyEnds): Buffer {
  const [only] = tail;
  if (only && tail.length === 1) return bufferOf(only, Math.max(0, only.length - END_BYTES));
  return Buffer.concat(tail).subarray(Math.max(0, tailBytes - END_BYTES));
}

/** A view. */
const bufferOf = (bytes: Uint8Array, from: number, most = bytes.length): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, Math.min(bytes.length - from, most));

type Numbers = Readonly<Record<string, unknown>>;

function tokensOf(usage: Numbers | null, timings: Numbers | null): Tokens {
  if (usage === null && timings === null) return UNKNOWN;
  const read = numberOf(usage?.["input_tokens"]);
  // Anthropic's `input_tokens` leaves out what came from the cache, llama-server's `prompt_n` too.
  const cached = numberOf(usage?.["cache_read_input_tokens"]) ?? 0;
  const evaluated = numberOf(timings?.["prompt_n"]);
  return {
    prompt:
      numberOf(usage?.["prompt_tokens"]) ??
      (read === null ? null : read + cached) ??
      (evaluated === null ? null : evaluated + (numberOf(timings?.["cache_n"]) ?? 0)),
    completion:
      numberOf(usage?.["completion_tokens"]) ??
      numberOf(usage?.["output_tokens"]) ??
      numberOf(timings?.["predicted_n"]),
    perSecond: numberOf(timings?.["predicted_per_second"]),
  };
}

/** The last object under that key (with its quotes). Searched forward, which takes a tenth of the time that backward takes. */
function lastObject(bytes: Buffer, key: Buffer): Numbers | null {
  const begins: number[] = [];
  for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1)) {
    const begin = beginOfObject(bytes, at + key.length);
    if (begin >= 0) begins.push(begin);
  }
  for (let look = 1; look <= Math.min(MOST_LOOKS, begins.length); look++) {
    const found = objectAt(bytes, begins.at(-look) ?? 0);
    if (found !== null) return found;
  }
  return null;
}

function firstObject(bytes: Buffer, key: Buffer): Numbers | null {
  let at = bytes.indexOf(key);
  for (let look = 0; look < MOST_LOOKS && at >= 0; look++) {
    const begin = beginOfObject(bytes, at + key.length);
    const found = begin < 0 ? null : objectAt(bytes, begin);
    if (found !== null) return found;
    at = bytes.indexOf(key, at + 1);
  }
  return null;
}

/** Where the object begins that is the value of a key which ends at `at`; -1 where it is none. Text of the model has its quotes escaped and cannot pass for a key. */
function beginOfObject(bytes: Buffer, at: number): number {
  const colon = afterSpace(bytes, at);
  const begin = afterSpace(bytes, colon + 1);
  return bytes[colon] === COLON && bytes[begin] === OPEN_OBJECT ? begin : -1;
}

/** The object ends at the first brace that closes as many as were opened, since it holds numbers and no text. */
function objectAt(bytes: Buffer, begin: number): Numbers | null {
  const text = bytes.toString("latin1", begin, begin + MOST_OBJECT_BYTES);
  let opened = 0;
  for (let end = text.indexOf("}"); end > 0; end = text.indexOf("}", end + 1)) {
    opened = text.indexOf("{", opened + 1);
    if (opened < 0 || opened > end) return parsed(text.slice(0, end + 1));
  }
  return null;
}

function parsed(text: string): Numbers | null {
  try {
    return JSON.parse(text);
  } catch {
    return null; // Cut off, or no JSON: then nothing is known.
  }
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : null;
}
