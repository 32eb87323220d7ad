// lemond's HTTP API: one call in, one answer out. What happens to models is the fleet's; chat goes through `proxy.ts`.
import {
  invalidRequest,
  loadFailed,
  malformedLoad,
  modelBody,
  modelNotFound,
  modelsFor,
  stats,
  type Answer,
  type ControlContext,
} from "./answers.ts";
import { parseBody, type Body } from "./child-sim.ts";
import type { Spec } from "./model-spec.ts";
import type { Exchange } from "./http-peer.ts";
import { refusalOf } from "./gate.ts";
import { sendPlain } from "./lemond-send.ts";
import { healthBody } from "./health.ts";
import { addAlias, listAliases, pin, pull, remove, removeAlias, removeOllama } from "./manage.ts";
import { media, tokenized } from "./media.ts";
import { specOf } from "./names.ts";
import { ollama } from "./ollama.ts";
import { running, show, tags, version } from "./ollama-lists.ts";
import { proxied } from "./proxy.ts";
import { foldedPath, routeAt, type Route } from "./routes.ts";

/** Answers the exchange; the status, once it is known. */
export async function control(exchange: Exchange, context: ControlContext): Promise<number> {
  const refusal = refusalOf(exchange, context);
  const folded = foldedPath(exchange.path);
  const route = isServed(context, exchange.path) ? routeAt(exchange.method, folded) : undefined;
  if (refusal === undefined && route?.kind === "direct") return proxied(exchange, folded, context);
  if (refusal === undefined && (route?.path === "/v1/pull" || route?.path === "/api/pull"))
    return pull(exchange, folded, context);
  if (refusal === undefined && route?.kind === "via" && folded !== "/v1/tokenize")
    return folded.startsWith("/api/") ? ollama(exchange, folded, context) : media(exchange, folded, context);
  const answer = refusal ?? (await answerTo(exchange, folded, route, context));
  await sendPlain(exchange, context.personality, answer);
  return answer.status;
}

/** Anthropic's route has one name only (server/routes/anthropic); 10.6 has no metrics and one name for reranking (recordings 27, 50). */
function isServed({ personality }: ControlContext, path: string): boolean {
  const folded = foldedPath(path);
  if (folded === "/v1/messages") return path === folded;
  return personality.version === "11.7" || !["/metrics", "/v1/rerank", "/v1/reranker"].includes(folded);
}

async function answerTo(
  exchange: Exchange,
  folded: string,
  route: Route | undefined,
  context: ControlContext,
): Promise<Answer> {
  const { personality, fleet } = context;
  if (exchange.method === "OPTIONS") return { status: 204, body: "" };
  if (personality.blockedByUnload.some((blocked) => folded === blocked || folded.startsWith(`${blocked}/`)))
    await fleet.settled();
  const handler = handlers[`${route?.method} ${route?.path}`];
  if (handler !== undefined) return handler(exchange, context, folded);
  // A socket that is not upgraded is no route of lemond's.
  if (route !== undefined && route.kind !== "socket") return plainAnswer(route, exchange.path);
  const isWrongMethod = exchange.method === "GET" && /^\/(api\/)?v[01]\//.test(exchange.path);
  if (isWrongMethod && isServed(context, exchange.path) && routeAt("POST", folded) !== undefined)
    return { status: 405, body: '{"error": "Method Not Allowed. Use POST for this endpoint"}' };
  const error = { message: "The requested endpoint does not exist", path: exchange.path, type: "not_found" };
  return { status: 404, body: { error } };
}

type Handler = (exchange: Exchange, context: ControlContext, folded: string) => Answer | Promise<Answer>;

