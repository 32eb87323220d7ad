// lemond's HTTP API: one call in, one answer out. What happens to models is the fleet's; chat goes through `proxy.ts`.
import {
  invalidRequest,
  loadFailed,
  malformedLoad,
  modelBody,
  modelNotFound,
  modelsFor,
  prefixes,
  specOf,
  stats,
  type Answer,
  type ControlContext,
} from "./answers.ts";
import { parseBody, type Body } from "./child-sim.ts";
import type { Exchange } from "./http-peer.ts";
import { sendPlain } from "./lemond-send.ts";
import { healthBody } from "./personality.ts";
import { proxied } from "./proxy.ts";

/** Answers the exchange; the status, once it is known. */
export async function control(exchange: Exchange, route: string, context: ControlContext): Promise<number> {
  if (
    exchange.method === "POST" &&
    isAllowed(exchange, route, context) &&
    context.personality.promptRoutes.includes(route)
  ) {
    return proxied(exchange, route, context);
  }
  const answer = await answerTo(exchange, route, context);
  await sendPlain(exchange, context.personality, answer);
  return answer.status;
}

function isAllowed({ headers }: Exchange, route: string, { apiKey, personality }: ControlContext): boolean {
  if (isForeign(headers["origin"]) && personality.version === "11.7") return false;
  return (
    route === "/live" || apiKey === undefined || /^bearer (.*)$/i.exec(headers["authorization"] ?? "")?.[1] === apiKey
  );
}

const isForeign = (origin: string | undefined): boolean =>
  origin !== undefined && !/^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(origin);

async function answerTo(exchange: Exchange, route: string, context: ControlContext): Promise<Answer> {
  const { personality, fleet } = context;
  const { method, headers, target } = exchange;
  if (method === "OPTIONS") return { status: 204, body: "" };
  if (personality.version === "11.7" && isForeign(headers["origin"])) {
    return { status: 403, body: '{"error": "Origin not allowed"}' };
  }
  if (!isAllowed(exchange, route, context)) return { status: 401, body: '{"error": "Invalid or missing API key"}' };
  if (route === "/live") return { status: 200, body: { status: "ok" } };
  if (personality.blockedByUnload.some((blocked) => route === blocked || route.startsWith(`${blocked}/`)))
    await fleet.settled();
  if (method === "POST") {
    if (route === "/v1/load") return load(exchange, context);
    if (route === "/v1/unload") return unload(exchange, context);
  }
  if (method === "GET" || method === "HEAD") {
    if (route === "/v1/health") {
      await context.healthHold.passed();
      return { status: 200, body: healthBody(personality, await fleet.snapshot(), context.maxModels) };
    }
    if (route === "/v1/models") return { status: 200, body: { data: modelsFor(context, target), object: "list" } };
    if (route === "/v1/stats") return stats(context);
    if (route.startsWith("/v1/models/")) {
      const id = decodeURIComponent(route.slice("/v1/models/".length));
      const spec = specOf(context, id);
      return spec === undefined ? modelNotFound(context, id) : { status: 200, body: modelBody(context, spec) };
    }
    if (personality.promptRoutes.includes(route)) {
      return { status: 405, body: '{"error": "Method Not Allowed. Use POST for this endpoint"}' };
    }
  }
  const error = { message: "The requested endpoint does not exist", path: exchange.path, type: "not_found" };
  return { status: 404, body: { error } };
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
  const outcome = await context.fleet.load(spec, loadOptionsOf(body));
  if (outcome.kind === "failed") return loadFailed(id, outcome.message);
  return { status: 200, body: { checkpoint: spec.checkpoint, model_name: id, recipe: "llamacpp", status: "success" } };
}

export const loadOptionsOf = (body: Body): Body =>
  Object.fromEntries(Object.entries(body).filter(([key]) => key !== "model_name" && key !== "save_options"));

async function unload({ body: bytes, headers }: Exchange, { fleet, personality }: ControlContext): Promise<Answer> {
  // 10.6 waits 5 s for a body that has no length, then gives up (recording 22).
  if (
    personality.version === "10.6" &&
    headers["content-length"] === undefined &&
    headers["transfer-encoding"] === undefined
  ) {
    await Bun.sleep(5000);
    return { status: 400, body: { error: { message: "Bad request", type: "bad_request" } } };
  }
  const id = parseBody(bytes.toString("utf8"))?.["model_name"];
  if (typeof id !== "string" || id === "") {
    await fleet.unloadAll();
    return { status: 200, body: { message: "All models unloaded successfully", status: "success" } };
  }
  if (!(await fleet.unload(id.replace(prefixes, ""))))
    return { status: 404, body: { error: `Model not loaded: ${id}` } };
  return { status: 200, body: { message: "Model unloaded successfully", model_name: id, status: "success" } };
}
