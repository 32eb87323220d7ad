// Judges what doctor saw: what is well, what is a nuisance, what will go wrong, and what to do about it. Pure.
import type { Config } from "../config/config.ts";
import { isLoopback } from "../http/loopback.ts";
import type { HealthAnswer, Listing, LoadedModel } from "../lemonade/lemonade.ts";
import type { ChildSign } from "../slots/repair.ts";
import { plainModel } from "../lemonade/names.ts";

export interface Finding {
  /** `serious`: requests fail or models are lost until somebody acts. */
  readonly level: "ok" | "warning" | "serious";
  readonly what: string;
  /** Null where there is nothing to do. */
  readonly advice: string | null;
}

/** A model as lemond's list names it, those included that are not downloaded yet. */
export interface ListedModel {
  readonly id: string;
  readonly isDownloaded: boolean;
  /** As lemond counts it for `max_models`. */
  readonly type: string;
}

export interface SeenChild {
  readonly loaded: LoadedModel;
  readonly sign: ChildSign;
  readonly isPidVisible: boolean;
}

export type SeenPort =
  | { readonly kind: "free" }
  /** A hal0-dispatch; its version, where it tells us. */
  | { readonly kind: "ours"; readonly version: string | null }
  | { readonly kind: "taken" }
  | { readonly kind: "unusable"; readonly why: string };

/** Everything that was looked at. */
export interface Seen {
  readonly config: Config;
  readonly version: string;
  readonly health: HealthAnswer;
  readonly isLive: boolean;
  /** Null where lemond does not say. */
  readonly models: readonly ListedModel[] | null;
  /** `auto_evict` of lemond's own configuration, as far as it tells. */
  readonly evictsByDefault: boolean;
  readonly children: readonly SeenChild[];
  readonly port: SeenPort;
}

const ok = (what: string): Finding => ({ level: "ok", what, advice: null });
const warning = (what: string, advice: string): Finding => ({ level: "warning", what, advice });
const serious = (what: string, advice: string): Finding => ({ level: "serious", what, advice });

export function findings(seen: Seen): Finding[] {
  const { health, config } = seen;
  const here = [aboutPort(seen), aboutKeys(config)];
  if (health.kind !== "listing") return [aboutLemond(seen), ...here];
  return [
    aboutLemond(seen),
    ...aboutModels(seen, health),
    ...aboutRoom(seen, health),
    ...aboutEviction(seen, health),
    ...seen.children.map((child) => aboutChild(child, config)),
    ...health.distrusted.map((model) =>
      serious(
        `lemond says that ${model} runs on another machine, and such an address is never dialled`,
        "point lemonade.url at the lemond that runs the model",
      ),
    ),
    ...here,
  ];
}

function aboutLemond({ health, isLive, config }: Seen): Finding {
  const { url, apiKey } = config.lemonade;
  switch (health.kind) {
    case "listing":
      return ok(`lemond ${health.version} answers at ${url}`);
    case "refused":
      return serious(
        `nothing listens at ${url}, where lemond should be`,
        "systemctl start lemond (before Lemonade 10.3: lemonade-server), or set lemonade.url",
      );
    case "denied":
      return serious(
        `lemond at ${url} refuses ${apiKey === null ? "a caller without a key" : "our key"}`,
        "put LEMONADE_API_KEY=… into /etc/hal0/dispatch.env and restart the service",
      );
    case "silent":
      return isLive
        ? warning(
            `lemond at ${url} lives but does not answer /v1/health: ${health.cause}`,
            "it is unloading; ask again soon",
          )
        : serious(
            `${url} does not answer as lemond does: ${health.cause}`,
            "look at journalctl -u lemond, or set lemonade.url",
          );
  }
}

function aboutModels({ config, models }: Seen, { loaded }: Listing): Finding[] {
  if (models === null && config.slots.length > 0)
    return [warning("lemond does not list its models, so the slots' could not be looked up", "ask again soon")];
  return config.slots.map(({ name, model }) => {
    const listed = find(models ?? [], model);
    if (loaded.some((entry) => isSame(entry.model, model))) return ok(`slot ${name}: ${model} is loaded`);
    if (!listed)
      return serious(
        `slot ${name}: lemond does not know ${model}`,
        `lemonade list shows the names; mend slots.${name}.model`,
      );
    if (!listed.isDownloaded)
      return warning(
        `slot ${name}: ${model} is not downloaded, which the first request would wait for`,
        `lemonade pull ${model}`,
      );
    return ok(`slot ${name}: lemond knows ${model}`);
  });
}

/** Slots of one type that lemond cannot hold at once push each other out. */
function aboutRoom({ config, models }: Seen, { loaded, maxModels }: Listing): Finding[] {
  const byType = new Map<string, string[]>();
  for (const { name, model } of config.slots) {
    const type = loaded.find((entry) => isSame(entry.model, model))?.type ?? find(models ?? [], model)?.type;
    if (type !== undefined) byType.set(type, [...(byType.get(type) ?? []), name]);
  }
  return [...byType].flatMap(([type, slots]) => {
    const room = maxModels[type];
    if (typeof room !== "number" || room < 0 || slots.length <= room) return [];
    return warning(
      `slots ${slots.join(", ")} are all of type ${type}, and lemond keeps ${room} of it loaded: each load pushes another out`,
      `lemonade config set max_loaded_models=${slots.length}, if the memory is there`,
    );
  });
}

