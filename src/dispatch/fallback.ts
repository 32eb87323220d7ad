// Who answers while a slot cannot: the slot's fallbacks in their order, once each, before the first byte only. A fallback's own
// fallbacks are not followed; where all fail, the error stays that of the slot that was asked.
import type { Fallback } from "../config/config.ts";
import { DispatchError } from "../http/errors.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { actingOn } from "../slots/roster.ts";
import type { Slot } from "../slots/slot.ts";
import type { Call } from "./call.ts";
import type { Decision } from "./decision.ts";
import { isSlot, type Upstream } from "./find.ts";
import type { Result } from "./result.ts";
import { joined } from "./sse.ts";

export interface FallbackDeps {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly upstreamNamed: (name: string) => Upstream | undefined;
  /** Asks one upstream once. Never rejects. */
  readonly ask: (upstream: Upstream, call: Call, decision: Decision) => Promise<Result>;
}

/** How often it is looked whether a request has been held for long enough. */
const LOOK_MS = 100;

/** Another model's vectors and ranks would poison an index. */
const NEVER: readonly string[] = [
  "embeddings",
  "rerank",
  "reranking",
  "reranker",
  "classify",
  "api/embed",
  "api/embeddings",
];

/** Asks the slot and, where it fails, its fallbacks. */
export async function askWithFallbacks(
  slot: Slot,
  call: Call,
  decision: Decision,
  deps: FallbackDeps,
): Promise<Result> {
  const { fallback, fallbackAfterMs } = slot.record.config;
  if (fallback.length === 0 || NEVER.includes(decision.route.path)) return deps.ask(slot, call, decision);
  const first = await (fallbackAfterMs > 0
    ? askFor(slot, call, decision, fallbackAfterMs, deps)
    : deps.ask(slot, call, decision));
  const reason = first.kind === "error" ? reasonOf(first.error, decision.label, slot) : null;
  if (reason === null || call.client.aborted) return first;
  const asked = {
    upstream: decision.upstream,
    isSlot: decision.isSlot,
    target: decision.target,
    label: decision.label,
  };
  for (const { upstream: name, model } of fallback) {
    const upstream = deps.upstreamNamed(name);
    // A remote does not speak Ollama's API: its 404 would be the answer.
    if (!upstream || (!isSlot(upstream) && decision.route.dialect === "ollama")) continue;
    Object.assign(decision, { upstream: name, isSlot: isSlot(upstream), fallback: slot.name, label: null });
    const result = await deps.ask(upstream, callTo(upstream, call, decision, model), decision);
    if (result.kind === "error") continue;
    if (result.kind === "client-gone") return result;
    deps.log.warn("dispatch.fell_back", { request_id: decision.requestId, slot: slot.name, upstream: name, reason });
    deps.metrics.fellBack(slot.name, name, reason);
    return result;
  }
  Object.assign(decision, asked, { fallback: null });
  return first;
}

/** Why a fallback may answer; null where the error is the answer: a gate, too many who wait, a time-out, the end of the server. */
function reasonOf({ code }: DispatchError, label: Decision["label"], slot: Slot): Reason | null {
  if (code === "slot.loading") return slot.record.job?.order ? null : "held too long";
  if (code !== "dispatch.upstream_unavailable") return null;
  return label === "backed_off" ? "backs off" : label === "failed" ? "failed" : "lost";
}

/** A metric's label, never lemond's own words. */
type Reason = "held too long" | "backs off" | "failed" | "lost";

/** A request that is still held after so long leaves the slot; whatever load it waited for goes on for the others. */
async function askFor(slot: Slot, call: Call, decision: Decision, ms: number, deps: FallbackDeps): Promise<Result> {
  const leave = new AbortController();
  const progress = (call.progress ??= { dialledMs: null, onComment: () => {} });
  let heldMs = performance.now();
  // Neither an attempt under way nor an operator's order is a wait that a fallback shortens.
  const timer = setInterval(
    () => {
      if (progress.dialledMs !== null || actingOn(slot.known, slot.record)) heldMs = performance.now();
      else if (performance.now() - heldMs >= ms) leave.abort();
    },
    Math.min(ms, LOOK_MS),
  );
  const result = await deps.ask(slot, { ...call, client: AbortSignal.any([call.client, leave.signal]) }, decision);
  clearInterval(timer);
  if (result.kind !== "client-gone" || call.client.aborted) return result;
  decision.waitedMs = performance.now() - heldMs;
  const { phase } = slot.progress();
  const details = { slot: slot.name, state: slot.record.state, progress: { phase, upstream: slot.name } };
  return {
    kind: "error",
    error: new DispatchError("slot.loading", `Slot ${slot.name} is not ready (${phase}).`, details),
  };
}

/** The call as that upstream wants it: a remote gets its own key, and its own model instead of the client's. */
function callTo(upstream: Upstream, call: Call, { route }: Decision, model: Fallback["model"]): Call {
  if (isSlot(upstream)) return { ...call, model: upstream.name };
  const headers = new Headers(call.headers);
  // Of the body as the slot was sent it.
  headers.delete("content-length");
  const { apiKey } = upstream.config;
  const rewritten = model === null ? null : call.body && call.lemond?.rewrite(call.body, model);
  if (apiKey !== null) headers.set("authorization", `Bearer ${apiKey}`);
  return {
    ...call,
    headers,
    body: rewritten ? joined(rewritten) : call.body,
    path: route.path,
    lemond: null,
  };
}
