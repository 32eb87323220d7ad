// What a stream has said so far, kept beside the relay, so that another child can go on with it. Changes no byte of it.
// 256 KB of memory at most; a stream with anything that could not be gone on with is no longer recorded.

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

/** Written in this file alone. */
export interface Recording {
  readonly kind: Kind;
  unread: Uint8Array[];
  unreadBytes: number;
  reasoning: Uint8Array[];
  content: Uint8Array[];
  textBytes: number;
  events: number;
  first: Pick<Recorded, "id" | "created" | "model"> | null;
  end: Recorded["end"];
  isUsable: boolean;
}

/** Of text: with what is unread and what the runtime adds to either, a stream takes 256 KB (measured with Bun 1.4.5). */
export const MOST_RECORDED_BYTES = 144 * 1024;

/** Up to here events are kept unparsed: most streams end before that, and need no parsing. */
const MOST_UNREAD_BYTES = 32 * 1024;
const LF = 10;
const DATA = "data:";

export function createRecording(kind: Kind): Recording {
  const nothing = { unread: [], reasoning: [], content: [] };
  return { kind, ...nothing, unreadBytes: 0, textBytes: 0, events: 0, first: null, end: "open", isUsable: true };
}

/** Takes whole SSE events that have gone to the client. Keeps the array. */
export function record(recording: Recording, events: Uint8Array): void {
  if (!recording.isUsable) return;
  if (events.at(-1) !== LF) return giveUp(recording); // Half an event has passed.
  recording.unread.push(events);
  recording.unreadBytes += events.length;
  const { unreadBytes, textBytes } = recording;
  if (unreadBytes > MOST_UNREAD_BYTES || unreadBytes + textBytes > MOST_RECORDED_BYTES) readUnread(recording);
}

/** Null if the stream cannot be continued: nothing said yet, or something that text cannot repeat. */
export function recordedIn(recording: Recording): Recorded | null {
  if (recording.isUsable) readUnread(recording);
  const { isUsable, first, textBytes, events, end, reasoning, content } = recording;
  if (!isUsable || !first || (textBytes === 0 && end === "open")) return null;
  return { ...first, events, end, reasoning: textOfAll(reasoning), content: textOfAll(content) };
}

function giveUp(recording: Recording): void {
  recording.isUsable = false;
  recording.unread = [];
  recording.reasoning = [];
  recording.content = [];
}

function readUnread(recording: Recording): void {
  const said: Said = { reasoning: "", content: "" };
  for (const line of Buffer.concat(recording.unread).toString().split("\n")) {
    if (line.startsWith(DATA)) readEvent(recording, line.slice(DATA.length), said);
    else if (line !== "" && !line.startsWith(":")) giveUp(recording);
    if (!recording.isUsable) return;
  }
  recording.unread = [];
  recording.unreadBytes = 0;
  recording.textBytes += keep(said.reasoning, recording.reasoning) + keep(said.content, recording.content);
  if (recording.textBytes > MOST_RECORDED_BYTES) giveUp(recording);
}

/** How many bytes it has. */
function keep(text: string, kept: Uint8Array[]): number {
  if (text === "") return 0;
  const bytes = new TextEncoder().encode(text);
  kept.push(bytes);
  return bytes.length;
}

function readEvent(recording: Recording, data: string, said: Said): void {
  if (recording.end !== "open" && data.trim() === "[DONE]") {
    recording.end = "done";
    return;
  }
  const piece = read(data, recording.kind);
  const hasText = piece !== null && (piece.reasoning !== "" || piece.content !== "");
  if (piece === null || (hasText && recording.end !== "open")) return giveUp(recording);
  // Half a surrogate pair could not be written down.
  if (hasText && !(piece.reasoning.isWellFormed() && piece.content.isWellFormed())) return giveUp(recording);
  // Thinking again after the answer has begun: one message could not hold it in this order.
  if (piece.reasoning !== "" && (recording.content.length > 0 || said.content !== "")) return giveUp(recording);
  recording.first ??= { id: piece.id, created: piece.created, model: piece.model };
  said.reasoning += piece.reasoning;
  said.content += piece.content;
  if (hasText) recording.events++;
  if (piece.isFinished) recording.end = "finished";
  if (piece.isCounted && recording.end === "finished") recording.end = "counted";
}

interface Said {
  reasoning: string;
  content: string;
}

const textOfAll = (kept: readonly Uint8Array[]): string => Buffer.concat(kept).toString();

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
