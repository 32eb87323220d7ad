// Makes the client's response: of a reply, with its headers and its body whole or as a relay; or of a stream that began with
// a heartbeat, before anybody knew what the reply would be.
import { type Entry, keep, leave } from "../http/accepted.ts";
import { errorEvent } from "../http/errors.ts";
import { responseHeaders } from "../http/headers.ts";
import { see } from "../observe/usage.ts";
import type { Ended, Reply } from "./attempt.ts";
import type { Sent } from "./call.ts";
import { type Continuation, endContinuation, type Rest, resume, seenBy } from "./continuation.ts";
import { type Decision, endDecision } from "./decision.ts";
import { drop } from "./drop.ts";
import { interrupted } from "./failures.ts";
import { type Next, type Pending, relay, type RelayEnd } from "./relay.ts";
import { formOf, type Result } from "./result.ts";
import type { Framing } from "./sse.ts";
import { stepOf, type Wait } from "./wait.ts";

type Answer = Extract<Result, { kind: "reply" }>;
type Whole = Extract<Reply, { body: Uint8Array }>;
type Begun = Exclude<Reply, Whole>;

export interface Streamed {
  readonly decision: Decision;
  readonly entry: Entry;
  readonly client: AbortSignal;
}

interface Streaming extends Streamed {
  /** The attempt whose bytes the client gets now, and what goes on with them. */
  current: Sent | null;
  continuation: Continuation | undefined;
}

const encoder = new TextEncoder();

/** The upstream's reply under its own status. `sent.end` is called when the body is over. */
export function streamOfReply(
  { decision, entry, client }: Streamed,
  reply: Begun,
  { sent, continuation }: Pick<Answer, "sent" | "continuation">,
): Response {
  const headers = responseHeaders(reply.headers);
  name(headers, decision);
  if (decision.wantsStream) forStream(headers);
  const streaming: Streaming = { decision, entry, client, current: sent, continuation };
  return new Response(bodyOf(streaming, reply, reply.framing), { status: reply.status, headers });
}

/** A stream that has begun with `first`: heartbeats until there is a result, then its events, or the event that says why not. */
export function streamOfWait(
  { decision, entry, client }: Streamed,
  first: Uint8Array,
  wait: Wait<Result>,
  result: Promise<Result>,
): Response {
  const headers = new Headers({ "content-type": "text/event-stream" });
  // Nobody knows yet who will answer: the slot that was asked is named, also while its fallbacks are.
  const { requestId, upstream, fallback } = decision;
  name(headers, { requestId, upstream: fallback ?? upstream, label: null, fallback: null });
  forStream(headers);
  // The reply may come just when its client goes: it is dropped then.
  const leave = (): void => void result.then((late) => late.kind === "reply" && drop(late.reply, late.sent));
  const streaming: Streaming = { decision, entry, client, current: null, continuation: undefined };
  const start = pendingOf(wait, (value) => nextOf(streaming, value), leave, first);
  return new Response(bodyOf(streaming, start, "sse"), { headers });
}

/** The request stays counted until the last byte, or until the client has left: a client that has read nothing may never cancel the body. */
function bodyOf(streaming: Streaming, start: Begun | Pending, framing: Framing): ReadableStream<Uint8Array> {
  const { decision, entry, client } = streaming;
  const leave = (): void => leaveStream(streaming);
  keep(entry);
  if (client.aborted) leave();
  else client.addEventListener("abort", leave, { once: true });
  return relay({
    start,
    framing,
    interruption: (how) => interruption(decision, how),
    seen: (bytes) => {
      see(decision.ends, bytes);
      if (streaming.continuation) seenBy(streaming.continuation, bytes);
    },
    resume: (lost) => resumed(streaming, lost),
    onEnd: (end) => {
      endDecision(decision, end.kind);
      if (streaming.current) endStream(end, streaming.current, decision);
      leave();
    },
  });
}

function leaveStream({ decision, entry, current, continuation }: Streaming): void {
  current?.end(null);
  endDecision(decision, "client-gone");
  if (continuation) endContinuation(continuation);
  leave(entry);
}

