// lemond's control API: health, models, load, unload. Reports what lemond says as values; decides nothing.
import * as v from "valibot";
import { OWN_CONNECTION } from "../dispatch/attempt.ts";
import { type HealthAnswer, lemondAt, parseHealth } from "./listing.ts";
import { inTime } from "./in-time.ts";
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
/** By then a fetch has ended by its own signal. */
const LATE_MS = 500;

interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly text: string;
}

/** A client of the lemond at `url` (origin without a trailing slash). No call throws. */
export function createLemonade({ url, apiKey, loadTimeoutMs }: LemonadeOptions): Lemonade {
  let modelsFault: string | null = null;
  const lemond = lemondAt(url);
  // lemond has 8 to 32 workers and keeps one busy per open connection: we leave no connection open.
  const keyHeaders: Record<string, string> = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  const headers = { connection: "close", ...keyHeaders };

  const ask = async (path: string, init: RequestInit, timeoutMs: number): Promise<Answer> => {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(`${url}${path}`, { headers, ...init, ...OWN_CONNECTION, signal });
    return { ok: response.ok, status: response.status, text: await response.text() };
  };
  const get = (path: string): Promise<Answer> => inTime(ask(path, {}, ANSWER_MS), ANSWER_MS + LATE_MS);

  const post = async (
    path: string,
    body: Readonly<Record<string, unknown>>,
    timeoutMs: number,
    method: "POST" | "DELETE" = "POST",
  ): Promise<Done> => {
    try {
      const init = { method, headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) };
      const { ok, status, text } = await inTime(ask(path, init, timeoutMs), timeoutMs + LATE_MS);
      const reply = { status, text };
      return ok
        ? { ok: true, reply, checkpoint: checkpointIn(text) }
        : { ok: false, status, error: errorText(text), reply };
    } catch (error) {
      return { ok: false, status: null, error: causeOf(error), reply: null };
    }
  };

  return {
    url,
    keyHeaders,
    health: async (askedAt) => {
      try {
        const { ok, status, text } = await get("/v1/health");
        const kind = status === 401 || status === 403 ? "denied" : "silent";
        if (!ok) return { kind, cause: `health answered ${status}: ${errorText(text)}` };
        return parseHealth(text, askedAt, lemond);
      } catch (error) {
        const cause = causeOf(error);
        return cause === "ECONNREFUSED" ? { kind: "refused" } : { kind: "silent", cause };
      }
    },
    isLive: async () => {
      try {
        return (await get("/live")).ok;
      } catch {
        return false; // Not an error: this is the question.
      }
    },
    models: async (showAll = false) => {
      try {
        const { ok, status, text } = await get(showAll ? "/v1/models?show_all=true" : "/v1/models");
        const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Models), text);
        if (ok && parsed.success) {
          modelsFault = null;
          return parsed.output.data;
        }
        modelsFault = ok
          ? "the model list is not what lemond answers"
          : `the model list answered ${status}: ${errorText(text)}`;
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
