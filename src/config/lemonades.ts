// The lemonds: `[lemonade]`, which is the first, and `[lemonades.NAME]`, which only serve the slots that name them.
import * as v from "valibot";
import type { LemonadeConfig } from "./config.ts";
import type { Placed } from "./conflicts.ts";
import * as field from "./fields.ts";
import { readGiven } from "./given.ts";
import { readKeyFrom } from "./secrets.ts";
import { entriesOf, placed, type Reading } from "./sections.ts";
import { keyPath, readTable } from "./tables.ts";

const KEY_VARIABLE = "LEMONADE_API_KEY";

const shared = {
  load_timeout_s: v.optional(field.seconds(0.1), 600),
  poll_s: v.optional(field.seconds(0.01), 1),
  touch_s: v.optional(field.seconds(0), 20),
  max_requests: v.optional(field.count),
};

const firstFields = {
  ...shared,
  url: v.optional(field.originUrl, "http://127.0.0.1:13305"),
  api_key_env: v.optional(field.envName, KEY_VARIABLE),
  auto_slots: v.optional(field.flag, true),
  internal: v.optional(field.flag, false),
};

const ofFirst = v.literal(false, "expected false: only [lemonade] can have it");
const furtherFields = {
  ...shared,
  url: field.originUrl,
  api_key_env: v.optional(field.envName),
  auto_slots: v.optional(ofFirst, false),
  internal: v.optional(ofFirst, false),
};

export function readLemonade(value: unknown, { args, env, faults }: Reading): Placed<LemonadeConfig> | null {
  const given = readGiven(
    field.originUrl,
    faults,
    ["--lemonade", args.lemonade],
    ["HAL0_DISPATCH_LEMONADE_URL", env.HAL0_DISPATCH_LEMONADE_URL],
  );
  const file = readTable("lemonade", value, firstFields, faults);
  if (file === null) return null;
  const isOptional = file.api_key_env === KEY_VARIABLE;
  const apiKey = readKeyFrom("lemonade.api_key_env", file.api_key_env, env, faults, isOptional);
  return {
    value: { ...valuesOf(file), url: given?.value ?? file.url, apiKey },
    at: (key) => (key === "url" && given ? given.where : keyPath("lemonade", key)),
  };
}

export function readLemonades(
  value: unknown,
  { env, faults }: Reading,
): Placed<LemonadeConfig & { readonly name: string }>[] {
  return entriesOf("lemonades", value, faults).flatMap(({ where, name, value }) => {
    const file = readTable(where, value, furtherFields, faults);
    if (file === null) return [];
    const variable = file.api_key_env;
    const apiKey = variable === undefined ? null : readKeyFrom(`${where}.api_key_env`, variable, env, faults);
    return placed(where, { ...valuesOf(file), name, url: file.url, apiKey });
  });
}

/** What the keys that all lemonds share become. */
function valuesOf(file: {
  load_timeout_s: number;
  poll_s: number;
  touch_s: number;
  auto_slots: boolean;
  internal: boolean;
  max_requests?: number | undefined;
}): Omit<LemonadeConfig, "url" | "apiKey"> {
  return {
    loadTimeoutMs: file.load_timeout_s,
    pollMs: file.poll_s,
    touchMs: file.touch_s,
    autoSlots: file.auto_slots,
    internal: file.internal,
    maxRequests: file.max_requests ?? null,
  };
}
