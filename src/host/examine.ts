// Looks at everything that doctor judges: each lemond, its models, their children, the port. Asks and reads, changes nothing.
import { createServer } from "node:net";
import * as v from "valibot";
import { OWN_CONNECTION } from "../dispatch/attempt.ts";
import type { Config, LemonadeConfig, SlotConfig } from "../config/config.ts";
import { isThisMachine } from "../config/machine.ts";
import type { ListedModel, Seen, SeenChild, SeenLemond, SeenPort } from "./finding.ts";
import { createLemonade } from "../lemonade/lemonade.ts";
import type { HealthAnswer, LoadedModel } from "../lemonade/listing.ts";
import { typeOfLabels } from "../lemonade/models.ts";
import { isDialled } from "../slots/children.ts";
import { createProbe } from "../lemonade/probe.ts";
import { plainModel } from "../lemonade/names.ts";
import { watchChild } from "../lemonade/process.ts";

const ANSWER_MS = 3000;
const Models = v.object({
  data: v.array(v.object({ id: v.string(), downloaded: v.optional(v.boolean(), true), labels: v.unknown() })),
});
/** Absent until it was set once. */
const LemondConfig = v.object({ auto_evict: v.optional(v.nullable(v.boolean()), false) });
const Live = v.object({ status: v.literal("ok") });
const Health = v.object({ status: v.picklist(["ok", "draining"]), version: v.optional(v.string()) });

export async function examine(config: Config, version: string): Promise<Seen> {
  const further = config.lemonades.map((lemonade) => lookAtLemond(config, lemonade, lemonade.name));
  const [port, ...lemonds] = await Promise.all([
    lookAtPort(config.server),
    lookAtLemond(config, config.lemonade, null),
    ...further,
  ]);
  return { config, version, lemonds, port };
}

/** `name` is null for the first. */
async function lookAtLemond(config: Config, lemond: LemonadeConfig, name: string | null): Promise<SeenLemond> {
  const lemonade = createLemonade(lemond);
  const ask = askerOf(lemond.url, lemond.apiKey);
  const [health, isLive, models, lemondConfig] = await Promise.all([
    lemonade.health(0),
    lemonade.isLive(),
    ask("/v1/models?show_all=true", Models),
    ask("/internal/config", LemondConfig),
  ]);
  const slots = config.slots.filter((slot) => slot.lemonade === name);
  return {
    name,
    config: lemond,
    slots,
    isHere: isThisMachine(new URL(lemond.url).host),
    health,
    isLive,
    isOther: health.kind === "silent" && (await lacks(`${lemond.url}/v1/health`)),
    models: models?.data.map(listedModel) ?? null,
    evictsByDefault: lemondConfig?.auto_evict === true,
    children: await lookAtChildren(slots, lemond.autoSlots, health),
  };
}

async function lacks(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { ...OWN_CONNECTION, signal: AbortSignal.timeout(ANSWER_MS) });
    await response.arrayBuffer();
    return response.status === 404;
  } catch {
    return false; // Nobody is there, or it does not answer: then it is not known what it is.
  }
}

function listedModel({ id, downloaded, labels }: v.InferOutput<typeof Models>["data"][number]): ListedModel {
  return { id, isDownloaded: downloaded, type: typeOfLabels(labels) };
}

/** The children of the slots, or of every model if implicit slots are served. */
async function lookAtChildren(
  slots: readonly SlotConfig[],
  autoSlots: boolean,
  health: HealthAnswer,
): Promise<SeenChild[]> {
  if (health.kind !== "listing") return [];
  const looked = health.loaded.map((loaded) => {
    const slot = slots.find(({ model }) => plainModel(model) === plainModel(loaded.model));
    return slot || autoSlots ? lookAtChild(loaded, slot?.via ?? "auto") : null;
  });
  return (await Promise.all(looked)).filter((child) => child !== null);
}

async function lookAtChild(loaded: LoadedModel, via: SlotConfig["via"]): Promise<SeenChild> {
  // The same rule as for a slot's requests: a port that they do not dial is not asked here either.
  if (!isDialled({ config: { via } }, loaded)) return { loaded, isPidVisible: false, sign: null };
  const process = watchChild(loaded);
  const isPidVisible = process !== null;
  process?.close();
  const probe = createProbe();
  const sign = await probe.health(loaded.url);
  if (sign !== "ok" || isPidVisible || loaded.checkpoint === null) return { loaded, isPidVisible, sign };
  const identity = await probe.identity(loaded.url, loaded.checkpoint, AbortSignal.timeout(ANSWER_MS));
  return { loaded, isPidVisible, sign: identity };
}

async function lookAtPort({ host, port, apiKeys }: Config["server"]): Promise<SeenPort> {
  const code = await tryToListen(host, port);
  if (code === null) return { kind: "free" };
  if (code !== "EADDRINUSE") return { kind: "unusable", why: REASONS[code] ?? code };
  const ask = askerOf(`http://${host.includes(":") ? `[${host}]` : host}:${port}`, apiKeys[0] ?? null);
  // lemond has a /live like ours, llama-server a /health; neither has both.
  const [live, health] = await Promise.all([ask("/live", Live), ask("/health", Health)]);
  return live && health ? { kind: "ours", version: health.version ?? null } : { kind: "taken" };
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRNOTAVAIL: "this machine does not have that address",
  ENOTFOUND: "there is no such name",
};

/** Null when it could, else the error's code. */
function tryToListen(host: string, port: number): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const server = createServer();
  server.once("error", (error) => resolve("code" in error ? String(error.code) : error.name));
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  return promise;
}

/** GETs a path and gives what it says, null where that is not of the wanted shape. A server that drains says it with 503. */
function askerOf(origin: string, key: string | null) {
  const headers = { connection: "close", ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
  return async <S extends v.GenericSchema>(path: string, schema: S): Promise<v.InferOutput<S> | null> => {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const response = await fetch(`${origin}${path}`, { headers, ...OWN_CONNECTION, signal });
      const parsed = v.safeParse(schema, await response.json());
      return parsed.success ? parsed.output : null;
    } catch {
      return null; // No answer, or not JSON: the finding says which.
    }
  };
}
