// The sections of the configuration file: their keys, what each may be, and what they become. Takes defaults and sources as
// arguments; what slots and remotes may not share is judged elsewhere.
import { dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import type { Config, ConfigSources, RemoteConfig, SlotConfig } from "./config.ts";
import { isLoopback } from "../http/loopback.ts";
import type { Placed } from "./conflicts.ts";
import * as field from "./fields.ts";
import { readGiven } from "./given.ts";
import { readApiKeys, readKeyFrom } from "./secrets.ts";
import { readSlotFiles } from "./slotfiles.ts";
import { type Faults, keyPath, readTable, readValue } from "./tables.ts";
import type { Table } from "./toml.ts";

const SLOTS_FOLDER = "/etc/hal0/slots";
const LEMONADE_KEY = "LEMONADE_API_KEY";

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
  slots: v.optional(v.unknown()),
  slots_dir: v.optional(v.unknown()),
  upstreams: v.optional(v.unknown()),
};

const serverFields = {
  host: v.optional(field.bindHost, "127.0.0.1"),
  port: v.optional(field.port, 8080),
  api_keys: v.optional(field.keys, []),
  api_keys_file: v.optional(field.path),
  max_body_mb: v.optional(field.megabytes, 64),
  first_byte_timeout_s: v.optional(field.seconds(0), 3600),
  log_level: v.optional(field.logLevel, "info"),
  max_waiting: v.optional(field.count, 256),
  drain_s: v.optional(field.seconds(0), 30),
  allow_anonymous: v.optional(field.flag, false),
  allowed_hosts: v.optional(field.allowedHosts, []),
  cors_origins: v.optional(field.corsOrigins, []),
};

const lemonadeFields = {
  url: v.optional(field.originUrl, "http://127.0.0.1:13305"),
  api_key_env: v.optional(field.envName, LEMONADE_KEY),
  load_timeout_s: v.optional(field.seconds(0.1), 600),
  poll_s: v.optional(field.seconds(0.01), 1),
  touch_s: v.optional(field.seconds(0), 20),
  auto_slots: v.optional(field.flag, true),
};

const slotFields = (defaults: Reading["slotDefaults"]) => ({
  model: field.modelName,
  aliases: v.optional(field.modelNames, [...defaults.aliases]),
  default: v.optional(field.flag, defaults.isDefault),
  gate: v.optional(field.oneOf(["reject", "hold"]), defaults.gate),
  hold_s: v.optional(field.seconds(0), defaults.holdMs / 1000),
  idle_after_s: v.optional(field.seconds(0), defaults.idleAfterMs / 1000),
  load: v.optional(field.loadOptions),
});

const upstreamFields = {
  url: field.baseUrl,
  api_key_env: v.optional(field.envName),
  models: field.someModelNames,
};

export function readServer(value: unknown, { args, env, readFile, source, faults }: Reading): Config["server"] | null {
  const givenHost = readGiven(
    field.bindHost,
    faults,
    ["--host", args.host],
    ["HAL0_DISPATCH_HOST", env.HAL0_DISPATCH_HOST],
  );
  const givenPort = readGiven(
    field.portText,
    faults,
    ["--port", args.port],
    ["HAL0_DISPATCH_PORT", env.HAL0_DISPATCH_PORT],
  );
  const givenLevel = readGiven(field.logLevel, faults, ["HAL0_DISPATCH_LOG", env.HAL0_DISPATCH_LOG]);
  const file = readTable("server", value, serverFields, faults);
  if (file === null) return null;
  const keysFile = file.api_keys_file === undefined ? null : beside(source, file.api_keys_file);
  const apiKeys = readApiKeys({ listed: file.api_keys, keysFile, env, readFile }, faults);
  if (apiKeys === null) return null;

  const host = givenHost?.value ?? file.host;
  const allowAnonymous = args.allowAnonymous === true || file.allow_anonymous;
  if (apiKeys.length === 0 && !allowAnonymous && !isLoopback(host)) {
    faults.push(
      `${givenHost?.where ?? "server.host"}: other machines can reach ${host}, and there is no API key: ` +
        "set server.api_keys or HAL0_DISPATCH_API_KEYS, or pass --allow-anonymous",
    );
  }
  return {
    host,
    port: givenPort?.value ?? file.port,
    apiKeys,
    maxBodyBytes: file.max_body_mb,
    firstByteTimeoutMs: file.first_byte_timeout_s,
    logLevel: givenLevel?.value ?? file.log_level,
    maxWaiting: file.max_waiting,
    drainMs: file.drain_s,
    allowAnonymous,
    allowedHosts: file.allowed_hosts,
    corsOrigins: file.cors_origins,
  };
}

