// What the sections of the configuration file have in common: what they are read with, and how a table of tables is read.
import { dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import type { ConfigSources, SlotConfig } from "./config.ts";
import type { Placed } from "./conflicts.ts";
import * as field from "./fields.ts";
import { type Faults, keyPath, readValue } from "./tables.ts";

/** What a section is read with. */
export interface Reading extends ConfigSources {
  readonly slotDefaults: Omit<SlotConfig, "name" | "model">;
  /** The file; paths in it are relative to its folder. */
  readonly source: string | null;
  readonly faults: Faults;
  readonly notes: string[];
}

/** The keys of the whole file. */
export const sections = {
  server: v.optional(v.unknown()),
  lemonade: v.optional(v.unknown()),
  lemonades: v.optional(v.unknown()),
  slots: v.optional(v.unknown()),
  slots_dir: v.optional(v.unknown()),
  upstreams: v.optional(v.unknown()),
};

export function placed<T>(where: string, value: T): Placed<T>[] {
  return [{ value, at: (key) => (key === "name" ? where : keyPath(where, key)) }];
}

interface Entry {
  readonly where: string;
  readonly name: string;
  readonly value: unknown;
}

/** The tables of a table of tables (`[slots.primary]`), each with its path. */
export function entriesOf(section: string, value: unknown, faults: Faults): Entry[] {
  const table = readValue(section, value, field.table, faults) ?? {};
  return Object.entries(table).map(([name, value]) => {
    const where = keyPath(section, name);
    readValue(where, name, field.upstreamName, faults);
    return { where, name, value };
  });
}

/** A relative path in the file is relative to the file, wherever the program was started. */
export function beside(source: string | null, path: string): string {
  return source === null || isAbsolute(path) ? path : join(dirname(source), path);
}