const interruption = ({ upstream, route }: Decision, how: Ended): Uint8Array =>
  encoder.encode(errorEvent(interrupted(upstream, how), route.dialect));

/** The rest of a stream that was cut, once it is there. */
function resumed(streaming: Streaming, lost: Ended): Pending | null {
  const resumption = streaming.continuation ? resume(streaming.continuation, lost) : null;
  if (!resumption) return null;
  const { wait, rest } = resumption;
  const leave = (): void => void rest.then((late) => late && "sent" in late && drop(late.begun, late.sent));
  return pendingOf(wait, (rest) => nextOfRest(streaming, lost, rest), leave);
}

function nextOfRest(streaming: Streaming, lost: Ended, rest: Rest | null): Next {
  const { decision } = streaming;
  if (rest === null) return { last: interruption(decision, lost), end: lost };
  if ("last" in rest) {
    see(decision.ends, rest.last);
    return { last: rest.last, end: { kind: "complete" } };
  }
  // For a client that has gone, the wait has dropped the reply already.
  streaming.current = rest.sent;
  return rest.begun;
}

/** What a stream that has begun goes on with. */
function nextOf(streaming: Streaming, result: Result): Next {
  const { decision, client } = streaming;
  const form = formOf(result, true, decision.upstream, decision.route.dialect);
  if (form.as === "events" && result.kind === "reply" && "source" in result.reply && !client.aborted) {
    streaming.current = result.sent;
    streaming.continuation = result.continuation;
    return result.reply;
  }
  if (result.kind === "reply") drop(result.reply, result.sent);
  return { last: encoder.encode(form.as === "last-event" ? form.text : ""), end: { kind: "complete" } };
}

/** A reply that is there as a whole. */
export function wholeReply({ status, headers: replyHeaders, body }: Whole, decision: Decision): Response {
  const headers = responseHeaders(replyHeaders);
  name(headers, decision);
  see(decision.ends, body);
  endDecision(decision, "complete");
  return new Response(body as Uint8Array<ArrayBuffer>, { status, headers });
}

/** `first` is what has been taken from the wait already. */
function pendingOf<T>(wait: Wait<T>, nextOf: (value: T) => Next, leave: () => void, first?: Uint8Array): Pending {
  let bytes = first;
  return {
    leave,
    step: async () => {
      const begin = bytes;
      bytes = undefined;
      if (begin) return { bytes: begin };
      const step = await stepOf(wait);
      return "value" in step ? { value: nextOf(step.value) } : step;
    },
  };
}

function endStream(end: RelayEnd, sent: Sent, decision: Decision): void {
  if (end.kind !== "lost" && end.kind !== "timeout") return sent.end(null);
  const cause = end.kind === "lost" ? end.cause : end.kind;
  const { requestId, upstream, notContinued } = decision;
  const { log, metrics } = decision.deps;
  metrics.streamInterrupted(upstream);
  log.error("dispatch.stream_interrupted", {
    request_id: requestId,
    upstream,
    target: sent.target,
    cause,
    not_continued: notContinued,
  });
  sent.end(end.kind === "lost" ? end.cause : "truncated");
}

function forStream(headers: Headers): void {
  if (!headers.has("x-accel-buffering")) headers.set("x-accel-buffering", "no");
  if (!headers.has("cache-control")) headers.set("cache-control", "no-cache");
}

type Named = Pick<Decision, "requestId" | "upstream" | "label" | "fallback">;

/** Says in the headers which request it was, who was asked, and what was repaired. */
export function name(headers: Headers, { requestId, upstream, label, fallback }: Named): void {
  headers.set("x-request-id", requestId);
  if (upstream !== "") headers.set("x-hal0-upstream", inHeader(upstream));
  if (label !== null) headers.set("x-hal0-repair", label);
  if (fallback !== null) headers.set("x-hal0-fallback", inHeader(fallback));
}

/** A model's name may have characters that no header can carry. */
const inHeader = (name: string): string => name.replace(UNFIT_FOR_HEADER, "?");
const UNFIT_FOR_HEADER = /[^\x20-\x7e]/g;
