// Where whole server-sent events, or whole lines of JSON, end in a run of bytes. Pure; nothing is decoded.

/** What a streamed reply consists of. Into `none` nothing can be added. */
export type Framing = "sse" | "lines" | "none";

/** An event longer than this is not waited for: it passes as it comes. */
export const MOST_EVENT_BYTES = 1024 * 1024;

/** How many of the bytes are whole events or lines; those behind a `Framing` of `none` always are. */
export function endOfWhole(framing: Framing, bytes: Uint8Array, known = 0): number {
  switch (framing) {
    case "sse":
      return endOfEvents(bytes, known);
    case "lines":
      return bytes.lastIndexOf(LF) + 1;
    case "none":
      return bytes.length;
  }
}

/**
 * How many of the bytes are whole SSE events: up to and with the last blank line. Line ends are \n, \r\n or \r.
 * The first `known` bytes are known to hold no blank line.
 */
export function endOfEvents(bytes: Uint8Array, known = 0): number {
  for (let end = bytes.length; end > Math.max(1, known); end--) {
    const last = bytes[end - 1];
    const before = bytes[end - 2];
    if (last === LF && (before === LF || (before === CR && bytes[end - 3] === LF))) return end;
    if (last === CR && before === CR) return end;
  }
  return 0;
}

/** True when whole events hold nothing but comments and blank lines. */
export function isComments(events: Uint8Array): boolean {
  let isStart = true;
  for (const byte of events) {
    const isLineEnd = byte === LF || byte === CR;
    if (isStart && !isLineEnd && byte !== COLON) return false;
    isStart = isLineEnd;
  }
  return true;
}

const LF = 10;
const CR = 13;
const COLON = 58;

export function joined<T extends Uint8Array>(chunks: readonly T[]): T | Uint8Array<ArrayBuffer> {
  const [only] = chunks;
  if (chunks.length === 1 && only) return only;
  const whole = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
