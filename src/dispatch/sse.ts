// Where whole server-sent events end in a run of bytes. Pure; nothing is decoded.

/** An event longer than this is not waited for: it passes as it comes. */
export const MOST_EVENT_BYTES = 1024 * 1024;

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

export function joined(chunks: readonly Uint8Array[]): Uint8Array {
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