function aboutEviction({ config, evictsByDefault }: Seen, { loaded }: Listing): Finding[] {
  const { touchMs } = config.lemonade;
  const evicting = loaded.filter(({ options }) => (options?.["auto_evict"] ?? evictsByDefault) === true);
  const names = evicting.map(({ model }) => model);
  const what = evictsByDefault ? "lemond evicts idle models" : `lemond evicts ${names.join(", ")} when idle`;
  if (!evictsByDefault && evicting.length === 0) return [];
  if (touchMs === 0)
    return [
      serious(
        `${what}, and touch_s is 0: a model in use looks idle to lemond, since requests go past it`,
        "set lemonade.touch_s = 20, or switch lemond's auto_evict off",
      ),
    ];
  const tooShort = evicting.filter(({ options }) => {
    const timeoutS = options?.["evict_idle_timeout"];
    return typeof timeoutS === "number" && timeoutS > 0 && timeoutS * 1000 <= touchMs;
  });
  if (tooShort.length === 0) return [ok(`${what}, and is told every ${touchMs / 1000} s which are in use`)];
  const which = tooShort.map(({ model, options }) => `${model} after ${String(options?.["evict_idle_timeout"])} s`);
  return [
    serious(
      `lemond evicts ${which.join(", ")}, and is told only every ${touchMs / 1000} s that it is in use`,
      "set lemonade.touch_s to half of that, or raise the model's evict_idle_timeout",
    ),
  ];
}

function aboutChild({ loaded: { model, url, pid }, sign, isPidVisible }: SeenChild, config: Config): Finding {
  const isElsewhere = !isLoopback(new URL(config.lemonade.url).hostname) && isLoopback(new URL(url).hostname);
  if (isElsewhere && sign !== "ok")
    return serious(
      `${model} runs on lemond's machine and listens there only (${url})`,
      "run hal0-dispatch on the machine of lemond",
    );
  switch (sign) {
    case "refused":
      return warning(
        `${model}: lemond lists it at ${url}, where nothing listens`,
        "nothing; the next request brings it back (Lemonade before 11 does not notice a dead model)",
      );
    case "stranger":
      return warning(`${model}: another model answers at ${url}`, "nothing; the next request sorts it out");
    case "silent":
      return warning(
        `${model} takes connections at ${url} and does not answer`,
        "busy or hung: if it stays so, POST /api/slots/NAME/restart",
      );
    case "loading":
      return ok(`${model} is still loading at ${url}`);
    case "ok":
      return isPidVisible
        ? ok(`${model} answers at ${url}, and its process ${pid} can be watched`)
        : warning(
            `${model} answers at ${url}, but its process ${pid ?? ""} cannot be seen from here`.replace("  ", " "),
            "fine, each request asks the port who it is first; run both in one container and without hidepid to spare that",
          );
  }
}

function aboutPort({ config, port, version }: Seen): Finding {
  const { host, port: number } = config.server;
  const where = `port ${number} on ${host}`;
  switch (port.kind) {
    case "free":
      return number > 0 && number < 1024
        ? warning(`${where} is free, but below 1024`, "the service needs CAP_NET_BIND_SERVICE for it: see the unit")
        : ok(number === 0 ? "any free port is taken" : `${where} is free`);
    case "ours":
      if (port.version !== null && port.version !== version)
        return warning(
          `hal0-dispatch ${port.version} runs at ${where}, this is ${version}`,
          "systemctl restart hal0-dispatch",
        );
      return ok(`hal0-dispatch runs at ${where}`);
    case "taken":
      return serious(
        `${where} is taken by another program`,
        `ss -ltnp 'sport = :${number}' names it; or set server.port`,
      );
    case "unusable":
      return serious(
        `cannot listen at ${where}: ${port.why}`,
        "set server.host and server.port to what this machine has",
      );
  }
}

/** loadConfig has refused an address without keys already, unless that was asked for. */
function aboutKeys({ server: { host, apiKeys } }: Config): Finding {
  if (apiKeys.length > 0) return ok(`${apiKeys.length === 1 ? "1 key is" : `${apiKeys.length} keys are`} set`);
  if (isLoopback(host)) return ok(`no key is needed: only this machine reaches ${host}`);
  return warning(
    `no key is set: whoever reaches ${host} may use, load and unload models`,
    "set HAL0_DISPATCH_API_KEYS in /etc/hal0/dispatch.env, and allow_anonymous = false",
  );
}

const isSame = (one: string, other: string): boolean => plainModel(one) === plainModel(other);
const find = (models: readonly ListedModel[], model: string) => models.find(({ id }) => isSame(id, model));
