// What doctor says of one lemond: where it is, whether it answers, the slots' models, the room for them, and their processes. Pure.
import { plainModel } from "../lemonade/names.ts";
import type { Listing } from "../lemonade/listing.ts";
import { type Finding, type ListedModel, ok, type SeenChild, type SeenLemond, serious, warning } from "./finding.ts";

export function lemondFindings(lemond: SeenLemond): Finding[] {
  const { health } = lemond;
  const here = [...aboutPlace(lemond), aboutLemond(lemond)];
  if (health.kind !== "listing") return here;
  return [
    ...here,
    ...aboutModels(lemond, health),
    ...aboutRoom(lemond, health),
    ...aboutEviction(lemond, health),
    ...lemond.children.map(aboutChild),
    ...health.distrusted.map((model) =>
      serious(
        `${nameOf(lemond)} says that ${model} runs on another machine, and such an address is never dialled`,
        `point ${sectionOf(lemond)}.url at the lemond that runs the model`,
      ),
    ),
  ];
}

/** `lemond`, or a further one by its name. */
const nameOf = ({ name }: SeenLemond): string => (name === null ? "lemond" : `lemond ${name}`);
/** The section of the configuration. */
const sectionOf = ({ name }: SeenLemond): string => (name === null ? "lemonade" : `lemonades.${name}`);

function aboutPlace(lemond: SeenLemond): Finding[] {
  if (lemond.isHere) return [];
  return [
    warning(
      `${nameOf(lemond)} is on another machine (${lemond.config.url}): requests for its models go through its own port, and prompts cross the network`,
      "nothing, if that is meant; on that machine hal0-dispatch asks the models themselves and sees their processes",
    ),
  ];
}

function aboutLemond(lemond: SeenLemond): Finding {
  const { health, isLive, isOther, isHere, config } = lemond;
  const { url, apiKey } = config;
  const who = nameOf(lemond);
  switch (health.kind) {
    case "listing":
      return ok(`${who} answers at ${url}, version ${health.version}`);
    case "refused":
      return serious(
        `nothing listens at ${url}, where ${who} should be`,
        `${isHere ? "" : "there: "}systemctl start lemond (before Lemonade 10.3: lemonade-server), or set ${sectionOf(lemond)}.url`,
      );
    case "denied":
      return serious(
        `${who} at ${url} refuses ${apiKey === null ? "a caller without a key" : "our key"}`,
        `put its key into /etc/hal0/dispatch.env, under the name of ${sectionOf(lemond)}.api_key_env (${lemond.name === null ? "LEMONADE_API_KEY, if there is none" : "set one, if there is none"}), and restart the service`,
      );
    case "silent":
      if (isOther)
        return serious(
          `the server at ${url} is not lemond: it knows no /v1/health (404)`,
          `set ${sectionOf(lemond)}.url to lemond's own port, which is 13305 unless it was changed`,
        );
      return isLive
        ? warning(
            `${who} at ${url} lives but does not answer /v1/health: ${health.cause}`,
            "it is unloading; ask again soon",
          )
        : serious(
            `${url} does not answer as lemond does: ${health.cause}`,
            `look at journalctl -u lemond${isHere ? "" : " there"}, or set ${sectionOf(lemond)}.url`,
          );
  }
}

function aboutModels(lemond: SeenLemond, { loaded }: Listing): Finding[] {
  const { slots, models } = lemond;
  if (models === null && slots.length > 0)
    return [
      warning(`${nameOf(lemond)} does not list its models, so the slots' could not be looked up`, "ask again soon"),
    ];
  return slots.map(({ name, model }) => {
    const listed = find(models ?? [], model);
    if (loaded.some((entry) => isSame(entry.model, model))) return ok(`slot ${name}: ${model} is loaded`);
    if (!listed)
      return serious(
        `slot ${name}: ${nameOf(lemond)} does not know ${model}`,
        `lemonade list shows the names; mend slots.${name}.model`,
      );
    if (!listed.isDownloaded)
      return warning(
        `slot ${name}: ${model} is not downloaded, which the first request would wait for`,
        `lemonade pull ${model}`,
      );
    return ok(`slot ${name}: ${nameOf(lemond)} knows ${model}`);
  });
}

/** Slots of one type that lemond cannot hold at once push each other out. */
function aboutRoom(lemond: SeenLemond, { loaded, maxModels }: Listing): Finding[] {
  const { slots: all, models } = lemond;
  const byType = new Map<string, string[]>();
  for (const { name, model } of all) {
    const type = loaded.find((entry) => isSame(entry.model, model))?.type ?? find(models ?? [], model)?.type;
    if (type !== undefined) byType.set(type, [...(byType.get(type) ?? []), name]);
  }
  return [...byType].flatMap(([type, slots]) => {
    const room = maxModels[type];
    if (typeof room !== "number" || room < 0 || slots.length <= room) return [];
    return warning(
      `slots ${slots.join(", ")} are all of type ${type}, and ${nameOf(lemond)} keeps ${room} of it loaded: each load pushes another out`,
      `lemonade config set max_loaded_models=${slots.length}, if the memory is there`,
    );
  });
}

function aboutEviction(lemond: SeenLemond, { loaded }: Listing): Finding[] {
  const { evictsByDefault } = lemond;
  const { touchMs } = lemond.config;
  const who = nameOf(lemond);
  const section = sectionOf(lemond);
  const evicting = loaded.filter(({ options }) => (options?.["auto_evict"] ?? evictsByDefault) === true);
  const names = evicting.map(({ model }) => model);
  const what = evictsByDefault ? `${who} evicts idle models` : `${who} evicts ${names.join(", ")} when idle`;
  if (!evictsByDefault && evicting.length === 0) return [];
  if (touchMs === 0)
    return [
      serious(
        `${what}, and touch_s is 0: a model in use looks idle to lemond, since requests go past it`,
        `set ${section}.touch_s = 20, or switch lemond's auto_evict off`,
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
      `${who} evicts ${which.join(", ")}, and is told only every ${touchMs / 1000} s that it is in use`,
      `set ${section}.touch_s to half of that, or raise the model's evict_idle_timeout`,
    ),
  ];
}

function aboutChild({ loaded: { model, url, pid, recipe }, sign, isPidVisible }: SeenChild): Finding {
  switch (sign) {
    case null:
      return ok(`${model} (${recipe}) is loaded; its requests go through lemond`);
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

const isSame = (one: string, other: string): boolean => plainModel(one) === plainModel(other);
const find = (models: readonly ListedModel[], model: string) => models.find(({ id }) => isSame(id, model));
