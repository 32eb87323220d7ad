// What of a model's words is thought and what is answer, and what is held back because a stop sequence may have begun. Pure.

export interface Piece {
  readonly kind: "content" | "reasoning";
  readonly text: string;
}

export interface Parser {
  /** The next text of the model; tags and the space around them are nobody's. */
  feed(text: string): readonly Piece[];
}

/** A newline at the end of a thought belongs to it, as with Qwen3: llama.cpp reads all up to `</think>`. */
export function createParser(splitsThoughts: boolean): Parser {
  let place: "before" | "opened" | "thought" | "closed" | "content" = splitsThoughts ? "before" : "content";
  return {
    feed(text) {
      if (text === "") return [];
      if (place === "before" && text === "<think>") {
        place = "opened";
        return [];
      }
      if ((place === "opened" || place === "thought") && text === "</think>") {
        place = "closed";
        return [];
      }
      if ((place === "opened" || place === "closed") && text.trim() === "") return [];
      if (place === "opened") place = "thought";
      if (place === "closed" || place === "before") place = "content";
      return [{ kind: place === "thought" ? "reasoning" : "content", text }];
    },
  };
}

export interface Stops {
  pass(pieces: readonly Piece[]): readonly Piece[];
  /** What was held back and turned out to be no stop. */
  rest(): readonly Piece[];
  readonly isHolding: boolean;
  readonly isFound: boolean;
}

export function createStops(stops: readonly string[]): Stops {
  let held: Piece | undefined;
  let isFound = false;
  const passOne = (piece: Piece): readonly Piece[] => {
    const before = held !== undefined && held.kind !== piece.kind ? [held] : [];
    const text = (held?.kind === piece.kind ? held.text : "") + piece.text;
    held = undefined;
    const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    isFound = found.length > 0;
    const end = isFound ? Math.min(...found) : text.length - begunStop(text, stops);
    if (!isFound && end < text.length) held = { kind: piece.kind, text: text.slice(end) };
    return end === 0 ? before : [...before, { kind: piece.kind, text: text.slice(0, end) }];
  };
  return {
    pass: (pieces) => (isFound ? [] : pieces.flatMap(passOne)),
    rest() {
      const left = held === undefined || isFound ? [] : [held];
      held = undefined;
      return left;
    },
    get isHolding() {
      return held !== undefined;
    },
    get isFound() {
      return isFound;
    },
  };
}

/** How many characters at the end of the text may be the beginning of a stop sequence. */
function begunStop(text: string, stops: readonly string[]): number {
  const longest = Math.max(0, ...stops.map((stop) => stop.length - 1));
  for (let length = Math.min(longest, text.length); length > 0; length -= 1)
    if (stops.some((stop) => stop.startsWith(text.slice(-length)))) return length;
  return 0;
}
