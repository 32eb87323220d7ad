// Who may ask lemond what: a foreign page never (11.7), the rest by key (server.cpp: authenticate_request; recordings 29 and 50).
import type { Answer, ControlContext } from "./answers.ts";
import type { Exchange } from "./http-peer.ts";

/** lemond's refusal; undefined lets the request in. */
export function refusalOf({ method, headers, path }: Exchange, context: ControlContext): Answer | undefined {
  const { personality, apiKey = "", adminKey = apiKey } = context;
  if (personality.version === "11.7" && isForeign(headers["origin"]))
    return { status: 403, body: '{"error": "Origin not allowed"}' };
  if (method === "OPTIONS") return undefined;
  const key = bearerOf(headers["authorization"]);
  if (path.startsWith("/internal/")) {
    const isOpen = adminKey === "" || key === adminKey;
    return isOpen ? undefined : { status: 401, body: '{"error": "Invalid or missing admin API key"}' };
  }
  const isKept = /^\/(api|v0|v1)\//.test(path) || path === "/mcp" || path === "/metrics";
  // An admin key alone leaves these open.
  if (!isKept || apiKey === "" || key === apiKey || key === adminKey) return undefined;
  // 10.6 has no metrics, and says so to everybody (recording 50).
  if (personality.version === "10.6" && path === "/metrics") return undefined;
  return { status: 401, body: '{"error": "Invalid or missing API key"}' };
}

const bearerOf = (header: string | undefined): string | undefined => /^bearer (.*)$/i.exec(header ?? "")?.[1];

const isForeign = (origin: string | undefined): boolean =>
  origin !== undefined && !/^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(origin);
