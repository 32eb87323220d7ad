// The configuration: what it holds, what it is where nobody says otherwise, and how flags, environment and file become one
// value or a list of all faults. Touches no globals (a reload calls it again); no fault repeats a secret.
import type { Flags } from "../cli/args.ts";
import { conflicts, type Placed } from "./conflicts.ts";
import { attemptRead, type Files } from "./files.ts";
import { firstGiven } from "./given.ts";
import type { Env } from "./secrets.ts";
import { readLemonade, readServer, readSlots, readUpstreams, sections } from "./sections.ts";
import { type Faults, readTable } from "./tables.ts";
import { parseToml, type Table } from "./toml.ts";

/** What the server runs with: every value resolved, in the unit that its name says. */
export interface Config {
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly apiKeys: readonly string[];
    readonly maxBodyBytes: number;
    /** Of one attempt; 0 is no limit. */
    readonly firstByteTimeoutMs: number;
    readonly logLevel: LogLevel;
    /** Held requests per slot. */
    readonly maxWaiting: number;
    readonly drainMs: number;
    readonly allowAnonymous: boolean;
    /** `Host` values served besides loopback when there are no keys. */
    readonly allowedHosts: readonly string[];
    /** Foreign `Origin` values served; `*` is every one. */
    readonly corsOrigins: readonly string[];
  };
  readonly lemonade: {
    /** Origin without a trailing slash. */
    readonly url: string;
    readonly apiKey: string | null;
    readonly loadTimeoutMs: number;
    readonly pollMs: number;
    /** 0 is never. */
    readonly touchMs: number;
    readonly autoSlots: boolean;
  };
  readonly slots: readonly SlotConfig[];
  readonly upstreams: readonly RemoteConfig[];
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface SlotConfig {
  readonly name: string;
  readonly model: string;
  readonly aliases: readonly string[];
  readonly isDefault: boolean;
  readonly gate: "reject" | "hold";
  readonly holdMs: number;
  readonly idleAfterMs: number;
  /** Sent to lemond's /v1/load as they are; null: the options last seen for the model. */
  readonly load: Readonly<Record<string, unknown>> | null;
}

export interface RemoteConfig {
  readonly name: string;
  /** Base with its path (`https://openrouter.ai/api/v1`), without a trailing slash. */
  readonly url: string;
  readonly apiKey: string | null;
  /** Model names or patterns with `*`. */
  readonly models: readonly string[];
}

/** What an implicit slot, and a configured one that says nothing else, runs with. */
export const slotDefaults: Omit<SlotConfig, "name" | "model"> = {
  aliases: [],
  isDefault: false,
  gate: "reject",
  holdMs: 180_000,
  idleAfterMs: 300_000,
  load: null,
};

const CONFIG_FILE = "/etc/hal0/dispatch.toml";

/** Where a configuration comes from; main.ts passes `process.env` and the files of the system. */
export interface ConfigSources extends Files {
  readonly args: Flags;
  readonly env: Env;
}

export type Loaded =
  | {
      readonly ok: true;
      readonly config: Config;
      /** The file that was read, if any. */
      readonly source: string | null;
      /** What was passed over, for the log. */
      readonly notes: readonly string[];
    }
  | { readonly ok: false; readonly faults: readonly string[]; readonly source: string | null };

/**
 * The whole configuration. Faults are one line each, `path: sentence`, where the path is a key of the file
 * (`server.port`), a flag (`--port`), a variable (`HAL0_DISPATCH_PORT`) or a file. A missing `/etc/hal0/dispatch.toml` is none.
 */
export function loadConfig(sources: ConfigSources): Loaded {
  const faults: Faults = [];
  const notes: string[] = [];
  const file = readConfigFile(sources, faults);
  // Without its file the rest would only yield faults that are none.
  if (file === null) return { ok: false, faults, source: null };
  const { source, table } = file;

  const from = { ...sources, slotDefaults, source, faults, notes };
  readTable("", table, sections, faults);
  const server = readServer(table.server ?? {}, from);
  const lemonade = readLemonade(table.lemonade ?? {}, from);
  const slots = readSlots(table, from);
  const upstreams = readUpstreams(table.upstreams ?? {}, from);
  faults.push(...conflicts(slots, upstreams));
  if (server === null || lemonade === null || faults.length > 0) return { ok: false, faults, source };
  return { ok: true, config: { server, lemonade, slots: values(slots), upstreams: values(upstreams) }, source, notes };
}

const values = <T>(placed: readonly Placed<T>[]): T[] => placed.map(({ value }) => value);

function readConfigFile(sources: ConfigSources, faults: Faults): { source: string | null; table: Table } | null {
  const named = firstGiven(
    ["--config", sources.args.config],
    ["HAL0_DISPATCH_CONFIG", sources.env.HAL0_DISPATCH_CONFIG],
  );
  const path = named?.value ?? CONFIG_FILE;
  const text = attemptRead(() => sources.readFile(path));
  if (!text.ok && text.isMissing && !named) return { source: null, table: {} };
  if (!text.ok) {
    faults.push(`${named ? `${named.where}: ` : ""}${path} ${text.reason}`);
    return null;
  }
  const parsed = parseToml(path, text.value);
  if (parsed.ok) return { source: path, table: parsed.table };
  faults.push(parsed.fault);
  return null;
}
