// Decides which headers pass between client and upstream. Pure.

/** RFC 9110 section 7.6.1, with the historic names that real peers still send. */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
] as const;

/** Ours to set, or meant for us alone: a client's key never reaches an upstream, nor do the origin and cookies of our own page. */
const NOT_FORWARDED = new Set<string>([
  ...HOP_BY_HOP,
  "host",
  "content-length",
  "expect",
  "authorization",
  "x-api-key",
  "api-key",
  "cookie",
  "origin",
  "referer",
]);

/** `Bun.serve` sets the length itself; a cookie would count as this server's. */
const NOT_RETURNED = new Set<string>([...HOP_BY_HOP, "content-length", "set-cookie"]);

/** CORS is between the browser and this server, and `x-hal0-` is what this server says: neither is returned. */
const CORS_PREFIX = "access-control-";
const OWN_PREFIX = "x-hal0-";

/** Names each server that a request has passed through, so that a loop is recognised. */
const VIA = "x-hal0-via";

/** Whether the request has passed through this server before. */
export function hasPassed(client: Headers, instance: string): boolean {
  return client.get(VIA)?.includes(instance) ?? false;
}

/** What an attempt's headers have beyond the client's. */
export interface Outgoing {
  /** The upstream's own key; null where it has none. */
  readonly key: string | null;
  readonly wantsStream: boolean;
  /** Names this server's process. */
  readonly instance: string;
}

/**
 * Headers of one attempt: the client's end-to-end headers, the upstream's own key if it has one, and `Connection: close`,
 * which Bun 1.4.5 does not send by itself with `keepalive: false`. A stream is asked for without encoding: in an encoded
 * one no event could be seen.
 */
export function requestHeaders(client: Headers, { key, wantsStream, instance }: Outgoing): Headers {
  const headers = new Headers(client);
  const named = client.get("connection");
  if (named) for (const name of namesIn(named)) headers.delete(name);
  // What is there is looked up: to delete each name that might be there took a microsecond.
  for (const name of client.keys()) if (NOT_FORWARDED.has(name)) headers.delete(name);
  // Bun sends no Accept-Encoding with `decompress: false`; without one any encoding would be allowed (RFC 9110 12.5.3).
  if (wantsStream || !headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  if (key !== null) headers.set("authorization", `Bearer ${key}`);
  headers.append(VIA, instance);
  headers.set("connection", "close");
  return headers;
}

/**
 * The upstream's end-to-end headers for the client. Changes what it is given, which Bun 1.4.5 allows for the headers of a
 * fetch: a copy would cost each request 2 µs.
 */
export function responseHeaders(upstream: Headers): Headers {
  const named = upstream.get("connection");
  if (named && named !== "close") for (const name of namesIn(named)) upstream.delete(name);
  // Named first: a header that is deleted in the loop would make it skip the next one.
  for (const name of [...upstream.keys()])
    if (NOT_RETURNED.has(name) || name.startsWith(CORS_PREFIX) || name.startsWith(OWN_PREFIX)) upstream.delete(name);
  return upstream;
}

/** The client's `x-request-id` if it is one that can be logged and sent back, else a new one. */
export function requestId(client: Headers): string {
  const own = client.get("x-request-id");
  return own !== null && /^[\x21-\x7e]{1,128}$/.test(own) ? own : crypto.randomUUID();
}

/** Whether the body of a request is encoded: nothing of it could be read here. */
export function isEncoded(headers: Headers): boolean {
  const encoding = headers.get("content-encoding");
  return encoding !== null && encoding.toLowerCase() !== "identity";
}

/** Header names in a `Connection` value; what is not a token is no name and would throw in `Headers.delete`. */
function namesIn(value: string): string[] {
  return value
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name));
}
