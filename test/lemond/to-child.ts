// One request of lemond's to the child of a model, in the words that this kind of child wants, or to the cloud.
import { route } from "./child-routes.ts";
import type { Body } from "./child-sim.ts";
import type { Entry } from "./entry.ts";
import type { Exchange } from "./http-peer.ts";

export class LostChild extends Error {
  override readonly name = "LostChild";
}

export interface Asking {
  readonly path: string;
  readonly body: string | Uint8Array;
  readonly contentType?: string;
}

/** Headers and the first byte of the reply, or `LostChild`. A client that leaves ends it. */
export async function askChild(exchange: Exchange, entry: Entry, asking: Asking): Promise<Response> {
  const { path, body, contentType = "application/json" } = asking;
  if (entry.spec.recipe === "cloud") return askCloud(entry, asking);
  const gone = new AbortController();
  exchange.onGone(() => gone.abort());
  const url = `http://127.0.0.1:${entry.child.port}${path}`;
  const headers = { "content-type": contentType, connection: "close" };
  const sent = { method: "POST", headers, body, keepalive: false, timeout: false } as const;
  try {
    return await fetch(url, { ...sent, body: bytesOf(body), signal: gone.signal });
  } catch (cause) {
    throw new LostChild(curlWords(cause), { cause });
  }
}

export async function textOf(response: Response): Promise<string> {
  try {
    return await response.text();
  } catch (cause) {
    throw new LostChild(curlWords(cause), { cause });
  }
}

const bytesOf = (body: string | Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(body));

const curlWords = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED"
    ? "CURL error: Couldn't connect to server"
    : "CURL error: Server returned nothing (no headers, no data)";

/** The provider of a cloud model is no process of ours: it answers at once, as a llama-server would. */
function askCloud({ spec }: Entry, { path, body }: Asking): Response {
  const { id: model, checkpoint, type, chat } = spec;
  const times = { warmMs: 0, pingMs: 0, idleMs: 0, closeMs: 0, endsAtTerm: false };
  const settings = { model, checkpoint, type, chat, recipe: "llamacpp", ctxSize: spec.maxContextWindow, ...times };
  const bytes = Buffer.from(body);
  const incoming = { method: "POST", target: path, path, headers: {}, body: bytes, bodySha256: "" };
  const { reply } = route(incoming, { settings, busySlots: () => 0 });
  const parts = Buffer.concat(reply.parts.map((part) => Buffer.from(part)));
  return new Response(Uint8Array.from(parts), {
    status: reply.status,
    headers: { "content-type": reply.contentType },
  });
}

/** `flm`, `vllm` and `ryzenai-llm` want the name that they serve (fastflowlm_server.cpp, vllm_server.cpp); llama-server takes any. */
export const wantsOwnName = ({ recipe }: Entry["spec"]): boolean => recipe !== "llamacpp";

export const inItsWords = (entry: Entry, body: Body): string =>
  JSON.stringify(wantsOwnName(entry.spec) ? { ...body, model: entry.spec.checkpoint } : body);
