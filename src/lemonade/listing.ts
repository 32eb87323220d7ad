// What lemond's health says: which models are loaded, where their children are, and which of those may be dialled. Pure.
import * as v from "valibot";
import { isThisMachine } from "../config/machine.ts";
import { hostName, isLoopback } from "../http/loopback.ts";

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

/** `refused`: nothing listens. `denied`: our key is wrong. `silent`: no usable answer. `cause` says why. */
export type HealthAnswer =
  | Listing
  | { readonly kind: "refused" }
  | { readonly kind: "denied"; readonly cause: string }
  | { readonly kind: "silent"; readonly cause: string };

interface Lemond {
  readonly name: string;
  readonly isHere: boolean;
}

/** A lemond elsewhere lists ports of its own host: they are not ours to dial. */
export function lemondAt(url: string): Lemond {
  const { host } = new URL(url);
  return { name: hostName(host), isHere: isThisMachine(host) };
}

export function parseHealth(text: string, askedAt: number, lemond: Lemond): HealthAnswer {
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
