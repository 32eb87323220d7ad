// The routes, and what an unknown or failing one answers. No logic of slots or models.
import { Elysia } from "elysia";
import { type Accepted, type Entry, leave, stopping } from "./accepted.ts";
import { type Access, admit, type Asker, keyIn, keyOfSocket } from "./admission.ts";
import type { Config } from "../config/config.ts";
import { corsHeaders, preflight } from "./cors.ts";
import type { Dispatch, MayControl } from "../dispatch/dispatch.ts";
import { internalError } from "../dispatch/failures.ts";
import { MOST_UNREAD_BYTES, type Upgrade } from "../dispatch/sockets.ts";
import { DispatchError, errorResponse } from "./errors.ts";
import type { FixedRoute } from "./fixed-route.ts";
import { hasPassed, isEncoded, requestId } from "./headers.ts";
import type { LemondDoor } from "./lemond.ts";
import type { Log } from "../observe/log.ts";
import { queryOf, queryValue } from "./query.ts";
import * as refusal from "./refusals.ts";
import {
  dialectOf,
  type LemondClass,
  lemondPath,
  type LemondPath,
  MODEL_ROUTES,
  type SocketPath,
  socketPath,
} from "./routes.ts";

export interface AppDeps {
  readonly config: () => Config;
  readonly accepted: Accepted;
  readonly dispatch: Dispatch;
  readonly lemond: LemondDoor;
  readonly routes: readonly FixedRoute[];
  readonly isDraining: () => boolean;
  /** Names this server's process. */
  readonly instance: string;
  /** This machine's names and addresses. */
  readonly ownHosts: readonly string[];
  readonly log: Log;
}

const ACCESS = { read: "use", control: "control", internal: "internal" } as const satisfies Record<LemondClass, Access>;

type Answer = (request: Request, id: string, entry: Entry) => Promise<Response> | Response;

