// What is known of one request for the log, the metrics and its record: the one line about it, written when its status is
// known, and the record, written when it has ended.
import type { ModelRoute } from "../http/routes.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Records } from "../observe/records.ts";
import { createTokenReader, type TokenReader } from "../observe/usage.ts";
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
  readonly route: ModelRoute;
  readonly requestId: string;
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
  /** Sees the body that goes to the client. */
  readonly tokens: TokenReader;
  /** Its stream was cut and went on with another child. */
  isContinued: boolean;
  /** The slot that was asked, if one of its fallbacks answers. */
  fallback: string | null;
  /** Why its cut stream did not go on. */
  notContinued: string | undefined;
  /** Writes `dispatch.decision` and counts the request. Called once. */
  readonly write: (status: number) => void;
  /** Writes the request's record, once: a client may leave while its stream ends. `complete` has the status that was written. */
  readonly end: (how: RelayEnd["kind"]) => void;
}

export function openDecision(route: ModelRoute, requestId: string, deps: DecisionDeps): Decision {
  const { log, metrics, records, now } = deps;
  const startedMs = now();
  let writtenStatus: number = CLIENT_GONE;
  let firstByteMs: number | null = null;
  let hasEnded = false;
  const decision: Decision = {
    route,
    requestId,
    asked: null,
    upstream: "",
    model: undefined,
    isSlot: false,
    target: undefined,
    label: null,
    wantsStream: false,
    waitedMs: null,
    tokens: createTokenReader(),
    isContinued: false,
    fallback: null,
    notContinued: undefined,
    write: (status) => {
      const { upstream, model, target, wantsStream, label } = decision;
      const tookMs = now() - startedMs;
      writtenStatus = status;
      metrics.requestEnded(upstream, route.path, status);
      if (status < 400) {
        firstByteMs = tookMs;
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
    },
    end: (how) => {
      if (hasEnded) return;
      hasEnded = true;
      const { asked, upstream, isSlot, wantsStream, label, waitedMs, tokens, isContinued, fallback } = decision;
      records.requestEnded({
        atMs: Date.now(),
        requestId,
        route: route.path,
        model: asked,
        upstream,
        isSlot,
        isStream: wantsStream,
        status: how === "complete" ? writtenStatus : STATUS_OF_BROKEN[how],
        label,
        waitedMs,
        firstByteMs,
        tookMs: now() - startedMs,
        tokens,
        fallback,
        isContinued,
      });
    },
  };
  return decision;
}
