// Which path is what: the model routes, whose requests go to slots and remotes, and what is passed to lemond. Pure.
// An oddly written path matches nothing: only what lemond would read as we do goes on, rebuilt from its parts.
import type { Dialect } from "./errors.ts";

export interface ModelRoute {
  /** Below the API prefix: `chat/completions`; Ollama's from the root on. Also the `route` label of metrics. */
  readonly path: string;
  readonly dialect: Dialect;
  /** The child does not know the route. */
  readonly isViaLemond: boolean;
  /** What the child calls it. */
  readonly childPath: string;
  /** Ollama streams unless it is told not to. */
  readonly streamsByDefault: boolean;
}

/** The same routes are served under each; Lemonade's own clients use the second. */
export const API_PREFIXES = ["/v1", "/api/v1", "/v0", "/api/v0"] as const;

const direct = (path: string, dialect: Dialect = "openai", childPath = path): ModelRoute => ({
  path,
  dialect,
  isViaLemond: false,
  childPath,
  streamsByDefault: false,
});
const via = (path: string, dialect: Dialect = "openai"): ModelRoute => ({
  path,
  dialect,
  isViaLemond: true,
  childPath: path,
  streamsByDefault: path === "api/chat" || path === "api/generate",
});

const PREFIXED: readonly ModelRoute[] = [
  direct("chat/completions"),
  direct("completions"),
  direct("embeddings"),
  direct("rerank"),
  direct("reranking"),
  direct("reranker", "openai", "rerank"),
  direct("responses", "responses"),
  direct("messages", "anthropic"),
  direct("messages/count_tokens", "anthropic"),
  via("audio/transcriptions"),
  via("audio/speech"),
  via("audio/generations"),
  via("images/generations"),
  via("images/edits"),
  via("images/variations"),
  via("images/upscale"),
  via("3d/generations"),
  via("classify"),
  via("tokenize"),
];

const OLLAMA: readonly ModelRoute[] = ["chat", "generate", "embed", "embeddings"].map((name) =>
  via(`api/${name}`, "ollama"),
);

/** Every model route by its whole path; all are `POST`. */
export const MODEL_ROUTES: ReadonlyMap<string, ModelRoute> = new Map([
  ...API_PREFIXES.flatMap((prefix) => PREFIXED.map((route) => [`${prefix}/${route.path}`, route] as const)),
  ...OLLAMA.map((route) => [`/${route.path}`, route] as const),
]);

/** `control` changes what is loaded or installed, `internal` how lemond itself runs. */
export type LemondClass = "read" | "control" | "internal";

/** A path that lemond answers. */
export interface LemondPath {
  /** Below the prefix, or from the root on: `load`, `api/tags`, `mcp`. */
  readonly name: string;
  /** As it is asked of lemond. */
  readonly path: string;
  /** What each method is; others are not allowed. */
  readonly methods: Methods;
}

type Methods = Readonly<Record<string, LemondClass>>;

const of = (kind: LemondClass, ...methods: readonly string[]): Methods =>
  Object.fromEntries(methods.map((method) => [method, kind]));
const READS = ["GET", "HEAD"] as const;
const CHANGES = ["POST", "PUT", "PATCH", "DELETE"] as const;

const ALL_CONTROL = of("control", ...READS, ...CHANGES);
const ALL_INTERNAL = of("internal", ...READS, ...CHANGES);
const BELOW_PREFIX: Methods = { ...of("read", ...READS), ...of("control", ...CHANGES) };

/** Ollama's other routes, which stand beside our own below `/api`. */
const OLLAMA_REST: Readonly<Record<string, Methods>> = {
  "api/tags": of("read", ...READS),
  "api/ps": of("read", ...READS),
  "api/version": of("read", ...READS),
  "api/show": of("read", "POST"),
  "api/pull": of("control", "POST"),
  "api/create": of("control", "POST"),
  "api/copy": of("control", "POST"),
  "api/push": of("control", "POST"),
  "api/blobs": of("control", "HEAD", "POST"),
  "api/delete": of("control", "DELETE"),
};

