// The simulated vocabulary: text into words, words into tokens. A word is a token, but for what lies outside the Basic
// Multilingual Plane (emoji): two tokens, each half a character, as real vocabularies have them in pieces.

const wordPattern = /\S+ (?:token|thought) \d+ |<\|[^|<>]*\|>|<｜[^｜<>]*｜>|<\/?think>| ?\p{L}+|./gsu;

export const wordsOf = (text: string): readonly string[] => text.match(wordPattern) ?? [];

const isSplit = (word: string): boolean => (word.codePointAt(0) ?? 0) > 0xffff;

/** The bytes of each token. */
export function tokensOf(word: string): readonly Buffer[] {
  const bytes = Buffer.from(word);
  return isSplit(word) ? [bytes.subarray(0, 2), bytes.subarray(2)] : [bytes];
}

export const countTokens = (text: string): number =>
  wordsOf(text).reduce((sum, word) => sum + (isSplit(word) ? 2 : 1), 0);

/** `POST /tokenize`: ids, or with `with_pieces` also what each stands for; half a character is a list of bytes (llama.cpp's server-context.cpp). */
export function tokenize(text: string, withPieces: boolean): readonly unknown[] {
  return wordsOf(text)
    .flatMap(tokensOf)
    .map((bytes) => {
      const id = hash(bytes) % 49_152;
      return withPieces ? { id, piece: textOrBytes(bytes) } : id;
    });
}

function textOrBytes(bytes: Buffer): string | readonly number[] {
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : [...bytes];
}

const offset = 2_166_136_261;

/** FNV-1a; `from` is the hash of what stands before, so that it can be carried along. */
export function hash(bytes: Uint8Array, from = offset): number {
  let state = from;
  for (const byte of bytes) state = Math.imul(state ^ byte, 16_777_619) >>> 0;
  return state;
}
