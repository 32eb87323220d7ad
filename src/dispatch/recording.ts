// What a stream has said so far, read beside the relay, so that another child can go on with it. Changes no byte of it.
// About 1 µs an event and 256 KB at most; a stream with anything that could not be gone on with is no longer recorded.

import { isRecord, parsed } from "./json.ts";

export type Kind = "chat" | "completion";

export interface Recorded {
  readonly reasoning: string;
  readonly content: string;
  /** Events that carried text: the least number of tokens. */
  readonly events: number;
  /** How far its end has come: not at all, with its reason, with its usage too, or with [DONE]. */
  readonly end: "open" | "finished" | "counted" | "done";
  readonly id: unknown;
  readonly created: unknown;
  readonly model: unknown;
}

export interface Recording {
  /** Whole SSE events that have gone to the client. */
  seen(events: Uint8Array): void;
  /** Null where the stream cannot be gone on with: nothing said yet, or something that text cannot repeat. */
  result(): Recorded | null;
}

export const MOST_RECORDED_BYTES = 256 * 1024;

const FIRST_BYTES = 4096;
const LF = 10;
const DATA = "data:";

export function createRecording(kind: Kind): Recording {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  /** The reasoning, then the content. */
  let text: Uint8Array = new Uint8Array(FIRST_BYTES);
  let bytes = 0;
  let reasoningBytes = 0;
  let events = 0;
  let first: { id: unknown; created: unknown; model: unknown } | null = null;
  let end: Recorded["end"] = "open";
  let isUsable = true;

  const giveUp = (): void => {
    isUsable = false;
    text = new Uint8Array();
  };

  const add = (piece: string): void => {
    // Half a surrogate pair could not be written down.
    if (!piece.isWellFormed()) return giveUp();
    const most = bytes + piece.length * 3;
    if (most > text.length && text.length < MOST_RECORDED_BYTES) {
      const larger = new Uint8Array(Math.min(MOST_RECORDED_BYTES, Math.max(most, text.length * 2)));
      larger.set(text.subarray(0, bytes));
      text = larger;
    }
    const { read, written } = encoder.encodeInto(piece, text.subarray(bytes));
    if (read < piece.length) return giveUp();
    bytes += written;
  };

  const addReasoning = (piece: string): void => {
    // Thinking again after the answer has begun: one message could not hold it in this order.
    if (bytes > reasoningBytes) return giveUp();
    add(piece);
    reasoningBytes = bytes;
  };

  const event = (data: string): void => {
    if (end !== "open" && data.trim() === "[DONE]") {
      end = "done";
      return;
    }
    const piece = read(data, kind);
    const hasText = piece !== null && (piece.reasoning !== "" || piece.content !== "");
    if (piece === null || (hasText && end !== "open")) return giveUp();
    first ??= { id: piece.id, created: piece.created, model: piece.model };
    if (piece.reasoning !== "") addReasoning(piece.reasoning);
    if (piece.content !== "") add(piece.content);
    if (hasText) events++;
    if (piece.isFinished) end = "finished";
    if (piece.isCounted && end === "finished") end = "counted";
  };

  return {
    seen: (chunk) => {
      let at = 0;
      while (isUsable && at < chunk.length) {
        const lineEnd = chunk.indexOf(LF, at);
        if (lineEnd < 0) return giveUp(); // Half an event has passed.
        const line = decoder.decode(chunk.subarray(at, lineEnd));
        if (line.startsWith(DATA)) event(line.slice(DATA.length));
        else if (line !== "" && !line.startsWith(":")) giveUp();
        at = lineEnd + 1;
      }
    },
    result: () => {
      if (!isUsable || !first || (bytes === 0 && end === "open")) return null;
      return {
        ...first,
        events,
        end,
        reasoning: decoder.decode(text.subarray(0, reasoningBytes)),
        content: decoder.decode(text.subarray(reasoningBytes, bytes)),
      };
    },
  };
}

interface Piece {
  readonly id: unknown;
  readonly created: unknown;
  readonly model: unknown;
  readonly reasoning: string;
  readonly content: string;
  readonly isFinished: boolean;
  readonly isCounted: boolean;
}

/** Null for an event that says more than the next piece of one text, or its end: a tool call, an error, a second choice. */
function read(data: string, kind: Kind): Piece | null {
  const value = parsed(data); // Null for [DONE], too.
  if (!isRecord(value) || value["error"] !== undefined || !Array.isArray(value["choices"])) return null;
  const { id, created, model, usage } = value;
  const [choice, second] = value["choices"];
  const common = { id, created, model, isCounted: isRecord(usage) };
  if (choice === undefined) return { ...common, reasoning: "", content: "", isFinished: false };
  if (second !== undefined || !isRecord(choice) || (choice["index"] ?? 0) !== 0) return null;
  if ((choice["logprobs"] ?? null) !== null) return null;
  const said = kind === "chat" ? saidIn(choice["delta"]) : textOf(choice["text"], "");
  return said && { ...common, ...said, isFinished: (choice["finish_reason"] ?? null) !== null };
}

const CARRIED = new Set(["role", "content", "reasoning_content"]);

function saidIn(delta: unknown): Pick<Piece, "reasoning" | "content"> | null {
  if (!isRecord(delta)) return null;
  for (const name in delta) if (!CARRIED.has(name) && delta[name] !== null) return null;
  return textOf(delta["content"], delta["reasoning_content"]);
}

function textOf(content: unknown, reasoning: unknown): Pick<Piece, "reasoning" | "content"> | null {
  const said = { content: content ?? "", reasoning: reasoning ?? "" };
  return isText(said) ? said : null;
}

const isText = (said: { content: unknown; reasoning: unknown }): said is { content: string; reasoning: string } =>
  typeof said.content === "string" && typeof said.reasoning === "string";
