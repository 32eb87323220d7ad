// Decides who may ask, and who may control: by keys where there are any, else by where the request comes from. Pure but for
// hashing. `Host`, `Origin` and the peer only hint at who asks; a key proves it.
import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { DispatchError } from "./errors.ts";
import { hostName, isLoopback, isLoopbackName } from "./loopback.ts";

export interface Admission {
  /** What the server is bound to. */
  readonly host: string;
  readonly apiKeys: readonly string[];
  readonly adminKeys: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly corsOrigins: readonly string[];
}

/** `open` needs no key; `control` changes what is loaded or installed, `internal` how lemond itself runs. */
export type Access = "open" | "use" | "control" | "internal";

export interface Asker {
  readonly headers: Headers;
  /** See `keyIn`; sockets bring theirs in other ways too. */
  readonly key: string | null;
  /** Address of the other end of the connection; null where it is not known. Only control needs it. */
  readonly peer: string | null;
}

/** Null when the request may pass. `ownHosts` are this machine's names and addresses. */
export function admit(
  asker: Asker,
  access: Access,
  rules: Admission,
  ownHosts: readonly string[],
): DispatchError | null {
  const { apiKeys, adminKeys } = rules;
  const needsAdminKey = access === "internal" || (access === "control" && adminKeys.length > 0);
  // 1. An admin key opens everything, an API key everything but control where there are admin keys.
  if (isOneOf(asker.key, adminKeys)) return null;
  if (isOneOf(asker.key, apiKeys)) return needsAdminKey ? needsAnAdminKey() : null;
  // 2. Where a key is needed, nothing else lets a request in.
  if (needsAdminKey || (apiKeys.length > 0 && access !== "open")) return invalidKey();
  if (apiKeys.length > 0) return null;
  // 3. Without keys, where the request comes from decides.
  return (
    hostFault(asker.headers, rules, ownHosts) ??
    originFault(asker.headers, rules, access) ??
    (access === "control" && !isFromHere(asker) ? notFromHere() : null)
  );
}

/** Whether the caller may see more than that the server is alive: with keys, only who has one. */
export function isTold(headers: Headers, { apiKeys, adminKeys }: Pick<Admission, "apiKeys" | "adminKeys">): boolean {
  const keys = [...apiKeys, ...adminKeys];
  return keys.length === 0 || isOneOf(keyIn(headers), keys);
}

/** The key in the headers of a request, or null. */
export function keyIn(headers: Headers): string | null {
  const given = headers.get("authorization");
  const bearer = given === null ? undefined : /^bearer +(.+)$/i.exec(given)?.[1];
  return (bearer ?? headers.get("x-api-key"))?.trim() ?? null;
}

/** The key of a socket, for which a browser can set no header: also in the query, or as a subprotocol. */
export function keyOfSocket(headers: Headers, query: string | null): string | null {
  const protocol = /(?:^|[\s,])bearer\.([\w-]+)/.exec(headers.get("sec-websocket-protocol") ?? "")?.[1];
  const encoded = protocol === undefined ? null : Buffer.from(protocol, "base64url").toString("utf8");
  return keyIn(headers) ?? query?.replace(/^Bearer /, "") ?? encoded;
}

/** Every key is compared, in constant time. */
export function isOneOf(given: string | null, keys: readonly string[]): boolean {
  if (given === null || keys.length === 0) return false;
  const digest = sha256(given);
  return keys.reduce((found, key) => timingSafeEqual(digest, sha256(key)) || found, false);
}

/** Whether an `Origin` is listed. A page without an origin of its own (`null`) may be anybody's. */
export function isListed(origin: string, listed: readonly string[]): boolean {
  return origin !== "null" && listed.some((known) => known === "*" || known.toLowerCase() === origin.toLowerCase());
}

/** A name that a page was loaded from can be rebound to this address; an address cannot, nor a name that we know. */
function hostFault(headers: Headers, rules: Admission, ownHosts: readonly string[]): DispatchError | null {
  const host = headers.get("host") ?? "";
  const name = hostName(host);
  if (isLoopbackName(name) || isServed(host, name, rules, ownHosts)) return null;
  const line = /^[a-z0-9.:_-]{1,253}$/.test(name) ? `: allowed_hosts = ["${name}"]` : "";
  const message = `This host name is not served without keys; list it in server.allowed_hosts${line}.`;
  return new DispatchError("request.invalid", message, { path: "headers.host" });
}

function isServed(host: string, name: string, rules: Admission, ownHosts: readonly string[]): boolean {
  return (
    name === hostName(rules.host) ||
    rules.allowedHosts.some((known) => known === host || hostName(known) === name) ||
    (!isLoopback(rules.host) && (isIPv4(name) || isIPv6(name) || ownHosts.includes(name)))
  );
}

function originFault(headers: Headers, { corsOrigins }: Admission, access: Access): DispatchError | null {
  const origin = headers.get("origin");
  if (origin === null || isOwn(origin, headers.get("host") ?? "")) return null;
  // `*` lets any page chat; which pages may unload a model is said one by one.
  const listed = access === "control" ? corsOrigins.filter((known) => known !== "*") : corsOrigins;
  if (isListed(origin, listed)) return null;
  const canBeListed = origin !== "null" && /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.:[\]_-]{1,253}$/i.test(origin);
  const line = canBeListed ? `: cors_origins = ["${origin.toLowerCase()}"]` : "";
  const message = `Requests from pages of this origin are refused; list it in server.cors_origins${line}.`;
  return new DispatchError("request.invalid", message, { path: "headers.origin" });
}

function isOwn(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

/** A proxy on this machine that passes on what others ask says so in these headers. */
function isFromHere({ headers, peer }: Asker): boolean {
  return !headers.has("forwarded") && !headers.has("x-forwarded-for") && isLoopback(peer ?? "");
}

function notFromHere(): DispatchError {
  return new DispatchError(
    "auth.control_refused",
    'Without keys only callers on this machine may do this; to do it from elsewhere, set server.admin_keys: admin_keys = ["…"].',
  );
}

function needsAnAdminKey(): DispatchError {
  return new DispatchError("auth.control_refused", "This key may not do this; one of server.admin_keys may.");
}

function invalidKey(): DispatchError {
  return new DispatchError(
    "auth.invalid_key",
    "A valid API key is needed: Authorization: Bearer KEY, or x-api-key: KEY.",
    {},
    { "www-authenticate": "Bearer" },
  );
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
