// The routes, and what an unknown or failing one answers. No logic of slots or models.
import { Elysia } from "elysia";
import { type Accepted, type Entry, stopping } from "./accepted.ts";
import { type Access, admit, keyIn } from "./admission.ts";
import type { Config } from "../config/config.ts";
import { corsHeaders, preflight } from "./cors.ts";
import type { Dispatch } from "../dispatch/dispatch.ts";
import { internalError } from "../dispatch/failures.ts";
import { DispatchError, errorResponse } from "./errors.ts";
import { hasPassed, isEncoded, requestId } from "./headers.ts";
import type { Log } from "../observe/log.ts";
import { API_PREFIXES, dialectOf, MODEL_ROUTES } from "./routes.ts";

/** Answers one request of a fixed route; `params` are the parts of the path, decoded. Throws DispatchError. */
export type Handler = (
  request: Request,
  params: Readonly<Record<string, string>>,
  entry: Entry,
) => Promise<Response> | Response;

export interface FixedRoute {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly handler: Handler;
  /** What is not said is safe: `use` for GET, else `control`. */
  readonly access?: Access;
  /** For a reply without an end: the connection of a reader that takes nothing for so many seconds is cut. */
  readonly silenceS?: number;
}

export interface AppDeps {
  readonly config: () => Config;
  readonly accepted: Accepted;
  readonly dispatch: Dispatch;
  readonly routes: readonly FixedRoute[];
  readonly isDraining: () => boolean;
  /** Names this server's process. */
  readonly instance: string;
  /** This machine's names and addresses. */
  readonly ownHosts: readonly string[];
  readonly log: Log;
}

/** The Elysia app, not yet listening. */
export function createApp(deps: AppDeps) {
  const { log } = deps;

  /** Admission, request id, counting, CORS and the error envelope around whatever answers. */
  const around = async (
    request: Request,
    access: Access,
    answer: (id: string, entry: Entry) => Promise<Response> | Response,
  ): Promise<Response> => {
    const id = requestId(request.headers);
    const { server } = deps.config();
    let response: Response;
    try {
      // A port of 99999, or a name with a blank: there is no URL to be read. CONNECT has none by nature, and no route.
      if (!URL.canParse(request.url) && request.method !== "CONNECT") throw noHost();
      const peer = (): string | null => app.server?.requestIP(request)?.address ?? null;
      const asker = { headers: request.headers, key: keyIn(request.headers), peer };
      const refusal = admit(asker, access, server, deps.ownHosts);
      if (refusal) throw refusal;
      if (hasPassed(request.headers, deps.instance)) throw loop();
      if (isEncoded(request.headers)) throw encodedBody();
      const entry = deps.accepted.enter();
      try {
        response = await answer(id, entry);
      } finally {
        if (!entry.isKept) entry.leave();
      }
    } catch (error) {
      response = errorResponse(known(error, id), dialectOf(pathOf(request)), id);
    }
    const origin = request.headers.get("origin");
    if (origin !== null)
      for (const [name, value] of Object.entries(corsHeaders(origin, server.corsOrigins)))
        response.headers.set(name, value);
    return response;
  };

  const known = (error: unknown, id: string): DispatchError => {
    if (error instanceof DispatchError) return error;
    log.error("server.internal", {
      request_id: id,
      error: error instanceof Error ? `${error.name}: ${error.message}` : "unknown",
    });
    return internalError(id);
  };

  /** What no route matched: another method of a path that exists, or nothing. */
  const unmatched = (request: Request): Response => {
    const path = pathOf(request);
    const methods = methodsOf(path, deps.routes);
    const allow = [...methods, "OPTIONS"].join(", ");
    if (methods.length > 0 && request.method === "OPTIONS")
      return preflight(request.headers, allow, deps.config().server.corsOrigins);
    if (methods.length > 0)
      throw new DispatchError(
        "request.method_not_allowed",
        `${request.method} is not allowed at this path, which takes ${allow}.`,
        { method: request.method },
        { allow },
      );
    throw new DispatchError("request.not_found", "There is nothing at this path.", { path: path.slice(0, 200) });
  };

  const app = new Elysia({
    // Elysia 1.4 looks for the path from the 12th letter of the URL on: with a Host of `ai` wildcard routes would be missed.
    handler: { standardHostname: false },
    serve: {
      // Bun cuts a silent connection after 10 s, Elysia after 30; a prefill may take minutes.
      idleTimeout: 0,
      // Elysia would let a second copy bind the same port in silence.
      reusePort: false,
      // Our own limit answers with the envelope; Bun's would cut the connection.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      // Without these an error that escapes is answered with a page that holds the program's source.
      development: false,
      error: () => errorResponse(internalError("unknown"), "openai", "unknown"),
    },
  }).onError(({ request, code, error }) =>
    around(request, request.method === "OPTIONS" ? "open" : "use", () => {
      if (code === "NOT_FOUND") return unmatched(request);
      throw error;
    }),
  );

  for (const prefix of API_PREFIXES)
    for (const route of MODEL_ROUTES)
      app.post(
        `${prefix}/${route.path}`,
        ({ request }) =>
          around(request, "use", (id, entry) => {
            if (deps.isDraining()) throw stopping();
            return deps.dispatch(route, request, id, entry);
          }),
        { parse: "none" },
      );

  for (const { method, path, handler, silenceS, ...route } of deps.routes) {
    const access = route.access ?? (method === "GET" ? "use" : "control");
    const answer = ({ request, params }: { request: Request; params: Record<string, string> }) => {
      if (silenceS !== undefined) app.server?.timeout(request, silenceS);
      return around(request, access, (_, entry) => handler(request, params, entry));
    };
    if (method === "GET") app.get(path, answer);
    else app.post(path, answer, { parse: "none" });
  }
  return app;
}

/** The methods that the path has, empty where there is no such path. */
function methodsOf(path: string, routes: readonly FixedRoute[]): string[] {
  const isModelRoute = API_PREFIXES.some((prefix) => MODEL_ROUTES.some((route) => path === `${prefix}/${route.path}`));
  const fixed = routes.filter((route) => matches(route.path, path)).map((route) => route.method);
  return [
    ...new Set([
      ...(isModelRoute ? ["POST"] : []),
      ...fixed.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])),
    ]),
  ];
}

/** `:name` stands for one part of the path, `*` at the end for the rest. */
function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.at(-1) === "*")
    return given.length >= wanted.length && wanted.slice(0, -1).every((part, at) => part === given[at]);
  return wanted.length === given.length && wanted.every((part, at) => part.startsWith(":") || part === given[at]);
}

/** CONNECT gives a URL that `new URL` throws at. */
function pathOf(request: Request): string {
  return URL.canParse(request.url) ? new URL(request.url).pathname : "";
}

function noHost(): DispatchError {
  return new DispatchError("request.invalid", "headers.host: not a host name with an optional port.", {
    path: "headers.host",
  });
}

function loop(): DispatchError {
  return new DispatchError(
    "request.loop",
    "This request has passed through this server before: one of its upstreams leads back to it.",
  );
}

function encodedBody(): DispatchError {
  return new DispatchError(
    "request.unsupported_encoding",
    "A request body with Content-Encoding cannot be read here; send it plain.",
    { path: "headers.content-encoding" },
    { "accept-encoding": "identity" },
  );
}
