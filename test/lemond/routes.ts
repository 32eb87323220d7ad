// Every route that lemond 11.7 registers, from its source: server.cpp, server/routes/, ollama_api.cpp, mcp, websocket_server.cpp.
// `kind` is what the door makes of it (DESIGN.md section 6b): `own` routes it answers itself, `page` is lemond's own web page.
// What stands here as /v1/… is also served as /api/v1/…, /v0/… and /api/v0/…; the sockets bare as well.

export type RouteKind = "direct" | "via" | "control" | "read" | "socket" | "never" | "own" | "page";

export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** `{name}` stands for one part of the path. */
  readonly path: string;
  readonly kind: RouteKind;
}

const all = (kind: RouteKind, method: Route["method"], ...paths: readonly string[]): readonly Route[] =>
  paths.map((path) => ({ method, path, kind }));

export const routes: readonly Route[] = [
  ...all("direct", "POST", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"),
  ...all("direct", "POST", "/v1/rerank", "/v1/reranking", "/v1/reranker", "/v1/messages"),
  ...all("via", "POST", "/v1/audio/transcriptions", "/v1/audio/speech", "/v1/audio/generations"),
  ...all("via", "POST", "/v1/images/generations", "/v1/images/edits", "/v1/images/variations", "/v1/images/upscale"),
  ...all("via", "POST", "/v1/3d/generations", "/v1/classify", "/v1/tokenize"),
  ...all("via", "POST", "/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
  ...all("control", "POST", "/v1/load", "/v1/unload", "/v1/delete", "/v1/pull", "/v1/log-level", "/v1/slots/{n}"),
  ...all("control", "POST", "/v1/install", "/v1/install/dry-run", "/v1/uninstall", "/v1/cloud/auth"),
  ...all("control", "DELETE", "/v1/cloud/auth/{provider}"),
  ...all("control", "POST", "/v1/models/register", "/v1/models/check-updates", "/v1/models/{id}/options"),
  ...all("control", "DELETE", "/v1/models/{id}/options"),
  ...all("control", "POST", "/v1/routing/validate", "/v1/downloads/control", "/v1/jobs"),
  ...all("control", "POST", "/v1/jobs/{id}/pause", "/v1/jobs/{id}/interrupt", "/v1/jobs/{id}/resume"),
  ...all("control", "DELETE", "/v1/jobs/{id}"),
  ...all("control", "POST", "/api/pull", "/api/create", "/api/copy", "/api/push", "/api/blobs/{digest}", "/mcp"),
  ...all("control", "DELETE", "/api/delete"),
  ...all("read", "GET", "/v1/health", "/v1/stats", "/v1/system-info", "/v1/system-stats", "/v1/slots"),
  ...all("read", "GET", "/v1/models/{id}/files", "/v1/models/{id}/options", "/v1/registry/search", "/v1/pull/variants"),
  ...all("read", "GET", "/v1/downloads", "/v1/jobs", "/v1/jobs/{id}", "/v1/docs", "/v1/docs/{page}"),
  ...all("read", "GET", "/api/tags", "/api/ps", "/api/version"),
  ...all("read", "POST", "/api/show"),
  ...all("own", "GET", "/live", "/metrics", "/v1/models", "/v1/models/{id}"),
  ...all(
    "never",
    "POST",
    "/v1/params",
    "/internal/set",
    "/internal/shutdown",
    "/internal/pin",
    "/internal/cleanup-cache",
  ),
  ...all("never", "POST", "/internal/telemetry/flush", "/internal/simulate-vram-pressure", "/internal/aliases"),
  ...all("never", "GET", "/v1/params", "/internal/config", "/internal/config/defaults", "/internal/aliases"),
  ...all("never", "DELETE", "/internal/aliases/{alias}"),
  ...all("socket", "GET", "/v1/realtime", "/v1/logs/stream", "/v1/spans/stream", "/v1/traces/stream"),
  ...all("page", "GET", "/", "/status", "/web-app", "/static/{file}", "/favicon.ico", "/api/v1"),
];

/** With `/api/v1/`, `/v0/` and `/api/v0/` folded into `/v1/`. */
export const foldedPath = (path: string): string => path.replace(/^\/(?:api\/)?v[01]\//, "/v1/");

const matchers = routes.map((route) => ({
  route,
  // An id may have slashes in it; what is longer in the table comes first there.
  pattern: new RegExp(`^${route.path.replaceAll(/\{\w+\}/g, "(.+)")}$`),
}));

/** The route that a folded path belongs to. */
export function routeAt(method: string, folded: string): Route | undefined {
  const wanted = method === "HEAD" ? "GET" : method;
  return matchers.find(({ route, pattern }) => route.method === wanted && pattern.test(folded))?.route;
}
