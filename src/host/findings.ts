// Judges what doctor saw: what is right, what is a nuisance, what will go wrong, and what to do about it. Pure.
import type { Config } from "../config/config.ts";
import { isLoopback } from "../http/loopback.ts";
import { type Finding, ok, type Seen, serious, warning } from "./finding.ts";
import { lemondFindings } from "./lemond-findings.ts";

export const findings = (seen: Seen): Finding[] => [
  ...seen.lemonds.flatMap(lemondFindings),
  ...aboutPrivacy(seen),
  aboutPort(seen),
  aboutKeys(seen.config),
];

/** Where prompts leave this machine. A lemond elsewhere is said to be elsewhere in its own finding. */
function aboutPrivacy({ config, lemonds }: Seen): Finding[] {
  const away = new Map(
    config.upstreams
      .filter(({ url }) => !isLoopback(new URL(url).hostname))
      .map(({ name, url }) => [name, url] as const),
  );
  for (const { slots, config, isHere } of lemonds)
    if (!isHere) for (const { name } of slots) away.set(name, config.url);
  const remotes = config.upstreams.flatMap(({ name, url, models }) =>
    away.has(name)
      ? [ok(`prompts for ${models.join(", ")} leave this machine: to ${name} at ${new URL(url).origin}`)]
      : [],
  );
  const fallbacks = config.slots.flatMap((slot) =>
    slot.fallback.flatMap(({ upstream }) => {
      const url = away.get(upstream);
      if (url === undefined || away.has(slot.name)) return [];
      return warning(
        `prompts for slot ${slot.name} leave this machine while it cannot answer: to ${upstream} at ${new URL(url).origin}`,
        `nothing, if that is meant; else take ${upstream} out of slots.${slot.name}.fallback`,
      );
    }),
  );
  if (remotes.length + fallbacks.length > 0) return [...remotes, ...fallbacks];
  return [ok("prompts go to lemond alone: no upstream elsewhere is configured")];
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
    `no key is set: whoever reaches ${host} may use the models`,
    "set HAL0_DISPATCH_API_KEYS in /etc/hal0/dispatch.env, and allow_anonymous = false",
  );
}
