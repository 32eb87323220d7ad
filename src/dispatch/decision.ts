// What is known of one request for the log, the metrics and its record: the one line about it, written when its status is
// known, and the record, written when it has ended.
import type { ModelRoute } from "../http/routes.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Records } from "../observe/records.ts";
import { type BodyEnds, noBody, UNKNOWN } from "../observe/usage.ts";
import type { Label } from "../slots/known.ts";
import type { RelayEnd } from "./relay.ts";
import { CLIENT_GONE } from "./result.ts";

export interface DecisionDeps {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly records: Records;
  readonly now: () => number;
}

/** The recorded status of a stream whose client was told 200 and then did not get the whole. */
const STATUS_OF_BROKEN = { "client-gone": CLIENT_GONE, lost: 502, timeout: 504 } as const;

/** Filled in as the request goes its way. */
export interface Decision {
  readonly deps: DecisionDeps;
  readonly route: ModelRoute;
  readonly requestId: string;
  readonly startedMs: number;
  /** The model as the client wrote it. */
  asked: string | null;
  /** Empty until an upstream is found. */
  upstream: string;
  /** What was asked for, where nothing has that name. */
  model: string | undefined;
  isSlot: boolean;
  target: string | undefined;
  label: Label | null;
  wantsStream: boolean;
  waitedMs: number | null;
  /** Of the body that goes to the client. */
  readonly ends: BodyEnds;
  /** Its stream was cut and went on with another child. */
  isContinued: boolean;
  /** The slot that was asked, if one of its fallbacks answers. */
  fallback: string | null;
  /** Why its cut stream did not go on. */
  notContinued: string | undefined;
  /** What was written; a client that left before it reads nothing. */
  status: number;
  firstByteMs: number | null;
  hasEnded: boolean;
}

export function openDecision(route: ModelRoute, requestId: string, deps: DecisionDeps): Decision {
  return {
    deps,
    route,
    requestId,
    startedMs: deps.now(),
    asked: null,
    upstream: "",
    model: undefined,
    isSlot: false,
    target: undefined,
    label: null,
    wantsStream: false,
    waitedMs: null,
    ends: noBody(),
    isContinued: false,
    fallback: null,
    notContinued: undefined,
    status: CLIENT_GONE,
    firstByteMs: null,
    hasEnded: false,
  };
}

/** Writes `dispatch.decision` and counts the request. Called once. */
export function writeDecision(decision: Decision, status: number): void {
  const { route, requestId, upstream, model, target, wantsStream, label } = decision;
  const { log, metrics, now } = decision.deps;
  const tookMs = now() - decision.startedMs;
  decision.status = status;
  metrics.requestEnded(upstream, route.path, status);
  if (status < 400) {
    decision.firstByteMs = tookMs;
    metrics.firstByte(upstream, tookMs / 1000);
  }
  log.info("dispatch.decision", {
    request_id: requestId,
    route: route.path,
    upstream,
    model,
    target,
    stream: wantsStream,
    status,
    repair: label ?? undefined,
    took_ms: Math.round(tookMs),
  });
}

/** Writes the request's record, once: a client may leave while its stream ends. `complete` has the status that was written. */
export function endDecision(decision: Decision, how: RelayEnd["kind"]): void {
  if (decision.hasEnded) return;
  decision.hasEnded = true;
  const { requestId, route, asked, upstream, isSlot, label, waitedMs, firstByteMs, ends, fallback } = decision;
  const { records, now } = decision.deps;
  records.requestEnded({
    atMs: Date.now(),
    requestId,
    route: route.path,
    model: asked,
    upstream,
    isSlot,
    isStream: decision.wantsStream,
    status: how === "complete" ? decision.status : STATUS_OF_BROKEN[how],
    label,
    waitedMs,
    firstByteMs,
    tookMs: now() - decision.startedMs,
    ends,
    tokens: UNKNOWN,
    fallback,
    isContinued: decision.isContinued,
  });
}