const handlers: Readonly<Record<string, Handler>> = {
  "GET /live": () => ({ status: 200, body: { status: "ok" } }),
  "GET /v1/health": async (_, context) => {
    await context.healthHold.passed();
    return { status: 200, body: healthBody(context.personality, await context.fleet.snapshot(), context.maxModels) };
  },
  "GET /v1/models": ({ target }, context) => ({
    status: 200,
    body: { data: modelsFor(context, target), object: "list" },
  }),
  "GET /v1/models/{id}": (_, context, folded) => {
    const id = decodeURIComponent(folded.slice("/v1/models/".length));
    const spec = specOf(context, id);
    return spec === undefined ? modelNotFound(context, id) : { status: 200, body: modelBody(context, spec) };
  },
  "GET /v1/stats": (_, context) => stats(context),
  "POST /v1/delete": remove,
  "DELETE /api/delete": removeOllama,
  "GET /internal/aliases": (_, context) => listAliases(context),
  "POST /internal/aliases": addAlias,
  "DELETE /internal/aliases/{alias}": ({ path }, context) => removeAlias(path, context),
  "POST /internal/pin": pin,
  "POST /v1/tokenize": tokenized,
  "GET /api/tags": (_, context) => tags(context),
  "GET /api/ps": (_, context) => running(context),
  "GET /api/version": version,
  "POST /api/show": show,
  "POST /v1/load": load,
  "POST /v1/unload": unload,
};

/** Routes of which only the door's treatment matters: what they would say is not simulated. */
function plainAnswer({ method, path, kind }: Route, asked: string): Answer {
  if (kind === "page") return { status: 200, body: "<!DOCTYPE html>\n", contentType: "text/html" };
  if (path === "/metrics") return { status: 200, body: "lemonade_up 1\n", contentType: "text/plain; version=0.0.4" };
  // ollama_api.cpp: what it does not do.
  if (/^\/api\/(create|copy|push|blobs)/.test(path))
    return { status: 501, body: '{"error":"not supported by Lemonade"}' };
  return { status: 200, body: method === "GET" ? { path: asked } : { path: asked, status: "success" } };
}

async function load({ body: bytes }: Exchange, context: ControlContext): Promise<Answer> {
  const text = bytes.toString("utf8");
  const body = parseBody(text);
  if (body === null) return malformedLoad(context, text);
  const id = body["model_name"];
  if (typeof id !== "string") {
    const type = id === undefined || id === null ? "null" : typeof id;
    return invalidRequest(`[json.exception.type_error.302] type must be string, but is ${type}`);
  }
  const spec = specOf(context, id);
  if (spec === undefined) return modelNotFound(context, id);
  if (spec.recipe.startsWith("collection.")) return loadCollection(spec, id, context);
  const outcome = await context.fleet.load(spec, loadOptionsOf(body));
  if (outcome.kind === "failed") return loadFailed(id, outcome.message);
  return { status: 200, body: { checkpoint: spec.checkpoint, model_name: id, recipe: spec.recipe, status: "success" } };
}

/** An omni loads what it consists of; a router loads nothing until it is asked (server/routes/lemonade/load). */
async function loadCollection(spec: Spec, id: string, context: ControlContext): Promise<Answer> {
  for (const name of spec.recipe === "collection.omni" ? spec.components : []) {
    const component = specOf(context, name);
    const outcome = component === undefined ? undefined : await context.fleet.load(component, {});
    if (outcome?.kind === "failed") return loadFailed(id, outcome.message);
  }
  return { status: 200, body: { model_name: id, recipe: spec.recipe, status: "success" } };
}

const loadOptionsOf = (body: Body): Body =>
  Object.fromEntries(Object.entries(body).filter(([key]) => key !== "model_name" && key !== "save_options"));

async function unload({ body: bytes, headers }: Exchange, context: ControlContext): Promise<Answer> {
  const { fleet, personality } = context;
  // 10.6 waits 5 s for a body that has no length, then gives up (recording 22).
  if (
    personality.version === "10.6" &&
    headers["content-length"] === undefined &&
    headers["transfer-encoding"] === undefined
  ) {
    await Bun.sleep(5000);
    return { status: 400, body: { error: { message: "Bad request", type: "bad_request" } } };
  }
  const body = parseBody(bytes.toString("utf8"));
  const id = body?.["model_name"] ?? body?.["model"];
  if (typeof id !== "string" || id === "") {
    await fleet.unloadAll();
    return { status: 200, body: { message: "All models unloaded successfully", status: "success" } };
  }
  if (!(await fleet.unload(specOf(context, id)?.id ?? id)))
    return { status: 404, body: { error: `Model not loaded: ${id}` } };
  return { status: 200, body: { message: "Model unloaded successfully", model_name: id, status: "success" } };
}
