// lemond's control API: health, models, load, unload. Reports what lemond says as values; decides nothing.
import * as v from "valibot";
import { isThisMachine } from "../config/machine.ts";
import { hostName, isLoopback } from "../http/loopback.ts";
import { OWN_CONNECTION } from "../dispatch/attempt.ts";

const Loaded = v.object({
  model_name: v.string(),
  backend_url: v.pipe(v.string(), v.url()),
  pid: v.optional(v.nullable(v.number()), null),
  checkpoint: v.optional(v.nullable(v.string()), null),
  type: v.optional(v.string(), "llm"),
  recipe_options: v.optional(v.nullable(v.record(v.string(), v.unknown())), null),
  recipe: v.optional(v.string(), "llamacpp"),
  last_use: v.optional(v.nullable(v.number()), null),
  is_busy: v.optional(v.boolean(), false),
});

const Health = v.object({
  all_models_loaded: v.array(v.unknown()),
  max_models: v.optional(v.record(v.string(), v.unknown()), {}),
  model_loaded: v.optional(v.nullable(v.string()), null),
  version: v.optional(v.string(), "unknown"),
});

const Models = v.object({ data: v.array(v.looseObject({ id: v.string() })) });

/** A model that lemond lists as loaded, in our words. */
export interface LoadedModel {
  readonly model: string;
  /** Base of the child's API, ending in `/v1`. */
  readonly url: string;
  readonly pid: number | null;
  /** What the child's own `/v1/models` calls the model. */
  readonly checkpoint: string | null;
  readonly type: string;
  /** Null where lemond does not say: then nothing is safe to send, a load with other options restarts the child. */
  readonly options: Readonly<Record<string, unknown>> | null;
  /** What runs it: `llamacpp`, `flm`, `whispercpp`, … */
  readonly recipe: string;
  /** Its URL is on loopback or on lemond's own host, and lemond runs on this machine: it can be dialled. */
  readonly isReachable: boolean;
  /** A time of lemond's own, which moves with each request that goes through lemond. */
  readonly lastUse: number | null;
  readonly isBusy: boolean;
}

/** One answer of `/v1/health`. */
export interface Listing {
  readonly kind: "listing";
  /** The number of the question: it orders listings and adoptions. */
  readonly askedAt: number;
  readonly loaded: readonly LoadedModel[];
  /** Per model type; a negative number is no limit. */
  readonly maxModels: Readonly<Record<string, unknown>>;
  readonly modelLoaded: string | null;
  readonly version: string;
  /** Models listed at a URL that is neither on loopback nor on lemond's own host: never dialled. */
  readonly distrusted: readonly string[];
}

/** Whether two models are listed at that URL. */
export function isShared({ loaded }: Listing, url: string): boolean {
  let count = 0;
  for (const listed of loaded) if (listed.url === url) count++;
  return count > 1;
}

/** `refused`: nothing listens. `denied`: our key is wrong. `silent`: no usable answer. `cause` says why. */
export type HealthAnswer =
  | Listing
  | { readonly kind: "refused" }
  | { readonly kind: "denied"; readonly cause: string }
  | { readonly kind: "silent"; readonly cause: string };

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

export type KnownModel = Readonly<Record<string, unknown>> & { readonly id: string };

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

interface Lemond {
  readonly name: string;
  readonly isHere: boolean;
}

/** A lemond elsewhere lists ports of its own host: they are not ours to dial. */
function lemondAt(url: string): Lemond {
  const { host } = new URL(url);
  return { name: hostName(host), isHere: isThisMachine(host) };
}

function parseHealth(text: string, askedAt: number, lemond: Lemond): HealthAnswer {
  const isTrusted = (host: string): boolean => isLoopback(hostName(host)) || hostName(host) === lemond.name;
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Health), text);
  if (!parsed.success) return { kind: "silent", cause: "health is not what lemond answers" };
  const { all_models_loaded, max_models, model_loaded, version } = parsed.output;
  const loaded = all_models_loaded.flatMap((entry) => {
    // A model that is still loading may be listed without a URL: it is left out.
    const model = v.safeParse(Loaded, entry);
    if (!model.success) return [];
    const { model_name, backend_url, recipe_options, last_use, is_busy, ...rest } = model.output;
    const url = backend_url.replace(/\/+$/, "");
    const { host, port } = new URL(url);
    const isReachable = lemond.isHere && isTrusted(host) && port !== "0";
    const pid = rest.pid === 0 ? null : rest.pid;
    return [
      {
        ...rest,
        pid,
        isReachable,
        model: model_name,
        url,
        options: recipe_options,
        lastUse: last_use,
        isBusy: is_busy,
      },
    ];
  });
  return {
    kind: "listing",
    askedAt,
    loaded,
    maxModels: max_models,
    modelLoaded: model_loaded,
    version,
    distrusted: loaded.filter(({ url }) => lemond.isHere && !isTrusted(new URL(url).host)).map(({ model }) => model),
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

/** lemond's model types by the label that its model list gives; anything else is an `llm`. */
const TYPE_OF_LABEL: Record<string, string> = {
  embeddings: "embedding",
  reranking: "reranking",
  transcription: "transcription",
  image: "image",
  tts: "tts",
};

/** The type of a model by its `labels` in lemond's list. */
export function typeOfLabels(labels: unknown): string {
  if (!Array.isArray(labels)) return "llm";
  for (const [label, type] of Object.entries(TYPE_OF_LABEL)) if (labels.includes(label)) return type;
  return "llm";
}
