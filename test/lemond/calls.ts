// What is noted of a request that lemond got.
import type { Exchange } from "./http-peer.ts";
import { foldedPath } from "./routes.ts";
import type { Call } from "./types.ts";

export type MutableCall = { -readonly [K in keyof Call]: Call[K] };

export function callOf({ method, target, path, headers, body, connection }: Exchange): MutableCall {
  const parsed = body.length <= 1 << 20 ? jsonOrText(body.toString("utf8")) : null;
  return {
    method,
    path: target,
    route: foldedPath(path),
    headers,
    body: parsed,
    bodyBytes: body.length,
    bodySha256: new Bun.CryptoHasher("sha256").update(body).digest("hex"),
    model: modelOf(parsed),
    connection,
    at: Date.now(),
    status: undefined,
    isAborted: false,
  };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Malformed bodies are part of what is recorded.
    return text;
  }
}

function modelOf(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const name = "model_name" in body ? body.model_name : "model" in body ? body.model : undefined;
  return typeof name === "string" ? name : undefined;
}
