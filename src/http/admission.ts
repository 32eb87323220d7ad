// Decides who may ask: keys where there are any, else only loopback names and this server's own pages. Pure but for hashing.
import { createHash, timingSafeEqual } from "node:crypto";
import { DispatchError } from "./errors.ts";
import { hostName, isLoopback } from "./loopback.ts";

export interface Admission {
  readonly host: string;
  readonly apiKeys: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly corsOrigins: readonly string[];
}

/** Null when the request may pass. `isOpen` is for the routes that need no key (`/live`, `/health`). */
export function admit(headers: Headers, rules: Admission, isOpen: boolean): DispatchError | null {
  if (rules.apiKeys.length > 0) return isOpen || hasKey(headers, rules.apiKeys) ? null : invalidKey();
  const host = headers.get("host") ?? "";
  const name = hostName(host);
  if (
    !isLoopback(name) &&
    name !== hostName(rules.host) &&
    !rules.allowedHosts.some((known) => known === host || hostName(known) === name)
  )
    return new DispatchError(
      "request.invalid",
      "This host name is not served without keys; list it in server.allowed_hosts.",
      {
        path: "headers.host",
      },
    );
  const origin = headers.get("origin");
  if (origin !== null && !isOwn(origin, host) && !isListed(origin, rules.corsOrigins))
    return new DispatchError(
      "request.invalid",
      "Requests from pages of this origin are refused; list it in server.cors_origins.",
      {
        path: "headers.origin",
      },
    );
  return null;
}

/** True when the request carries one of the keys. Every key is compared, in constant time. */
export function hasKey(headers: Headers, keys: readonly string[]): boolean {
  const bearer = /^bearer +(.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  const given = bearer ?? headers.get("x-api-key");
  if (given === null) return false;
  const digest = sha256(given.trim());
  return keys.reduce((found, key) => timingSafeEqual(digest, sha256(key)) || found, false);
}

/** The CORS headers of an answer to `origin`; none for an origin that is not listed. */
export function corsHeaders(origin: string | null, corsOrigins: readonly string[]): Record<string, string> {
  if (origin === null || !isListed(origin, corsOrigins)) return {};
  return {
    "access-control-allow-origin": origin,
    "access-control-expose-headers": "x-request-id, x-hal0-upstream, x-hal0-repair, retry-after",
    vary: "origin",
  };
}

function isOwn(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

function isListed(origin: string, listed: readonly string[]): boolean {
  return listed.some((known) => known === "*" || known.toLowerCase() === origin.toLowerCase());
}

function invalidKey(): DispatchError {
  return new DispatchError(
    "auth.invalid_key",
    "A valid API key is needed: Authorization: Bearer KEY, or x-api-key: KEY.",
    {},
    {
      "www-authenticate": "Bearer",
    },
  );
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
