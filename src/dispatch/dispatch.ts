// The story of one request: read it, find its upstream, send it there, give the reply back, say what happened.
import { type Entry, stopping, within } from "../http/accepted.ts";
import { type Asked, readAsked, readBody, readObject } from "../http/body.ts";
import { DispatchError, errorResponse } from "../http/errors.ts";
import { requestHeaders } from "../http/headers.ts";
import { queryForLemond } from "../http/query.ts";
import { MODEL_ROUTES, type ModelRoute } from "../http/routes.ts";
import type { Forward } from "../slots/known.ts";
import type { Slot } from "../slots/slot.ts";
import type { Reply } from "./attempt.ts";
import type { Call, CallProgress, Sent } from "./call.ts";
import { continuationOf } from "./continuation.ts";
import { type Decision, type DecisionDeps, endDecision, openDecision, writeDecision } from "./decision.ts";
import { internalError, notOllama, unavailable } from "./failures.ts";
import { askWithFallbacks } from "./fallback.ts";
import { createFind, type FindDeps, isSlot, type Upstream } from "./find.ts";
import { heartbeatOf, type WaitProgress } from "./heartbeat.ts";
import { createLemondWays } from "./lemond-way.ts";
import { createQuestions } from "./questions.ts";
import { name, streamOfReply, streamOfWait, wholeReply } from "./reply.ts";
import { CLIENT_GONE, type Result, statusOf } from "./result.ts";
import { letGoOfBody } from "./upload.ts";
import { comment, createWait, stepOf } from "./wait.ts";

export interface DispatchDeps extends FindDeps, DecisionDeps {
  /** Names this server's process to those it sends requests to. */
  readonly instance: string;
}

interface Prepared {
  readonly upstream: Upstream;
  readonly call: Call;
  /** The client wants the model unloaded: an operator's action, not a request of the slot's. */
  readonly unload: Forward | null;
}

export type Dispatch = (
  route: ModelRoute,
  request: Request,
  requestId: string,
  entry: Entry,
  mayControl: MayControl,
) => Promise<Response>;

/** The refusal, or null for a client that may. */
export type MayControl = (request: Request) => DispatchError | null;

