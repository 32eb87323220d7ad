// The last requests as `GET /api/requests` shows them. Holds no prompt, no answer and no key.
import * as v from "valibot";
import type { Label } from "../slots/known.ts";
import type { Saved } from "./totals.ts";
import type { BodyEnds, Tokens } from "./usage.ts";

/** A label that another version wrote is shown as it is. */
const OutcomeLabel = v.custom<Label>((value) => typeof value === "string");

/** One request that has ended; null is not known. Also how it is kept in the records' file. */
export const RequestRecord = v.object({
  /** When it ended, ISO 8601. */
  at: v.string(),
  request_id: v.string(),
  route: v.string(),
  /** As the client wrote it. */
  model: v.nullable(v.string()),
  /** The slot or remote that answered or failed; null where none was found. */
  upstream: v.nullable(v.string()),
  stream: v.boolean(),
  /** 499: the client left. 502 and 504 also of a stream that broke off after its first byte. */
  status: v.number(),
  repair: v.nullable(OutcomeLabel),
  /** Held for a repair, a load or a turn before the attempt that answered. */
  waited_ms: v.nullable(v.number()),
  /** From its arrival to the first byte for the client. */
  first_byte_ms: v.nullable(v.number()),
  took_ms: v.number(),
  prompt_tokens: v.nullable(v.number()),
  completion_tokens: v.nullable(v.number()),
  tokens_per_second: v.nullable(v.number()),
  /** The slot that was asked, where another upstream answered. */
  fallback: v.nullable(v.string()),
  /** The rest of the stream came from a new child. */
  continued: v.boolean(),
});
export type RequestRecord = Readonly<v.InferOutput<typeof RequestRecord>>;

/** What dispatch knows of a request when it has ended; durations in ms. */
export interface EndedRequest {
  /** As `Date.now()` gives it. */
  readonly atMs: number;
  readonly requestId: string;
  readonly route: string;
  readonly model: string | null;
  /** "" where none was found. */
  readonly upstream: string;
  readonly isSlot: boolean;
  readonly isStream: boolean;
  readonly status: number;
  readonly label: Label | null;
  readonly waitedMs: number | null;
  readonly firstByteMs: number | null;
  readonly tookMs: number;
  /** Of the reply; null once its tokens are read. Few objects are kept of a request: all that live are marked again and again. */
  ends: BodyEnds | null;
  tokens: Tokens;
  readonly fallback: string | null;
  readonly isContinued: boolean;
}

/** Most that is kept of a text from a client or lemond, which may have any length. */
const MOST_NAME_CHARS = 200;

export function recordOf(ended: EndedRequest): RequestRecord {
  const { upstream, tokens } = ended;
  return {
    at: new Date(ended.atMs).toISOString(),
    request_id: ended.requestId,
    route: ended.route,
    model: ended.model?.slice(0, MOST_NAME_CHARS) ?? null,
    upstream: upstream === "" ? null : upstream.slice(0, MOST_NAME_CHARS),
    stream: ended.isStream,
    status: ended.status,
    repair: ended.label,
    waited_ms: rounded(ended.waitedMs, 1),
    first_byte_ms: rounded(ended.firstByteMs, 1),
    took_ms: Math.round(ended.tookMs),
    prompt_tokens: tokens.prompt,
    completion_tokens: tokens.completion,
    tokens_per_second: rounded(tokensPerSecond(ended), 10),
    fallback: ended.fallback,
    continued: ended.isContinued,
  };
}

/** As the upstream measured it, else from the first byte of a stream to its end. */
export function tokensPerSecond({ isStream, firstByteMs, tookMs, tokens }: EndedRequest): number | null {
  if (tokens.perSecond !== null) return tokens.perSecond;
  if (!isStream || tokens.completion === null || tokens.completion < 2 || firstByteMs === null) return null;
  const ms = tookMs - firstByteMs;
  return ms > 0 ? (tokens.completion / ms) * 1000 : null;
}

/** Null where the request failed, or had lost nothing. */
export function savedOf({
  status,
  label,
  fallback,
  isContinued,
}: Pick<EndedRequest, "status" | "label" | "fallback" | "isContinued">): Saved | null {
  if (status >= 400) return null;
  if (isContinued) return "continued";
  if (fallback !== null) return "fell_back";
  return label === "recovered" || label === "retargeted" || label === "alive" ? "recovered" : null;
}

/** To a whole number of 1/`parts`. */
function rounded(value: number | null, parts: number): number | null {
  return value === null ? null : Math.round(value * parts) / parts;
}
