// JSON's grammar over bytes: where a value, a string or a number ends. It makes nothing of them. Pure.

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
export const QUOTE = 0x22;
const PLUS = 0x2b;
export const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
export const BACKSLASH = 0x5c;
const SMALL_E = 0x65;
const SMALL_U = 0x75;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;

/** No position: the text is not JSON. Every function gives the position behind what it reads, or this. */
export const FAULT = -1;

/** `words` are the same bytes four at a time, from `firstWord` on. */
export interface Text {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly firstWord: number;
  /** The last finds of `endOfRun`. */
  quoteAt: number;
  backslashAt: number;
}

/**
 * In a body of more than LARGE_BODY, a run of letters is looked at one by one for LONG_RUN bytes only, and then searched for
 * its end: the upstream refuses control characters further in it, as llama-server and lemond do.
 */
const LARGE_BODY = 256 * 1024;
const LONG_RUN = 1024;

export function textOf(bytes: Uint8Array): Text {
  const firstWord = -bytes.byteOffset & 3;
  const count = Math.max(0, bytes.length - firstWord) >> 2;
  const words = new Int32Array(bytes.buffer, count === 0 ? 0 : bytes.byteOffset + firstWord, count);
  return { bytes, words, firstWord, quoteAt: -1, backslashAt: -1 };
}

export function afterSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte !== SPACE && byte !== LF && byte !== CR && byte !== TAB) return at;
    at++;
  }
}

/** Behind a colon and the space around it. */
export function afterColon(bytes: Uint8Array, begin: number): number {
  const colon = afterSpace(bytes, begin);
  return bytes[colon] === COLON ? afterSpace(bytes, colon + 1) : FAULT;
}

/** Behind a key, its colon and the space around it. */
function afterKey(text: Text, at: number): number {
  const end = text.bytes[at] === QUOTE ? endOfString(text, at + 1) : FAULT;
  return end < 0 ? FAULT : afterColon(text.bytes, end);
}

/** Of any value, however deep: what is open is kept in a list, not on the stack. */
export function endOfValue(text: Text, begin: number): number {
  const { bytes } = text;
  /** The closing brackets that are due. */
  const due: number[] = [];
  let at = begin;
  for (;;) {
    const first = bytes[at];
    if (first === OPEN_OBJECT || first === OPEN_LIST) {
      const close = first + 2;
      at = afterSpace(bytes, at + 1);
      if (bytes[at] !== close) {
        due.push(close);
        if (close === CLOSE_OBJECT) at = afterKey(text, at);
        if (at < 0) return FAULT;
        continue;
      }
      at++;
    } else {
      at = first === QUOTE ? endOfString(text, at + 1) : endOfScalar(bytes, at);
      if (at < 0) return FAULT;
    }
    for (;;) {
      const close = due.at(-1);
      if (close === undefined) return at;
      at = afterSpace(bytes, at);
      if (bytes[at] === COMMA) {
        at = afterSpace(bytes, at + 1);
        if (close === CLOSE_OBJECT) at = afterKey(text, at);
        if (at < 0) return FAULT;
        break;
      }
      if (bytes[at] !== close) return FAULT;
      due.pop();
      at++;
    }
  }
}

/** `begin` is behind the opening quote. */
export function endOfString(text: Text, begin: number): number {
  const { bytes } = text;
  let at = begin;
  for (;;) {
    if (((at - text.firstWord) & 3) === 0) at = afterPlainWords(text, at);
    const byte = bytes[at];
    if (byte === undefined || byte < SPACE) return FAULT;
    at++;
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) at = afterEscape(bytes, at);
    if (at < 0) return FAULT;
  }
}

function afterPlainWords(text: Text, begin: number): number {
  const { bytes, words, firstWord } = text;
  const first = (begin - firstWord) >> 2;
  const most = bytes.length > LARGE_BODY ? Math.min(first + LONG_RUN / 4, words.length) : words.length;
  let word = first;
  while (word < most && isPlain(words[word] ?? 0)) word++;
  const at = firstWord + word * 4;
  return word < most || most === words.length ? at : endOfRun(text, at);
}

/** The next quote or backslash. What was found once is not searched for again: no text takes more than one pass for each. */
function endOfRun(text: Text, at: number): number {
  const { bytes } = text;
  if (text.quoteAt < at) text.quoteAt = indexOf(bytes, QUOTE, at);
  if (text.backslashAt < at) text.backslashAt = indexOf(bytes, BACKSLASH, at);
  return Math.min(text.quoteAt, text.backslashAt);
}

function indexOf(bytes: Uint8Array, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from);
  return at < 0 ? bytes.length : at;
}

/**
 * Whether none of the four bytes ends, escapes or breaks a string. `(w - 0x01…·n) & ~w & 0x80…` is not 0 where a byte is
 * less than n; with its second bit turned round a quote is 0x20, and control characters stay below it.
 */
function isPlain(word: number): boolean {
  const turned = word ^ 0x02020202;
  const slashes = word ^ 0x5c5c5c5c;
  return ((((turned - 0x21212121) & ~turned) | ((slashes - 0x01010101) & ~slashes)) & 0x80808080) === 0;
}

const ESCAPES = new Set([...'"\\/bfnrt'].map((letter) => letter.charCodeAt(0)));

/** `at` is behind the backslash. */
function afterEscape(bytes: Uint8Array, at: number): number {
  const letter = bytes[at] ?? 0;
  if (letter !== SMALL_U) return ESCAPES.has(letter) ? at + 1 : FAULT;
  for (let digit = at + 1; digit <= at + 4; digit++) if (!isHex(bytes[digit] ?? 0)) return FAULT;
  return at + 5;
}

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= ZERO + 9;
const isHex = (byte: number): boolean => isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);

const WORDS = ["true", "false", "null"].map((word) => new TextEncoder().encode(word));

function endOfScalar(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first === MINUS || isDigit(first)) return endOfNumber(bytes, at);
  const word = WORDS.find((word) => word.every((byte, n) => bytes[at + n] === byte));
  return word ? at + word.length : FAULT;
}

function endOfNumber(bytes: Uint8Array, begin: number): number {
  const whole = bytes[begin] === MINUS ? begin + 1 : begin;
  let at = bytes[whole] === ZERO ? whole + 1 : afterDigits(bytes, whole);
  if (bytes[at] === DOT) at = afterDigits(bytes, at + 1);
  if (at < 0 || ((bytes[at] ?? 0) | 0x20) !== SMALL_E) return at;
  const sign = bytes[at + 1];
  return afterDigits(bytes, sign === PLUS || sign === MINUS ? at + 2 : at + 1);
}

/** One digit at least. */
function afterDigits(bytes: Uint8Array, begin: number): number {
  let at = begin;
  while (isDigit(bytes[at] ?? 0)) at++;
  return at > begin ? at : FAULT;
}
