// One request on its way to an upstream, and what came of it.
import type { LossCause, Outcome } from "./attempt.ts";
import type { Pieces } from "../http/pieces.ts";
import type { Label } from "../slots/known.ts";

/** How a request goes through lemond's own port instead of to the child. */
export interface LemondWay {
  /** The child does not understand the route, or lemond would change the request. */
  readonly isOnlyWay: boolean;
  /** `origin` is lemond's. */
  readonly url: (origin: string) => string;
  /** The client's bytes, with lemond's name for the model instead of theirs. */
  readonly rewrite: (body: Uint8Array<ArrayBuffer>, model: string) => Pieces;
}

/** One request for an upstream. */
export interface Call {
  readonly requestId: string;
  /** As the client named it; empty where it did not. */
  readonly model: string;
  /** Below the upstream's API base; with a slash before it, at its root. */
  readonly path: string;
  readonly method: string;
  readonly headers: Headers;
  /** Null once no attempt can follow (`letGoOfBody`): a body does not live as long as its stream. */
  body: Uint8Array<ArrayBuffer> | null;
  readonly wantsStream: boolean;
  /** Null if it must not go through lemond. */
  readonly lemond: LemondWay | null;
  /** A plain reply of up to so many bytes is read whole before any of it is passed on. */
  readonly maxReplyBytes: number;
  readonly client: AbortSignal;
  /** Of a stream of a slot; written by the attempts, read by the heartbeat. */
  progress?: CallProgress;
  /** The rest of a stream that was cut: goes before those who wait for the same child. */
  readonly isContinuation?: boolean;
}

/** A call as one attempt sends it; its body may be in pieces. */
export type Sending = Omit<Call, "body"> & { readonly body: Uint8Array<ArrayBuffer> | Pieces | null };

export interface CallProgress {
  /** When the attempt under way was sent; null while the call is held. */
  dialledMs: number | null;
  /** Comments that came before the first event: they are passed on, and the attempt may still be repeated. */
  readonly onComment: (bytes: Uint8Array) => void;
}

/** How a call ended, and the headers that its error carries. A streamed body calls `end` when it is over, with the cause if it was cut. */
export interface Sent {
  readonly outcome: Outcome;
  readonly label: Label | null;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What lemond said, where nothing could be dialled. */
  readonly reason?: string | undefined;
  /** The reply comes from a slot's child itself, not through lemond. */
  readonly isDirect?: boolean;
  /** How long it was held for the slot. */
  readonly waitedMs?: number;
  readonly end: (interruption: LossCause | null) => void;
}

/** The URL of a call at an upstream with that API base. llama-server has its own routes at its root, where the base ends in /v1. */
export function targetOf(base: string, path: string): string {
  return path.startsWith("/") ? base.replace(/\/v1$/, "") + path : `${base}/${path}`;
}
