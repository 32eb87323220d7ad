// Makes the client's response: of a reply, with its headers and its body whole or as a relay; or of a stream that began with
// a heartbeat, before anybody knew what the reply would be.
import type { Entry } from "../http/accepted.ts";
import { errorEvent } from "../http/errors.ts";
import { responseHeaders } from "../http/headers.ts";
import type { Ended, Reply } from "./attempt.ts";
import type { Sent } from "./call.ts";
import type { Continuation, Rest, Resumption } from "./continuation.ts";
import type { Decision, DecisionDeps } from "./decision.ts";
import { drop } from "./drop.ts";
import { interrupted } from "./failures.ts";
import { type Next, type Pending, ready, relay, type RelayEnd } from "./relay.ts";
import { formOf, type Result } from "./result.ts";
import type { Framing } from "./sse.ts";
import type { Wait } from "./wait.ts";

type Answer = Extract<Result, { kind: "reply" }>;
type Whole = Extract<Reply, { body: Uint8Array }>;
type Begun = Exclude<Reply, Whole>;

export interface Streams {
  /** The upstream's reply under its own status. `sent.end` is called when the body is over. */
  ofReply(answer: Answer & { readonly reply: Begun }): Response;
  /** A stream that has begun with `first`: heartbeats until there is a result, then its events, or the event that says why not. */
  ofWait(first: Uint8Array, wait: Wait<Result>, result: Promise<Result>): Response;
}

export interface Streamed {
  readonly decision: Decision;
  readonly entry: Entry;
  readonly client: AbortSignal;
}

export function createStreams({ decision, entry, client }: Streamed, deps: DecisionDeps): Streams {
  const encoder = new TextEncoder();
  const { route } = decision;
  /** The attempt whose bytes the client gets now, and what goes on with them. */
  let current: Sent | null = null;
  let continuation: Continuation | undefined;

  const interruption = (how: Ended): Uint8Array =>
    encoder.encode(errorEvent(interrupted(decision.upstream, how), route.dialect));

  /** The request stays counted until the last byte, or until the client has left: a client that has read nothing may never cancel the body. */
  const body = (start: Pending, framing: Framing): ReadableStream<Uint8Array> => {
    const leave = (): void => {
      current?.end(null);
      decision.end("client-gone");
      continuation?.end();
      entry.leave();
    };
    entry.keep();
    if (client.aborted) leave();
    else client.addEventListener("abort", leave, { once: true });
    return relay({
      start,
      framing,
      interruption,
      seen: (bytes) => {
        decision.tokens.see(bytes);
        continuation?.seen(bytes);
      },
      resume: (lost) => resumed(lost, continuation?.resume(lost) ?? null),
      onEnd: (end) => {
        decision.end(end.kind);
        if (current) endStream(end, current, decision, deps);
        leave();
      },
    });
  };

  /** The rest of a stream that was cut, once it is there. */
  const resumed = (lost: Ended, resumption: Resumption | null): Pending | null => {
    if (!resumption) return null;
    const { wait, rest } = resumption;
    const nextOf = (rest: Rest | null): Next => {
      if (rest === null) return { last: interruption(lost), end: lost };
      if ("last" in rest) {
        decision.tokens.see(rest.last);
        return { last: rest.last, end: { kind: "complete" } };
      }
      // For a client that has gone, the wait has dropped the reply already.
      current = rest.sent;
      return rest.begun;
    };
    return pendingOf(
      wait,
      nextOf,
      () => void rest.then((late) => late && "sent" in late && drop(late.begun, late.sent)),
    );
  };

  /** What a stream that has begun goes on with. */
  const nextOf = (result: Result): Next => {
    const form = formOf(result, true, decision.upstream, route.dialect);
    if (form.as === "events" && result.kind === "reply" && "source" in result.reply && !client.aborted) {
      current = result.sent;
      continuation = result.continuation;
      return result.reply;
    }
    if (result.kind === "reply") drop(result.reply, result.sent);
    return { last: encoder.encode(form.as === "last-event" ? form.text : ""), end: { kind: "complete" } };
  };

  return {
    ofReply: ({ reply, sent, ...answer }) => {
      const headers = responseHeaders(reply.headers);
      name(headers, decision);
      if (decision.wantsStream) forStream(headers);
      current = sent;
      continuation = answer.continuation;
      return new Response(body(ready(reply), reply.framing), { status: reply.status, headers });
    },
    ofWait: (first, wait, result) => {
      const headers = new Headers({ "content-type": "text/event-stream" });
      // Nobody knows yet who will answer: the slot that was asked is named, also while its fallbacks are.
      const { requestId, upstream, fallback } = decision;
      name(headers, { requestId, upstream: fallback ?? upstream, label: null, fallback: null });
      forStream(headers);
      // The reply may come just when its client goes: it is dropped then.
      const leave = (): void => void result.then((late) => late.kind === "reply" && drop(late.reply, late.sent));
      return new Response(body(pendingOf(wait, nextOf, leave, first), "sse"), { headers });
    },
  };
}

/** A reply that is there as a whole. */
export function wholeReply({ status, headers: replyHeaders, body }: Whole, decision: Decision): Response {
  const headers = responseHeaders(replyHeaders);
  name(headers, decision);
  decision.tokens.see(body);
  decision.end("complete");
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
      const step = await wait.step();
      return "value" in step ? { value: nextOf(step.value) } : step;
    },
  };
}

function endStream(end: RelayEnd, sent: Sent, decision: Decision, { log, metrics }: DecisionDeps): void {
  if (end.kind !== "lost" && end.kind !== "timeout") return sent.end(null);
  const cause = end.kind === "lost" ? end.cause : end.kind;
  const { requestId, upstream, notContinued } = decision;
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
const inHeader = (name: string): string => name.replace(/[^\x20-\x7e]/g, "?");
