// What a reply says of its tokens: `usage` as OpenAI's and Anthropic's routes have it, `timings` as llama-server adds them.
// Looks at a few kilobytes at both ends of a body and parses those two objects alone, once, when the body is over.

/** Null where the reply does not say. */
export interface Tokens {
  readonly prompt: number | null;
  readonly completion: number | null;
  /** Tokens of the answer a second, as the upstream measured it. */
  readonly perSecond: number | null;
}

export interface TokenReader {
  /** Bytes of the body, in order. */
  see(bytes: Uint8Array): void;
  /** Called once: it lets go of the bytes. */
  read(): Tokens;
}

/** llama-server's last events take 0.6 KB, another server's may have more behind their numbers: looked at in this order. */
const END_BYTES = [1024, 4096] as const;
const [FEWEST_BYTES, MOST_BYTES] = END_BYTES;
/** Of a larger chunk the ends are copied, since a view keeps all of it in memory. */
const LARGE_BYTES = 64 * 1024;
/** How many values are looked at from either end: OpenAI's `usage` is null in all events but one. */
const MOST_LOOKS = 4;
const MOST_OBJECT_BYTES = 1024;
const TIMINGS = Buffer.from('"timings"');
const USAGE = Buffer.from('"usage"');

export function createTokenReader(): TokenReader {
  let head: Uint8Array | null = null;
  let tail: Uint8Array[] = [];
  let tailBytes = 0;

  /** The last bytes, of as few chunks as hold them. */
  const end = (endBytes: number): Buffer => {
    let from = tail.length;
    let bytes = 0;
    while (from > 0 && bytes < endBytes) bytes += tail[--from]?.length ?? 0;
    const last = tail.at(-1);
    if (last && from === tail.length - 1) return bufferOf(last, Math.max(0, bytes - endBytes));
    return Buffer.concat(tail.slice(from)).subarray(-endBytes);
  };

  /** llama-server has `timings` in every last event, OpenAI's `usage` is there where it was asked for. */
  const atEnd = (): Tokens => {
    for (const endBytes of END_BYTES) {
      if (endBytes > FEWEST_BYTES && tailBytes <= FEWEST_BYTES) break;
      const last = end(endBytes);
      const timings = lastObject(last, TIMINGS);
      const usage = lastObject(last, USAGE);
      if (usage !== null || timings !== null) return tokensOf(usage, timings);
    }
    return tokensOf(null, null);
  };

  return {
    see: (bytes) => {
      const isLarge = bytes.length > LARGE_BYTES;
      head ??= isLarge ? bytes.slice(0, FEWEST_BYTES) : bytes;
      const last = isLarge ? bytes.slice(-MOST_BYTES) : bytes;
      tail.push(last);
      tailBytes += last.length;
      for (let first = tail[0]; first && tailBytes - first.length >= MOST_BYTES; first = tail[0]) {
        tailBytes -= first.length;
        tail.shift();
      }
    },
    read: () => {
      const known = atEnd();
      const begin = head;
      head = null;
      tail = [];
      // Vectors follow their `usage`, and an Anthropic message's first event has the prompt's.
      if (known.prompt !== null || begin === null) return known;
      const begun = tokensOf(firstObject(bufferOf(begin, 0, FEWEST_BYTES), USAGE), null);
      return { ...known, prompt: begun.prompt, completion: known.completion ?? begun.completion };
    },
  };
}

/** A view. */
const bufferOf = (bytes: Uint8Array, from: number, most = bytes.length): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, Math.min(bytes.length - from, most));

type Numbers = Readonly<Record<string, unknown>>;

function tokensOf(usage: Numbers | null, timings: Numbers | null): Tokens {
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

/** The last object under that key (with its quotes), or the first. */
function lastObject(bytes: Buffer, key: Buffer): Numbers | null {
  let at = bytes.length;
  for (let look = 0; look < MOST_LOOKS && at > 0; look++) {
    at = bytes.lastIndexOf(key, at - 1);
    const found = at < 0 ? null : objectAfter(bytes, at + key.length);
    if (at < 0 || found !== null) return found;
  }
  return null;
}

function firstObject(bytes: Buffer, key: Buffer): Numbers | null {
  let at = -1;
  for (let look = 0; look < MOST_LOOKS; look++) {
    at = bytes.indexOf(key, at + 1);
    const found = at < 0 ? null : objectAfter(bytes, at + key.length);
    if (at < 0 || found !== null) return found;
  }
  return null;
}

/**
 * The object that is the value of a key which ends at `at`. Text of the model has its quotes escaped and cannot pass for a
 * key. The object ends at the first brace that closes as many as were opened, since it holds numbers and no text.
 */
function objectAfter(bytes: Buffer, at: number): Numbers | null {
  const text = bytes.toString("latin1", at, at + MOST_OBJECT_BYTES);
  const begin = /^\s*:\s*(?=\{)/.exec(text)?.[0].length;
  if (begin === undefined) return null;
  for (let end = text.indexOf("}"), opened = begin; end > 0; end = text.indexOf("}", end + 1)) {
    opened = text.indexOf("{", opened + 1);
    if (opened < 0 || opened > end) return parsed(text.slice(begin, end + 1));
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
