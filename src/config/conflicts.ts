// What the sections may not share (names, models, patterns, addresses, being the default), and what one needs of another. Pure.
import type { Config, LemonadeConfig, RemoteConfig, SlotConfig } from "./config.ts";
import { fallbackFaults } from "./fallbacks.ts";
import { isOwnAddress, isSameAddress } from "./own-address.ts";
import { keyPath } from "./tables.ts";

/** A value and where it was written: `at("model")` is the path of that key, `at("name")` of the name. */
export interface Placed<T> {
  readonly value: T;
  at(key: string): string;
}

/** What was read; null and missing entries had faults of their own. */
interface Sections {
  readonly server: Config["server"] | null;
  readonly lemonade: Placed<LemonadeConfig> | null;
  readonly lemonades: readonly Placed<LemonadeConfig & { readonly name: string }>[];
  readonly slots: readonly Placed<SlotConfig>[];
  readonly upstreams: readonly Placed<RemoteConfig>[];
  /** Every name in the file, also of entries that are faulty. */
  readonly written: { readonly lemonades: readonly string[]; readonly upstreams: readonly string[] };
  ownHosts(): readonly string[];
}

/** One fault a line, at the later of the two places. */
export function conflicts(read: Sections): string[] {
  const { slots, upstreams: remotes } = read;
  const faults: string[] = [];
  /** Where each thing was first seen. A Map, since names can be `__proto__`. */
  const once = (say: (name: string, first: string) => string) => {
    const seen = new Map<string, string>();
    return (name: string, where: string): void => {
      const first = seen.get(name);
      if (first === undefined) seen.set(name, where);
      else faults.push(`${where}: ${say(name, first)}`);
    };
  };

  faults.push(...ofLemonds(read), ...ofOwnAddress(read));

  const name = once((name, first) => `the name "${name}" is taken by ${first}`);
  for (const { value, at } of slots) {
    name(value.name, at("name"));
    if (value.name === FEED)
      faults.push(`${at("name")}: a slot cannot be called "${FEED}", /api/slots/${FEED} is the feed`);
  }
  for (const { value, at } of remotes) name(value.name, at("name"));
  // After the names, so that an alias is what gives way.
  for (const { value, at } of slots)
    value.aliases.forEach((alias, index) => name(alias, keyPath(at("aliases"), index)));

  // As they are written: lemond can have `X` and `user.X` at once.
  const model = once((_, first) => `the model is that of ${first}, and a model can have one slot only`);
  for (const { value, at } of slots) model(JSON.stringify([value.lemonade, value.model]), at("model"));

  const isDefault = once((_, first) => `the default is ${first} already`);
  for (const { value, at } of slots) if (value.isDefault) isDefault("default", at("default"));

  const pattern = once((name, first) => `"${name}" is in ${first} already`);
  for (const { value, at } of remotes)
    value.models.forEach((model, index) => pattern(model, keyPath(at("models"), index)));
  return [...faults, ...fallbackFaults(slots, remotes, read.written.upstreams)];
}

/** Its place at `/api/slots/{name}` is taken. */
const FEED = "events";

/** The name of the first lemond, which has none in the file. */
const FIRST = "lemonade";

function ofLemonds({ server, lemonade, lemonades, slots, written }: Sections): string[] {
  const faults: string[] = [];
  if (lemonade?.value.internal && server?.adminKeys.length === 0)
    faults.push(
      `${lemonade.at("internal")}: needs an admin key: set server.admin_keys or HAL0_DISPATCH_ADMIN_KEYS, or leave it false`,
    );
  const seen: Placed<LemonadeConfig>[] = lemonade === null ? [] : [lemonade];
  for (const further of lemonades) {
    const { value, at } = further;
    if (value.name === FIRST) faults.push(`${at("name")}: "${FIRST}" is the name of the one in [lemonade]`);
    const same = seen.find((other) => isSameAddress(other.value.url, value.url));
    if (same) faults.push(`${at("url")}: this is the lemond of ${same.at("url")}`);
    seen.push(further);
  }
  for (const { value, at } of slots)
    if (value.lemonade !== null && !written.lemonades.includes(value.lemonade))
      faults.push(`${at("lemonade")}: there is no [lemonades.${value.lemonade}]`);
  return faults;
}

function ofOwnAddress({ server, lemonade, lemonades, upstreams, ownHosts }: Sections): string[] {
  if (server === null) return [];
  const others = [...(lemonade === null ? [] : [lemonade]), ...lemonades, ...upstreams];
  const hosts = ownHosts();
  const own = others.filter(({ value }) => isOwnAddress(value.url, server, hosts));
  return own.map(({ at }) => `${at("url")}: this is the address of this server itself (port ${server.port})`);
}