export function readLemonade(value: unknown, { args, env, faults }: Reading): Config["lemonade"] | null {
  const url = readGiven(
    field.originUrl,
    faults,
    ["--lemonade", args.lemonade],
    ["HAL0_DISPATCH_LEMONADE_URL", env.HAL0_DISPATCH_LEMONADE_URL],
  );
  const file = readTable("lemonade", value, lemonadeFields, faults);
  if (file === null) return null;
  const isOptional = file.api_key_env === LEMONADE_KEY;
  return {
    url: url?.value ?? file.url,
    apiKey: readKeyFrom("lemonade.api_key_env", file.api_key_env, env, faults, isOptional),
    loadTimeoutMs: file.load_timeout_s,
    pollMs: file.poll_s,
    touchMs: file.touch_s,
    autoSlots: file.auto_slots,
  };
}

/** The slots of `[slots]`, and those of a hal0 host's files: its usual folder is looked at only where there is no `[slots]`. */
export function readSlots(table: Table, from: Reading): Placed<SlotConfig>[] {
  const { faults, notes, slotDefaults, source } = from;
  const fields = slotFields(slotDefaults);
  const slots = entriesOf("slots", table.slots ?? {}, faults).flatMap(({ where, name, value }) => {
    const file = readTable(where, value, fields, faults);
    if (file === null) return [];
    const { model, aliases, default: isDefault, gate, hold_s: holdMs, idle_after_s: idleAfterMs, load = null } = file;
    return placed(where, { name, model, aliases, isDefault, gate, holdMs, idleAfterMs, load });
  });

  const named = table.slots_dir === undefined ? null : readValue("slots_dir", table.slots_dir, field.path, faults);
  if (named === null && (table.slots !== undefined || table.slots_dir !== undefined)) return slots;
  const folder = named === null ? SLOTS_FOLDER : beside(source, named);
  const files = { folder, mayBeMissing: named === null, defaults: slotDefaults, files: from };
  return [...slots, ...readSlotFiles(files, faults, notes)];
}

export function readUpstreams(value: unknown, { env, faults }: Reading): Placed<RemoteConfig>[] {
  return entriesOf("upstreams", value, faults).flatMap(({ where, name, value }) => {
    const file = readTable(where, value, upstreamFields, faults);
    if (file === null) return [];
    const { url, models, api_key_env: variable } = file;
    const apiKey = variable === undefined ? null : readKeyFrom(`${where}.api_key_env`, variable, env, faults);
    return placed(where, { name, url, apiKey, models });
  });
}

function placed<T>(where: string, value: T): Placed<T>[] {
  return [{ value, at: (key) => (key === "name" ? where : keyPath(where, key)) }];
}

/** The tables of a table of tables (`[slots.primary]`), each with its path. */
function entriesOf(section: string, value: unknown, faults: Faults): { where: string; name: string; value: unknown }[] {
  const table = readValue(section, value, field.table, faults) ?? {};
  return Object.entries(table).map(([name, value]) => {
    const where = keyPath(section, name);
    readValue(where, name, field.upstreamName, faults);
    return { where, name, value };
  });
}

/** A relative path in the file is relative to the file, wherever the program was started. */
function beside(source: string | null, path: string): string {
  return source === null || isAbsolute(path) ? path : join(dirname(source), path);
}