/** Never rejects: every end of a request is a Response. */
export function createDispatch(deps: DispatchDeps): Dispatch {
  const { config, log, now, instance } = deps;
  const find = createFind(deps);
  const lemondWay = createLemondWays(MODEL_ROUTES.values());
  const continuing = { ...deps, questions: createQuestions(), heartbeatMs: () => config().server.heartbeatMs };

  const thrown = (error: unknown, client: AbortSignal, decision: Decision): Result => {
    if (client.aborted) return { kind: "client-gone" };
    if (error instanceof DispatchError) {
      if (error.code === "dispatch.no_route") decision.model = String(error.details["model"] ?? "");
      if (error.code === "dispatch.upstream_unavailable")
        log.error("dispatch.forward_failed", { request_id: decision.requestId, ...error.details });
      return { kind: "error", error };
    }
    const { requestId } = decision;
    const fault = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    log.error("server.internal", { request_id: requestId, error: fault });
    return { kind: "error", error: internalError(requestId) };
  };

  /** What is to be sent, and to whom; or the answer, where the request cannot be read or its upstream found. */
  const prepare = async (request: Request, decision: Decision, entry: Entry): Promise<Prepared | Result> => {
    try {
      const { maxBodyBytes } = config().server;
      const body = await within(entry, readBody(request, maxBodyBytes));
      const asked = readAsked(body, request.headers.get("content-type"), decision.route);
      decision.wantsStream = asked.wantsStream;
      decision.asked = asked.model;
      const found = find(asked.model);
      return prepared(request, body, asked, found instanceof Promise ? await within(entry, found) : found, decision);
    } catch (error) {
      return thrown(error, request.signal, decision);
    }
  };

  /** Throws DispatchError where that upstream does not speak the route's dialect. */
  const prepared = (
    request: Request,
    body: Uint8Array<ArrayBuffer>,
    asked: Asked,
    upstream: Upstream,
    decision: Decision,
  ): Prepared => {
    const { route } = decision;
    decision.upstream = upstream.name;
    decision.isSlot = isSlot(upstream);
    if (!isSlot(upstream) && route.dialect === "ollama") throw notOllama(upstream.name, asked.model);
    // lemond also answers with audio and images: whatever is not JSON passes as it comes.
    const wantsStream = asked.wantsStream || route.isViaLemond;
    const key = isSlot(upstream) ? null : upstream.config.apiKey;
    const call: Call = {
      requestId: decision.requestId,
      model: asked.model ?? "",
      path: isSlot(upstream) ? route.childPath : route.path,
      method: request.method,
      headers: requestHeaders(request.headers, { key, wantsStream, instance }),
      body,
      wantsStream,
      maxReplyBytes: config().server.maxReplyBytes,
      lemond: isSlot(upstream) ? lemondWay(route, asked, queryForLemond(request.url)) : null,
      client: request.signal,
    };
    const isUnload = asked.isUnload && isSlot(upstream);
    const unload = isUnload ? { path: `/${route.path}`, body: { ...readObject(body), model: upstream.model } } : null;
    return { upstream, call, unload };
  };

  /** Never rejects. The decision is written before it resolves. */
  const send = async (upstream: Upstream, call: Call, decision: Decision): Promise<Result> => {
    const result = await (isSlot(upstream)
      ? askWithFallbacks(upstream, call, decision, fallbackDeps)
      : ask(upstream, call, decision));
    if (result.kind !== "reply" || !result.continuation) letGoOfBody(call);
    writeDecision(decision, statusOf(result));
    return result;
  };

  const upstreamNamed = (name: string): Upstream | undefined => deps.slots.get(name) ?? deps.remotes.get(name);
  const ask = async (upstream: Upstream, call: Call, decision: Decision): Promise<Result> => {
    try {
      return resultOf(upstream, call, await upstream.send(call), decision);
    } catch (error) {
      return thrown(error, call.client, decision);
    }
  };

  const fallbackDeps = { ...deps, upstreamNamed, ask };

  const resultOf = (upstream: Upstream, call: Call, sent: Sent, decision: Decision): Result => {
    const { outcome } = sent;
    decision.target = sent.target;
    decision.label = sent.label;
    if (sent.waitedMs !== undefined) decision.waitedMs = (decision.waitedMs ?? 0) + sent.waitedMs;
    if (outcome.kind === "reply") {
      const continuation = isSlot(upstream) ? continuationOf(upstream, call, sent, decision, continuing) : null;
      return continuation
        ? { kind: "reply", reply: outcome, sent, continuation }
        : { kind: "reply", reply: outcome, sent };
    }
    if (outcome.kind === "client-gone") return outcome;
    if (outcome.kind === "lost" && outcome.cause === "stopping") return { kind: "error", error: stopping() };
    const error = unavailable(upstream.name, sent, outcome, config().server.firstByteTimeoutMs);
    const event = decision.wantsStream ? "dispatch.forward_stream_open_failed" : "dispatch.forward_failed";
    log.error(event, { request_id: decision.requestId, ...error.details });
    return { kind: "error", error };
  };

  const respond = (result: Result, decision: Decision, entry: Entry, client: AbortSignal): Response => {
    switch (result.kind) {
      case "reply": {
        const { reply } = result;
        if ("body" in reply) return wholeReply(reply, decision);
        return streamOfReply({ decision, entry, client }, reply, result);
      }
      case "client-gone":
        endDecision(decision, result.kind);
        return new Response(null, { status: CLIENT_GONE });
      case "error": {
        const response = errorResponse(result.error, decision.route.dialect, decision.requestId);
        name(response.headers, decision);
        endDecision(decision, "complete");
        return response;
      }
    }
  };

  /** A streaming client of a slot hears of the wait: a comment or a heartbeat begins its stream, whatever comes of it. */
  const accompany = async (slot: Slot, call: Call, decision: Decision, entry: Entry): Promise<Response> => {
    const progress: CallProgress = { dialledMs: null, onComment: (bytes) => comment(wait, bytes) };
    call.progress = progress;
    const result = send(slot, call, decision);
    const heartbeat = heartbeatOf(decision.route.path);
    const wait = createWait(result, {
      everyMs: heartbeat ? config().server.heartbeatMs : 0,
      beat: () => heartbeat?.(slot.name, progressOf(slot, progress.dialledMs, now())) ?? "",
      now,
    });
    const first = await stepOf(wait);
    const { client } = call;
    return "value" in first
      ? respond(first.value, decision, entry, client)
      : streamOfWait({ decision, entry, client }, first.bytes, wait, result);
  };

  /** A client's way to give an operator's order. */
  const unloaded = async (
    slot: Slot,
    unload: Forward,
    refused: DispatchError | null,
    decision: Decision,
    entry: Entry,
    client: AbortSignal,
  ): Promise<Result> => {
    if (refused) return { kind: "error", error: refused };
    return within(entry, unloadedBy(slot, unload)).catch((error) => thrown(error, client, decision));
  };

  /** The answer where no upstream was asked. */
  const told = (result: Result, decision: Decision, entry: Entry, client: AbortSignal): Response => {
    writeDecision(decision, statusOf(result));
    return respond(result, decision, entry, client);
  };

  return async (route, request, requestId, entry, mayControl) => {
    const decision = openDecision(route, requestId, deps);
    const client = request.signal;
    const prepared = await prepare(request, decision, entry);
    if ("kind" in prepared) return told(prepared, decision, entry, client);
    const { upstream, call, unload } = prepared;
    if (!isSlot(upstream) || (!unload && !call.wantsStream))
      return respond(await send(upstream, call, decision), decision, entry, client);
    if (!unload) return accompany(upstream, call, decision, entry);
    return told(
      await unloaded(upstream, unload, mayControl(request), decision, entry, client),
      decision,
      entry,
      client,
    );
  };
}

/** A request that is at its child waits for the prompt to be read, whatever else the slot does. */
const progressOf = (slot: Slot, dialledMs: number | null, nowMs: number): WaitProgress =>
  dialledMs === null
    ? slot.progress()
    : { phase: "reading the prompt", elapsedS: Math.round((nowMs - dialledMs) / 1000), aboutS: null };

/** The reply is lemond's. Throws DispatchError. */
async function unloadedBy(slot: Slot, unload: Forward): Promise<Result> {
  const reply = await slot.forward("unload", unload);
  const headers = new Headers({ "content-type": "application/json" });
  const body = new TextEncoder().encode(reply.text);
  const whole: Reply = { kind: "reply", status: reply.status, headers, body };
  return { kind: "reply", reply: whole, sent: { outcome: whole, label: null, target: "", headers: {}, end: () => {} } };
}
