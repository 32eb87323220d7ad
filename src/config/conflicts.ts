// What slots and remotes may not share: names, models, patterns, and being the default. Pure.
import type { RemoteConfig, SlotConfig } from "./config.ts";
import { keyPath } from "./tables.ts";
import { plainModel } from "../dispatch/resolve.ts";

/** A value and where it was written: `at("model")` is the path of that key, `at("name")` of the name. */
export interface Placed<T> {
  readonly value: T;
  at(key: string): string;
}

/** One fault a line, at the later of the two places. */
export function conflicts(slots: readonly Placed<SlotConfig>[], remotes: readonly Placed<RemoteConfig>[]): string[] {
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

  const name = once((name, first) => `the name "${name}" is taken by ${first}`);
  for (const { value, at } of slots) name(value.name, at("name"));
  for (const { value, at } of remotes) name(value.name, at("name"));
  // After the names, so that an alias is what gives way.
  for (const { value, at } of slots)
    value.aliases.forEach((alias, index) => name(alias, keyPath(at("aliases"), index)));

  const model = once((_, first) => `the model is that of ${first}, and a model can have one slot only`);
  for (const { value, at } of slots) model(plainModel(value.model), at("model"));

  const isDefault = once((_, first) => `the default is ${first} already`);
  for (const { value, at } of slots) if (value.isDefault) isDefault("default", at("default"));

  const pattern = once((name, first) => `"${name}" is in ${first} already`);
  for (const { value, at } of remotes)
    value.models.forEach((model, index) => pattern(model, keyPath(at("models"), index)));
  return faults;
}