/** Names that mean something here: spelled with other capitals they match nothing. */
const NAMED = new Set([...PREFIXED.map(({ path }) => path), "load", "unload", "delete", "params"]);

/** What lemond has at the path; null if the path is not lemond's. */
export function lemondPath(path: string): LemondPath | null {
  const parts = partsOf(path);
  if (parts === null) return null;
  const found = (name: string, methods: Methods): LemondPath => ({ name, path: rebuilt(parts), methods });
  const [first = ""] = parts;
  if (first === "internal") return found(first, ALL_INTERNAL);
  if (first === "mcp" && parts.length === 1) return found(first, ALL_CONTROL);
  const below = belowPrefix(parts);
  if (below === null) {
    const name = parts.slice(0, 2).join("/");
    const methods = parts.length === (name === "api/blobs" ? 3 : 2) ? OLLAMA_REST[name] : undefined;
    return methods ? found(name, methods) : null;
  }
  const name = below.join("/");
  const [head = ""] = below;
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(head) || head === "internal") return null;
  // Its methods are our own; what is below it is lemond's.
  if (name === "models") return null;
  if (NAMED.has(name.toLowerCase()) && !NAMED.has(name)) return null;
  return found(name, name === "params" ? ALL_INTERNAL : BELOW_PREFIX);
}

export interface SocketPath {
  readonly name: string;
  /** As it is asked of lemond. */
  readonly path: string;
  readonly access: "use" | "control";
}

/** Logs and traces need control: they show what other clients asked. */
const SOCKETS: ReadonlyMap<string, SocketPath["access"]> = new Map([
  ["realtime", "use"],
  ["logs/stream", "control"],
  ["spans/stream", "control"],
  ["traces/stream", "control"],
]);

/** The socket at the path, bare or below a prefix; null where there is none. */
export function socketPath(path: string): SocketPath | null {
  const parts = partsOf(path);
  const name = parts === null ? "" : (belowPrefix(parts) ?? parts).join("/");
  const access = SOCKETS.get(name);
  return parts === null || access === undefined ? null : { name, path: rebuilt(parts), access };
}

/** The dialect in which a request to `path` (the whole path of the URL) wants its errors. */
export function dialectOf(path: string): Dialect {
  const isOllama = Object.keys(OLLAMA_REST).some((name) => path === `/${name}` || path.startsWith(`/${name}/`));
  return MODEL_ROUTES.get(path)?.dialect ?? (isOllama ? "ollama" : "openai");
}

const rebuilt = (parts: readonly string[]): string => `/${parts.map(encodeURIComponent).join("/")}`;

function belowPrefix(parts: readonly string[]): readonly string[] | null {
  const rest = parts[0] === "api" ? parts.slice(1) : parts;
  return rest.length > 1 && (rest[0] === "v1" || rest[0] === "v0") ? rest.slice(1) : null;
}

/** The parts of the path, decoded; null where one is empty, or is written so that another server may read it otherwise. */
function partsOf(path: string): readonly string[] | null {
  const parts = path.slice(1).split("/").map(decodedPart);
  return parts.every((part) => part !== null) ? parts : null;
}

function decodedPart(part: string): string | null {
  if (part === "" || part === "." || part === ".." || !/^[\w.~!$&'()*+,=:@%-]*$/.test(part)) return null;
  for (const [escape] of part.matchAll(/%[0-9a-f]{2}/gi))
    if (!needsEscape(Number.parseInt(escape.slice(1), 16))) return null;
  try {
    return decodeURIComponent(part);
  } catch {
    return null; // Not valid UTF-8, so not a name.
  }
}

/** Whether an escaped byte is allowed: not a letter, which needs no escape, and not one that ends a part, a path or a text. */
const needsEscape = (byte: number): boolean =>
  byte > 0x7f || !/[\w.~\-/\\;%\u0000-\u001f\u007f]/.test(String.fromCharCode(byte));
