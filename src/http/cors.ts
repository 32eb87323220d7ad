// What a browser is told about pages of other origins: what a preflight may ask for, and who may read an answer. Pure.
import { isListed } from "./admission.ts";

/** What official SDKs send, for a page that asks for nothing by name. */
const USUAL_HEADERS = "authorization, content-type, x-api-key, x-request-id, anthropic-version, anthropic-beta";

/** The CORS headers of an answer to `origin`; none for an origin that is not listed. */
export function corsHeaders(origin: string | null, corsOrigins: readonly string[]): Record<string, string> {
  if (origin === null || !isListed(origin, corsOrigins)) return {};
  return {
    "access-control-allow-origin": origin,
    "access-control-expose-headers": "x-request-id, x-hal0-upstream, x-hal0-repair, x-hal0-fallback, retry-after",
    vary: "origin",
  };
}

/** The answer to `OPTIONS` of a path with these methods. What a listed page asks to send it may send. */
export function preflight(request: Headers, allow: string, corsOrigins: readonly string[]): Response {
  const asked = request.get("access-control-request-headers") ?? "";
  const isAllowed = isListed(request.get("origin") ?? "null", corsOrigins) && /^[a-z0-9_, -]+$/i.test(asked);
  const headers = {
    allow,
    "access-control-allow-methods": allow,
    "access-control-allow-headers": isAllowed ? asked : USUAL_HEADERS,
    "access-control-max-age": "600",
  };
  return new Response(null, { status: 204, headers });
}
