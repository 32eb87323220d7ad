// The upstreams: slots, from `[slots]` and from a hal0 host's slot files, and remotes. What they may not share is judged elsewhere.
import * as v from "valibot";
import type { RemoteConfig, SlotConfig } from "./config.ts";
import type { Placed } from "./conflicts.ts";
import { readFallbacks } from "./fallbacks.ts";
import * as field from "./fields.ts";
import { readKeyFrom } from "./secrets.ts";
import { beside, entriesOf, placed, type Reading } from "./sections.ts";
import { readSlotFiles } from "./slotfiles.ts";
import { keyPath, readTable, readValue } from "./tables.ts";
import type { Table } from "./toml.ts";

const SLOTS_FOLDER = "/etc/hal0/slots";

const slotFields = (defaults: Reading["slotDefaults"]) => ({
  model: field.modelName,
  aliases: v.optional(field.modelNames, [...defaults.aliases]),
  default: v.optional(field.flag, defaults.isDefault),
  gate: v.optional(field.oneOf(["reject", "hold"]), defaults.gate),
  hold_s: v.optional(field.seconds(0), defaults.holdMs / 1000),
  idle_after_s: v.optional(field.seconds(0), defaults.idleAfterMs / 1000),
  via: v.optional(field.oneOf(["auto", "child", "lemond"]), defaults.via),
  keep: v.optional(field.flag, defaults.keep),
  continue: v.optional(field.flag, defaults.isContinued),
  fallback: v.optional(field.anyList, []),
  fallback_after_s: v.optional(field.seconds(0), defaults.fallbackAfterMs / 1000),
  lemonade: v.optional(field.upstreamName),
  load: v.optional(field.loadOptions),
});

const remoteFields = {
  url: field.baseUrl,
  api_key_env: v.optional(field.envName),
  models: field.someModelNames,
};

/** The slots of `[slots]`, and those of a hal0 host's files: its usual folder is looked at only where there is no `[slots]`. */
export function readSlots(table: Table, from: Reading): Placed<SlotConfig>[] {
  const { faults, notes, slotDefaults, source } = from;
  const fields = slotFields(slotDefaults);
  const slots = entriesOf("slots", table.slots ?? {}, faults).flatMap(({ where, name, value }) => {
    const file = readTable(where, value, fields, faults);
    if (file === null) return [];
    return placed(where, {
      name,
      model: file.model,
      aliases: file.aliases,
      isDefault: file.default,
      gate: file.gate,
      holdMs: file.hold_s,
      idleAfterMs: file.idle_after_s,
      via: file.via,
      keep: file.keep,
      isContinued: file.continue,
      fallback: readFallbacks(keyPath(where, "fallback"), file.fallback, faults),
      fallbackAfterMs: file.fallback_after_s,
      lemonade: file.lemonade ?? null,
      load: file.load ?? null,
    });
  });

  const named = table.slots_dir === undefined ? null : readValue("slots_dir", table.slots_dir, field.path, faults);
  if (named === null && (table.slots !== undefined || table.slots_dir !== undefined)) return slots;
  const folder = named === null ? SLOTS_FOLDER : beside(source, named);
  const files = { folder, mayBeMissing: named === null, defaults: slotDefaults, files: from };
  return [...slots, ...readSlotFiles(files, faults, notes)];
}

export function readUpstreams(value: unknown, { env, faults }: Reading): Placed<RemoteConfig>[] {
  return entriesOf("upstreams", value, faults).flatMap(({ where, name, value }) => {
    const file = readTable(where, value, remoteFields, faults);
    if (file === null) return [];
    const { url, models, api_key_env: variable } = file;
    const apiKey = variable === undefined ? null : readKeyFrom(`${where}.api_key_env`, variable, env, faults);
    return placed(where, { name, url, apiKey, models });
  });
}
