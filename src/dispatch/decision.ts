// What is known of one request for the log and the metrics, and the one line about it, written when its status is known.
import type { ModelRoute } from "../http/routes.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Label } from "../slots/known.ts";

export interface DecisionDeps {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/** Filled in as the request goes its way. */
export interface Decision {
  readonly route: ModelRoute;
  readonly requestId: string;
  /** Empty until one is found. */
  upstream: string;
  /** What was asked for, where nothing has that name. */
  model: string | undefined;
  target: string | undefined;
  label: Label | null;
  wantsStream: boolean;
  /** Writes `dispatch.decision` and counts the request. Called once. */
  readonly write: (status: number) => void;
}

export function openDecision(route: ModelRoute, requestId: string, { log, metrics, now }: DecisionDeps): Decision {
  const startedMs = now();
  const decision: Decision = {
    route,
    requestId,
    upstream: "",
    model: undefined,
    target: undefined,
    label: null,
    wantsStream: false,
    write: (status) => {
      const { upstream, model, target, wantsStream, label } = decision;
      const tookMs = now() - startedMs;
      metrics.requestEnded(upstream, route.path, status);
      if (status < 400) metrics.firstByte(upstream, tookMs / 1000);
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
  };
  return decision;
}
