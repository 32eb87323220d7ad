// The story of one request: read it, find its upstream, send it there, give the reply back, say what happened.
import { type Entry, stopping } from "../http/accepted.ts";
import { readAsked, readBody } from "../http/body.ts";
import { DispatchError, errorResponse } from "../http/errors.ts";
import { requestHeaders } from "../http/headers.ts";
import { MODEL_ROUTES, type ModelRoute } from "../http/routes.ts";
import type { Call, Sent } from "./call.ts";
import { type Decision, type DecisionDeps, openDecision } from "./decision.ts";
import { internalError, unavailable } from "./failures.ts";
import { createFind, type FindDeps, isSlot } from "./find.ts";
import { createLemondWays } from "./lemond-way.ts";
import { nameUpstream, replyResponse } from "./reply.ts";
import { letGoOfBody } from "./upload.ts";

export interface DispatchDeps extends FindDeps, DecisionDeps {
  /** Names this server's process to those it sends requests to. */
  readonly instance: string;
}

export type Dispatch = (route: ModelRoute, request: Request, requestId: string, entry: Entry) => Promise<Response>;

/** nginx's number for a client that left; nobody is there to read it. */
const CLIENT_GONE = 499;

/** Never rejects: every end of a request is a Response. */
export function createDispatch(deps: DispatchDeps): Dispatch {
  const { config, log, instance } = deps;
  const find = createFind(deps);
  const lemondWay = createLemondWays(MODEL_ROUTES);

  const gone = (decision: Decision): Response => {
    decision.write(CLIENT_GONE);
    return new Response(null, { status: CLIENT_GONE });
  };

  const refuse = (thrown: unknown, decision: Decision): Response => {
    const { requestId, route } = decision;
    if (!(thrown instanceof DispatchError)) {
      const fault = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
      log.error("server.internal", { request_id: requestId, error: fault });
    }
    const error = thrown instanceof DispatchError ? thrown : internalError(requestId);
    if (error.code === "dispatch.no_route") decision.model = String(error.details["model"] ?? "");
    decision.write(error.status);
    const response = errorResponse(error, route.dialect, requestId);
    nameUpstream(response.headers, decision);
    return response;
  };

  const answer = (sent: Sent, decision: Decision, client: AbortSignal, entry: Entry): Response => {
    const { outcome } = sent;
    decision.target = sent.target;
    decision.label = sent.label;
    switch (outcome.kind) {
      case "reply": {
        const whole = "source" in outcome ? countedToItsEnd(sent, entry) : sent;
        const response = replyResponse(outcome, whole, decision, client, deps);
        decision.write(outcome.status);
        return response;
      }
      case "client-gone":
        return gone(decision);
      case "lost":
      case "timeout": {
        if (outcome.kind === "lost" && outcome.cause === "stopping") return refuse(stopping(), decision);
        const { firstByteTimeoutMs } = config().server;
        const error = unavailable(decision.upstream, sent, outcome, firstByteTimeoutMs);
        const event = decision.wantsStream ? "dispatch.forward_stream_open_failed" : "dispatch.forward_failed";
        log.error(event, { request_id: decision.requestId, ...error.details });
        return refuse(error, decision);
      }
    }
  };

  return async (route, request, requestId, entry) => {
    const decision = openDecision(route, requestId, deps);
    try {
      const body = await entry.within(readBody(request, config().server.maxBodyBytes));
      const asked = readAsked(body);
      decision.wantsStream = asked.wantsStream;
      const found = find(asked.model);
      const upstream = found instanceof Promise ? await entry.within(found) : found;
      decision.upstream = upstream.name;
      const call: Call = {
        requestId,
        url: (base) => `${base}/${route.path}`,
        method: request.method,
        headers: requestHeaders(request.headers, {
          key: isSlot(upstream) ? null : upstream.config.apiKey,
          wantsStream: asked.wantsStream,
          instance,
        }),
        body,
        wantsStream: asked.wantsStream,
        maxReplyBytes: config().server.maxReplyBytes,
        lemond: isSlot(upstream) ? lemondWay(route) : null,
        client: request.signal,
      };
      const sent = await upstream.send(call);
      letGoOfBody(call);
      return answer(sent, decision, request.signal, entry);
    } catch (error) {
      return request.signal.aborted ? gone(decision) : refuse(error, decision);
    }
  };
}

/** The request stays counted until the last byte of its stream. */
function countedToItsEnd(sent: Sent, entry: Entry): Sent {
  entry.keep();
  return {
    ...sent,
    end: (interruption) => {
      sent.end(interruption);
      entry.leave();
    },
  };
}