/** The Elysia app, not yet listening. */
export function createApp(deps: AppDeps) {
  const { log } = deps;

  const askerOf = (request: Request, access: Access, key: string | null): Asker => ({
    headers: request.headers,
    key,
    peer: access === "control" ? (app.server?.requestIP(request)?.address ?? null) : null,
  });

  const mayControl: MayControl = (request) =>
    admit(askerOf(request, "control", keyIn(request.headers)), "control", deps.config().server, deps.ownHosts);

  /** Admission, request id, counting, CORS and the error envelope around whatever answers. */
  const around = async (
    request: Request,
    access: Access,
    answer: Answer,
    key = keyIn(request.headers),
  ): Promise<Response> => {
    const id = requestId(request.headers);
    const { server } = deps.config();
    let response: Response;
    try {
      // A port of 99999, or a name with a blank: there is no URL to be read. CONNECT has none by nature, and no route.
      if (!URL.canParse(request.url) && request.method !== "CONNECT") throw refusal.noHost();
      const refused = admit(askerOf(request, access, key), access, server, deps.ownHosts);
      if (refused) throw refused;
      if (hasPassed(request.headers, deps.instance)) throw refusal.loop();
      if (isEncoded(request.headers)) throw refusal.encodedBody();
      const entry = deps.accepted.enter();
      try {
        response = await answer(request, id, entry);
      } finally {
        if (!entry.isKept) leave(entry);
      }
    } catch (error) {
      response = errorResponse(known(error, id), dialectOf(pathOf(request)), id);
    }
    const origin = request.headers.get("origin");
    if (origin !== null) allowOrigin(response.headers, origin, server.corsOrigins);
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

  /** What lemond has at a path that is not ours, as far as it is served here. */
  const lemondAt = (path: string): LemondPath | null => {
    const { server, lemonade } = deps.config();
    if (!server.passthrough || MODEL_ROUTES.has(path)) return null;
    const found = lemondPath(path);
    return found?.methods["GET"] === "internal" && !lemonade.internal ? null : found;
  };

  /** Admitted like any request, with the key in whichever way a socket brings it. */
  const openSocket = (request: Request, to: SocketPath): Promise<Response> => {
    const key = keyOfSocket(request.headers, queryValue(queryOf(request.url), "api_key"));
    const open = async (_: Request, id: string): Promise<Response> => {
      if (deps.isDraining()) throw stopping();
      const upgrade: Upgrade = (data, headers) => app.server?.upgrade(request, { headers, data }) ?? false;
      await deps.lemond.sockets.open(to, request, id, upgrade);
      // The connection is the socket's by now; Bun sends nothing of this.
      return new Response(null, { status: 101 });
    };
    return around(request, to.access, open, key);
  };

  /** What no route of ours matched: lemond's, another method of a path that exists, or nothing. */
  const unmatched = (request: Request): Promise<Response> => {
    const { method } = request;
    const path = pathOf(request);
    const socket = isUpgrade(request) && deps.config().server.passthrough ? socketPath(path) : null;
    if (socket) return openSocket(request, socket);
    const lemond = lemondAt(path);
    const kind = lemond?.methods[method];
    if (lemond && kind)
      return around(request, ACCESS[kind], (_, id, entry) => {
        if (deps.isDraining()) throw stopping();
        return deps.lemond.pass({ path: lemond, class: kind }, request, id, entry);
      });
    return around(request, method === "OPTIONS" ? "open" : "use", () => {
      const { passthrough } = deps.config().server;
      const methods = [...ownMethods(path, passthrough, deps.routes), ...Object.keys(lemond?.methods ?? {})];
      const allow = [...new Set(methods), "OPTIONS"].join(", ");
      if (methods.length === 0) throw refusal.nothingHere(path);
      if (method === "OPTIONS") return preflight(request.headers, allow, deps.config().server.corsOrigins);
      throw refusal.notAllowed(method, allow);
    });
  };

  const app = new Elysia({
    // Elysia 1.4 looks for the path from the 12th letter of the URL on: with a Host of `ai` wildcard routes would be missed.
    handler: { standardHostname: false },
    // What is above it Bun drops in silence; sockets.ts ends the socket then.
    websocket: { backpressureLimit: MOST_UNREAD_BYTES, maxPayloadLength: MOST_UNREAD_BYTES },
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
  }).onError(({ request, code, error }) => {
    if (code === "NOT_FOUND") return unmatched(request);
    return around(request, "use", () => {
      throw error;
    });
  });

  for (const [path, route] of MODEL_ROUTES) {
    // Made once, not with each request.
    const answer: Answer = (request, id, entry) => {
      if (deps.isDraining()) throw stopping();
      return deps.dispatch(route, request, id, entry, mayControl);
    };
    const isThere = (): boolean => !route.isViaLemond || deps.config().server.passthrough;
    app.post(path, ({ request }) => (isThere() ? around(request, "use", answer) : unmatched(request)), {
      parse: "none",
    });
  }

  for (const { method, path, handler, silenceS, isLemonds, ...route } of deps.routes) {
    const access = route.access ?? (method === "GET" ? "use" : "control");
    const answer = ({ request, params }: { request: Request; params: Record<string, string> }) => {
      if (isLemonds?.(params["*"] ?? "") && lemondAt(pathOf(request))) return unmatched(request);
      if (silenceS !== undefined) app.server?.timeout(request, silenceS);
      return around(request, access, (_, _id, entry) => handler(request, params, entry));
    };
    if (method === "GET") app.get(path, answer);
    else app.post(path, answer, { parse: "none" });
  }
  return app;
}

function allowOrigin(headers: Headers, origin: string, corsOrigins: readonly string[]): void {
  for (const [name, value] of Object.entries(corsHeaders(origin, corsOrigins))) headers.set(name, value);
}

/** The methods that the path has here, without lemond's; empty where there is no such path. */
function ownMethods(path: string, passthrough: boolean, routes: readonly FixedRoute[]): string[] {
  const model = MODEL_ROUTES.get(path);
  const fixed = routes.filter((route) => matches(route.path, path)).map((route) => route.method);
  return [
    ...(model && (passthrough || !model.isViaLemond) ? ["POST"] : []),
    ...fixed.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])),
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

const isUpgrade = ({ method, headers }: Request): boolean =>
  method === "GET" && headers.get("upgrade")?.toLowerCase() === "websocket";

/** CONNECT gives a URL that `new URL` throws at. */
function pathOf(request: Request): string {
  return URL.canParse(request.url) ? new URL(request.url).pathname : "";
}
