// The story of one request: read it, find its upstream, send it there, give the reply back, say what happened.
import type { Outcome, Reply } from "./attempt.ts";
import { readAsked, readBody } from "../http/body.ts";
import type { Config } from "../config/config.ts";
import { DispatchError, errorEvent, errorResponse } from "../http/errors.ts";
import { requestHeaders, responseHeaders } from "../http/headers.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { relay, type RelayEnd } from "./relay.ts";
import type { Remote } from "./remote.ts";
import { availableNames, type Names, resolve } from "./resolve.ts";
import type { ModelRoute } from "../http/routes.ts";
import type { Call, Sent } from "./call.ts";
import type { Slot } from "../slots/slot.ts";
import type { Slots } from "../slots/slots.ts";

export interface DispatchDeps {
  readonly config: () => Config;
  readonly slots: Slots;
  readonly remotes: () => ReadonlyMap<string, Remote>;
  /** lemond's `model_loaded` of the last health. */
  readonly loadedModel: () => string | null;
  readonly lemondUrl: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: () => number;
}

type Upstream = Slot | Remote;

export type Dispatch = (route: ModelRoute, request: Request, requestId: string) => Promise<Response>;

/** nginx's number for a client that left; nobody is there to read it. */
const CLIENT_GONE = 499;
const NAMES_SHOWN = 100;

/** Never rejects: every end of a request is a Response. */
export function createDispatch(deps: DispatchDeps): Dispatch {
  const { log, metrics, now } = deps;

  const names = (): Names => deps.slots.names(deps.config().upstreams, deps.loadedModel());

  /** Undefined where nothing that is known has that name. */
  const known = (model: string | null): Upstream | undefined => {
    const found = resolve(model, names());
    switch (found.kind) {
      case "slot":
        return deps.slots.get(found.name);
      case "implicit":
        return deps.slots.ofModel(found.model);
      case "remote":
        return deps.remotes().get(found.name);
      case "none":
        return undefined;
    }
  };

  /** Asks lemond, where its models become slots, for one that is not known yet. Throws DispatchError `dispatch.no_route`. */
  const find = async (model: string | null): Promise<Upstream> => {
    if (deps.config().lemonade.autoSlots) {
      const models = await deps.slots.models();
      if (models === null) throw lemondUnknown(deps.lemondUrl);
      const found = known(model);
      if (found) return found;
    }
    const available = availableNames(names());
    const asked =
      model === null || model === ""
        ? "No model was named, and there is no default slot"
        : `No slot or upstream for model ${model.slice(0, 200)}`;
    const there = available.length > 0 ? available.slice(0, NAMES_SHOWN).join(", ") : "nothing";
    throw new DispatchError("dispatch.no_route", `${asked}; available: ${there}.`, {
      model: model?.slice(0, 200) ?? null,
      available: available.slice(0, NAMES_SHOWN),
    });
  };

  return async (route, request, requestId) => {
    const startedMs = now();
    const told = { upstream: "", target: undefined as string | undefined, label: null as string | null };
    const tell = (status: number, wantsStream: boolean): void => {
      const tookMs = now() - startedMs;
      metrics.requestEnded(told.upstream, route.path, status);
      if (status < 400) metrics.firstByte(told.upstream, tookMs / 1000);
      log.info("dispatch.decision", {
        request_id: requestId,
        route: route.path,
        upstream: told.upstream,
        target: told.target,
        stream: wantsStream,
        status,
        repair: told.label ?? undefined,
        took_ms: Math.round(tookMs),
      });
    };
    let wantsStream = false;
    try {
      const body = await readBody(request, deps.config().server.maxBodyBytes);
      const asked = readAsked(body);
      wantsStream = asked.wantsStream;
      const upstream = known(asked.model) ?? (await find(asked.model));
      told.upstream = upstream.name;
      const call: Call = {
        requestId,
        url: (base) => `${base}/${route.path}`,
        method: request.method,
        headers: requestHeaders(request.headers, "config" in upstream ? upstream.config.apiKey : null, wantsStream),
        body,
        wantsStream,
        client: request.signal,
      };
      const sent = await upstream.send(call);
      told.target = sent.target;
      told.label = sent.label;
      return answer(sent);
    } catch (error) {
      if (request.signal.aborted) {
        tell(CLIENT_GONE, wantsStream);
        return new Response(null, { status: CLIENT_GONE });
      }
      return refuse(error);
    }

    function answer(sent: Sent): Response {
      const { outcome } = sent;
      switch (outcome.kind) {
        case "reply": {
          const response = reply(sent, outcome);
          tell(outcome.status, wantsStream);
          return response;
        }
        case "client-gone":
          tell(CLIENT_GONE, wantsStream);
          return new Response(null, { status: CLIENT_GONE });
        case "lost":
        case "timeout": {
          const error = unavailable(told.upstream, sent, outcome, deps.config().server.firstByteTimeoutMs);
          const event = wantsStream ? "dispatch.forward_stream_open_failed" : "dispatch.forward_failed";
          log.error(event, { request_id: requestId, ...error.details });
          return refuse(error);
        }
      }
    }

    function refuse(thrown: unknown): Response {
      if (!(thrown instanceof DispatchError)) {
        const fault = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
        log.error("server.internal", { request_id: requestId, error: fault });
      }
      const error = thrown instanceof DispatchError ? thrown : internalError(requestId);
      tell(error.status, wantsStream);
      const response = errorResponse(error, route.dialect, requestId);
      name(response.headers);
      return response;
    }

    function reply(sent: Sent, outcome: Reply): Response {
      const headers = responseHeaders(outcome.headers);
      headers.set("x-request-id", requestId);
      name(headers);
      if ("body" in outcome)
        return new Response(outcome.body as Uint8Array<ArrayBuffer>, { status: outcome.status, headers });
      if (!headers.has("x-accel-buffering")) headers.set("x-accel-buffering", "no");
      if (!headers.has("cache-control")) headers.set("cache-control", "no-cache");
      const onEnd = (end: RelayEnd): void => {
        const isInterrupted = end.kind === "lost" || end.kind === "timeout";
        if (isInterrupted) {
          metrics.streamInterrupted(told.upstream);
          const cause = end.kind === "lost" ? end.cause : end.kind;
          log.error("dispatch.stream_interrupted", {
            request_id: requestId,
            upstream: told.upstream,
            target: sent.target,
            cause,
          });
        }
        sent.end(end.kind === "lost" ? end.cause : end.kind === "timeout" ? "truncated" : null);
      };
      const { first, source, isSse } = outcome;
      const interruption = (): Uint8Array =>
        new TextEncoder().encode(errorEvent(interruptedError(told.upstream), route.dialect));
      // A client that leaves before it has read anything may never cancel the body.
      request.signal.addEventListener("abort", () => sent.end(null), { once: true });
      return new Response(relay({ first, source, isSse, interruption, onEnd }), { status: outcome.status, headers });
    }

    function name(headers: Headers): void {
      // A model's name may have characters that no header can carry.
      if (told.upstream !== "") headers.set("x-hal0-upstream", told.upstream.replace(/[^\x20-\x7e]/g, "?"));
      if (told.label !== null) headers.set("x-hal0-repair", told.label);
    }
  };
}

