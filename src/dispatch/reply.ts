// Makes the client's response of an upstream's reply: its headers, and the body whole or as a relay that ends with the request.
import { errorEvent } from "../http/errors.ts";
import { responseHeaders } from "../http/headers.ts";
import type { Reply } from "./attempt.ts";
import type { Sent } from "./call.ts";
import type { Decision, DecisionDeps } from "./decision.ts";
import { interrupted } from "./failures.ts";
import { relay, type RelayEnd } from "./relay.ts";

/** `sent.end` is called when the body is over, also where the client left before it read anything. */
export function replyResponse(
  outcome: Reply,
  sent: Sent,
  decision: Decision,
  client: AbortSignal,
  deps: DecisionDeps,
): Response {
  const headers = responseHeaders(outcome.headers);
  headers.set("x-request-id", decision.requestId);
  nameUpstream(headers, decision);
  const { status } = outcome;
  if ("body" in outcome) return new Response(outcome.body as Uint8Array<ArrayBuffer>, { status, headers });
  if (decision.wantsStream) forStream(headers);
  // A client that leaves before it has read anything may never cancel the body.
  client.addEventListener("abort", () => sent.end(null), { once: true });
  const { upstream, route } = decision;
  const body = relay({
    ...outcome,
    interruption: () => new TextEncoder().encode(errorEvent(interrupted(upstream), route.dialect)),
    onEnd: (end) => endStream(end, sent, decision, deps),
  });
  return new Response(body, { status, headers });
}

function forStream(headers: Headers): void {
  if (!headers.has("x-accel-buffering")) headers.set("x-accel-buffering", "no");
  if (!headers.has("cache-control")) headers.set("cache-control", "no-cache");
}

function endStream(end: RelayEnd, sent: Sent, { requestId, upstream }: Decision, { log, metrics }: DecisionDeps): void {
  if (end.kind !== "lost" && end.kind !== "timeout") return sent.end(null);
  const cause = end.kind === "lost" ? end.cause : end.kind;
  metrics.streamInterrupted(upstream);
  log.error("dispatch.stream_interrupted", { request_id: requestId, upstream, target: sent.target, cause });
  sent.end(end.kind === "lost" ? end.cause : "truncated");
}

/** Says in the headers who was asked, and what was repaired. */
export function nameUpstream(headers: Headers, { upstream, label }: Decision): void {
  // A model's name may have characters that no header can carry.
  if (upstream !== "") headers.set("x-hal0-upstream", upstream.replace(/[^\x20-\x7e]/g, "?"));
  if (label !== null) headers.set("x-hal0-repair", label);
}
