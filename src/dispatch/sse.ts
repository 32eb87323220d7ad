// Where whole server-sent events, or whole lines of JSON, end in a run of bytes. Pure; nothing is decoded.

/** What a streamed reply consists of. Nothing can be added to `none`. */
export type Framing = "sse" | "lines" | "none";

/** A longer event is not held until it is whole: it passes as it comes. */
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

/** Cuts a stream of bytes where its events or lines end. Written by `wholeOf` alone. */
export interface Cutter {
  readonly framing: Framing;
  /** What waits. */
  rest: Uint8Array;
  /** The last bytes that passed were not a whole event. */
  isInside: boolean;
}

const NOTHING = new Uint8Array();

export const createCutter = (framing: Framing): Cutter => ({ framing, rest: NOTHING, isInside: false });

/** What is whole with these bytes. Half an event or line waits for its rest, unless it is too long: then it passes as it comes. */
export function wholeOf(cutter: Cutter, bytes: Uint8Array): Uint8Array {
  const { framing, rest } = cutter;
  const all = rest.length > 0 ? joined([rest, bytes]) : bytes;
  const whole = endOfWhole(framing, all, rest.length);
  if (all.length - whole > MOST_EVENT_BYTES) {
    cutter.rest = NOTHING;
    cutter.isInside = true;
    return all;
  }
  if (whole > 0) cutter.isInside = false;
  const isAll = whole === all.length;
  cutter.rest = isAll ? NOTHING : all.subarray(whole);
  return isAll ? all : all.subarray(0, whole);
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
