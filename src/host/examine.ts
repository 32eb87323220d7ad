// Looks at everything that doctor judges: lemond, its models, their children, the port. Asks and reads, changes nothing.
import { createServer } from "node:net";
import * as v from "valibot";
import { OWN_CONNECTION } from "../dispatch/attempt.ts";
import type { Config } from "../config/config.ts";
import type { ListedModel, Seen, SeenChild, SeenPort } from "./findings.ts";
import { createLemonade, type HealthAnswer, typeOfLabels } from "../lemonade/lemonade.ts";
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
  const lemonade = createLemonade(config.lemonade);
  const ask = askerOf(config.lemonade.url, config.lemonade.apiKey);
  const [health, isLive, models, lemondConfig, port] = await Promise.all([
    lemonade.health(0),
    lemonade.isLive(),
    ask("/v1/models?show_all=true", Models),
    ask("/internal/config", LemondConfig),
    lookAtPort(config.server),
  ]);
  return {
    config,
    version,
    health,
    isLive,
    models: models?.data.map(listedModel) ?? null,
    evictsByDefault: lemondConfig?.auto_evict === true,
    children: await lookAtChildren(config, health),
    port,
  };
}

function listedModel({ id, downloaded, labels }: v.InferOutput<typeof Models>["data"][number]): ListedModel {
  return { id, isDownloaded: downloaded, type: typeOfLabels(labels) };
}

/** Those of the slots; of every model where each is served. */
async function lookAtChildren({ slots, lemonade }: Config, health: HealthAnswer): Promise<SeenChild[]> {
  if (health.kind !== "listing") return [];
  const probe = createProbe();
  const ours = health.loaded.filter(
    ({ model }) => lemonade.autoSlots || slots.some((slot) => plainModel(slot.model) === plainModel(model)),
  );
  return Promise.all(
    ours.map(async (loaded) => {
      const process = watchChild(loaded);
      const isPidVisible = process !== null;
      process?.close();
      const sign = await probe.health(loaded.url);
      if (sign !== "ok" || isPidVisible || loaded.checkpoint === null) return { loaded, isPidVisible, sign };
      return {
        loaded,
        isPidVisible,
        sign: await probe.identity(loaded.url, loaded.checkpoint, AbortSignal.timeout(ANSWER_MS)),
      };
    }),
  );
}

async function lookAtPort({ host, port, apiKeys }: Config["server"]): Promise<SeenPort> {
  const code = await tryToListen(host, port);
  if (code === null) return { kind: "free" };
  if (code !== "EADDRINUSE") return { kind: "unusable", why: REASONS[code] ?? code };
  const ask = askerOf(`http://${host.includes(":") ? `[${host}]` : host}:${port}`, apiKeys[0] ?? null);
  // lemond has a /live like ours and llama-server a /health, none of them both.
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
      return null; // No answer, or none that is JSON: the finding says which of the two matters.
    }
  };
}
