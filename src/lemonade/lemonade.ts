// lemond's control API: health, models, load, unload. Reports what lemond says as values; decides nothing.
import * as v from "valibot";
import { OWN_CONNECTION } from "../dispatch/attempt.ts";
import { type HealthAnswer, lemondAt, parseHealth } from "./listing.ts";
import type { KnownModel } from "./models.ts";

const Models = v.object({ data: v.array(v.looseObject({ id: v.string() })) });

/** `reply` is lemond's own answer. */
export type Done =
  | {
      readonly ok: true;
      readonly reply: LemondReply;
      /** Of the model that a load brought. */ readonly checkpoint: string | null;
    }
  | { readonly ok: false; readonly status: number | null; readonly error: string; readonly reply: LemondReply | null };

export interface LemondReply {
  readonly status: number;
  readonly text: string;
}

export interface Lemonade {
  readonly url: string;
  /** The headers that prove us to lemond; empty where there is no key. */
  readonly keyHeaders: Readonly<Record<string, string>>;
  /** `question` comes back as `askedAt`. */
  health(question: number): Promise<HealthAnswer>;
  /** True when lemond answers `/live`, which it does even while its health is blocked. */
  isLive(): Promise<boolean>;
  /** What lemond could load, with `showAll` also what it would have to download first; null when it does not say. */
  models(showAll?: boolean): Promise<readonly KnownModel[] | null>;
  /** Why the last `models()` gave null; null where it gave the list. */
  modelsFault(): string | null;
  load(model: string, options: Readonly<Record<string, unknown>>, timeoutMs?: number): Promise<Done>;
  unload(model: string): Promise<Done>;
  /** Any other order, at its own path (`/v1/delete`). */
  post(path: string, body: Readonly<Record<string, unknown>>, method: "POST" | "DELETE"): Promise<Done>;
}

export interface LemonadeOptions {
  readonly url: string;
  readonly apiKey: string | null;
  readonly loadTimeoutMs: number;
}

const ANSWER_MS = 3000;

/** A client of the lemond at `url` (origin without a trailing slash). No call throws. */
export function createLemonade({ url, apiKey, loadTimeoutMs }: LemonadeOptions): Lemonade {
  let modelsFault: string | null = null;
  const lemond = lemondAt(url);
  // lemond has 8 to 32 workers and keeps one busy per open connection: we leave no connection open.
  const keyHeaders: Record<string, string> = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  const headers = { connection: "close", ...keyHeaders };

  const get = (path: string): Promise<Response> =>
    fetch(`${url}${path}`, { headers, ...OWN_CONNECTION, signal: AbortSignal.timeout(ANSWER_MS) });

  const post = async (
    path: string,
    body: Readonly<Record<string, unknown>>,
    timeoutMs: number,
    method: "POST" | "DELETE" = "POST",
  ): Promise<Done> => {
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify(body),
        ...OWN_CONNECTION,
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await response.text();
      const reply = { status: response.status, text };
      return response.ok
        ? { ok: true, reply, checkpoint: checkpointIn(text) }
        : { ok: false, status: response.status, error: errorText(text), reply };
    } catch (error) {
      return { ok: false, status: null, error: causeOf(error), reply: null };
    }
  };

  return {
    url,
    keyHeaders,
    health: async (askedAt) => {
      try {
        const response = await get("/v1/health");
        const text = await response.text();
        const kind = response.status === 401 || response.status === 403 ? "denied" : "silent";
        if (!response.ok) return { kind, cause: `health answered ${response.status}: ${errorText(text)}` };
        return parseHealth(text, askedAt, lemond);
      } catch (error) {
        const cause = causeOf(error);
        return cause === "ECONNREFUSED" ? { kind: "refused" } : { kind: "silent", cause };
      }
    },
    isLive: async () => {
      try {
        const response = await get("/live");
        await response.arrayBuffer();
        return response.ok;
      } catch {
        return false; // Not an error: this is the question.
      }
    },
    models: async (showAll = false) => {
      try {
        const response = await get(showAll ? "/v1/models?show_all=true" : "/v1/models");
        const text = await response.text();
        const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Models), text);
        if (response.ok && parsed.success) {
          modelsFault = null;
          return parsed.output.data;
        }
        modelsFault = response.ok
          ? "the model list is not what lemond answers"
          : `the model list answered ${response.status}: ${errorText(text)}`;
      } catch (error) {
        modelsFault = causeOf(error);
      }
      return null; // The caller keeps what it knew.
    },
    modelsFault: () => modelsFault,
    post: (path, body, method) => post(path, body, loadTimeoutMs, method),
    load: (model, options, timeoutMs = loadTimeoutMs) => post("/v1/load", { ...options, model_name: model }, timeoutMs),
    // An unload without a name unloads every model: we always send the name.
    unload: (model) => post("/v1/unload", { model_name: model }, loadTimeoutMs),
  };
}

/** The checkpoint that a load reports: it tells an alias from its model. */
function checkpointIn(body: string): string | null {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), v.object({ checkpoint: v.string() })), body);
  return parsed.success ? parsed.output.checkpoint : null;
}

/** lemond's errors are objects or plain strings (`{"error":"Model not loaded: X"}`); cut to a length that a log line bears. */
function errorText(body: string): string {
  const Message = v.union([
    v.string(),
    v.pipe(
      v.object({ message: v.string() }),
      v.transform((error) => error.message),
    ),
  ]);
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), v.object({ error: Message })), body);
  return (parsed.success ? parsed.output.error : "no error text").slice(0, 300);
}

export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if (error.name === "TimeoutError") return "no answer in time";
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
