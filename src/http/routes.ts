// The model routes: which paths are dispatched, and which dialect their clients speak. Pure.
import type { Dialect } from "./errors.ts";

export interface ModelRoute {
  /** Path below the API prefix: `chat/completions`. Also the `route` label of metrics. */
  readonly path: string;
  readonly dialect: Dialect;
}

/** The same routes are served under both; Lemonade's own clients use the second. */
export const API_PREFIXES = ["/v1", "/api/v1"] as const;

export const MODEL_ROUTES: readonly ModelRoute[] = [
  { path: "chat/completions", dialect: "openai" },
  { path: "completions", dialect: "openai" },
  { path: "embeddings", dialect: "openai" },
  { path: "rerank", dialect: "openai" },
  { path: "reranking", dialect: "openai" },
  { path: "responses", dialect: "responses" },
  { path: "messages", dialect: "anthropic" },
  { path: "messages/count_tokens", dialect: "anthropic" },
];

/** The dialect in which a request to `path` (the whole path of the URL) wants its errors. */
export function dialectOf(path: string): Dialect {
  for (const prefix of API_PREFIXES) {
    if (path.startsWith(`${prefix}/`)) {
      const rest = path.slice(prefix.length + 1);
      return MODEL_ROUTES.find((route) => route.path === rest)?.dialect ?? "openai";
    }
  }
  return "openai";
}