function unavailable(upstream: string, sent: Sent, outcome: Outcome, firstByteTimeoutMs: number): DispatchError {
  const { target } = sent;
  if (outcome.kind === "timeout") {
    const timeout_s = firstByteTimeoutMs / 1000;
    return new DispatchError("dispatch.upstream_timeout", `${upstream} sent no first byte within ${timeout_s} s.`, {
      upstream,
      target,
      timeout_s,
    });
  }
  const lost = outcome.kind === "lost" ? outcome : { error: "ConnectError", cause: outcome.kind };
  const { error } = lost;
  const cause = sent.reason === undefined ? lost.cause : `${lost.cause}: ${sent.reason}`;
  return new DispatchError(
    "dispatch.upstream_unavailable",
    `${upstream} could not be reached at ${target}: ${cause}.`,
    { upstream, target, error, cause },
    { ...sent.headers },
  );
}

function lemondUnknown(url: string): DispatchError {
  const details = { upstream: "lemonade", target: url, error: "ConnectError", cause: "no answer" };
  return new DispatchError(
    "dispatch.upstream_unavailable",
    `lemond does not answer at ${url}, so its models are unknown.`,
    details,
    {
      "retry-after": "5",
    },
  );
}

function interruptedError(upstream: string): DispatchError {
  const message = `The stream from ${upstream} broke off: its model was lost. What came before is incomplete.`;
  return new DispatchError("dispatch.stream_interrupted", message, { upstream });
}

export function internalError(requestId: string): DispatchError {
  return new DispatchError("server.internal", `Internal error; the log has it under request id ${requestId}.`, {
    request_id: requestId,
  });
}
