// The configuration: what it holds, what it is where nobody says otherwise, and how flags, environment and file become one
// value or a list of all faults. Touches no globals (a reload calls it again); no fault repeats a secret.
import type { Flags } from "../cli/args.ts";
import { conflicts, type Placed } from "./conflicts.ts";
import { namedFallbacks } from "./fallbacks.ts";
import { attemptRead, type Files } from "./files.ts";
import { firstGiven } from "./given.ts";
import type { Env } from "./secrets.ts";
import { readLemonade, readLemonades } from "./lemonades.ts";
import { sections } from "./sections.ts";
import { readServer } from "./server.ts";
import { type Faults, readTable } from "./tables.ts";
import { isTable, namesInOrder, parseToml, type Table } from "./toml.ts";
import { readSlots, readUpstreams } from "./upstreams.ts";

/** What the server runs with: every value resolved, in the unit that its name says. */
export interface Config {
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly apiKeys: readonly string[];
    /** Each opens everything; where there are any, control needs one. */
    readonly adminKeys: readonly string[];
    readonly maxBodyBytes: number;
    /** Of a plain reply kept whole in memory. */
    readonly maxReplyBytes: number;
    /** Of one attempt; 0 is no limit. */
    readonly firstByteTimeoutMs: number;
    /** Of silence on a stream that waits; 0 is never. */
    readonly heartbeatMs: number;
    /** Whether the rest of lemond's routes is served too. */
    readonly passthrough: boolean;
    readonly logLevel: LogLevel;
    /** "auto": text on a terminal, JSON elsewhere. */
    readonly logFormat: "auto" | "json" | "text";
    /** Held requests per slot. */
    readonly maxWaiting: number;
    readonly drainMs: number;
    readonly allowAnonymous: boolean;
    /** `Host` values served besides loopback when there are no keys. */
    readonly allowedHosts: readonly string[];
    /** Foreign `Origin` values served; `*` is every one. */
    readonly corsOrigins: readonly string[];
  };
  /** The first lemond: implicit slots and pass-through are its own. */
  readonly lemonade: LemonadeConfig;
  /** Further ones, which serve the slots that name them. */
  readonly lemonades: readonly (LemonadeConfig & { readonly name: string })[];
  readonly slots: readonly SlotConfig[];
  readonly upstreams: readonly RemoteConfig[];
  /** Names of slots and remotes in the order of the file, which decides among patterns. */
  readonly order: readonly string[];
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface LemonadeConfig {
  /** Origin without a trailing slash. */
  readonly url: string;
  readonly apiKey: string | null;
  readonly loadTimeoutMs: number;
  readonly pollMs: number;
  /** 0 is never. */
  readonly touchMs: number;
  /** False at a further lemond. */
  readonly autoSlots: boolean;
  /** Whether lemond's `/internal` is served, to admin keys alone. False at a further lemond. */
  readonly internal: boolean;
  /** Most requests of ours at lemond's own port at once; null: by version. */
  readonly maxRequests: number | null;
}

export interface SlotConfig {
  readonly name: string;
  readonly model: string;
  readonly aliases: readonly string[];
  readonly isDefault: boolean;
  readonly gate: "reject" | "hold";
  readonly holdMs: number;
  readonly idleAfterMs: number;
  /** The way of an attempt: to the child itself, or to lemond's port; "auto" is by the model's recipe. */
  readonly via: "auto" | "child" | "lemond";
  /** Loaded again without a request when it is found gone. */
  readonly keep: boolean;
  /** Whether a stream whose child died goes on with the new one. */
  readonly isContinued: boolean;
  /** Who answers while the slot cannot, in this order. */
  readonly fallback: readonly Fallback[];
  /** How long a request is held before a fallback answers it; 0 is until the slot fails. */
  readonly fallbackAfterMs: number;
  /** Name of its lemond; null is the first. */
  readonly lemonade: string | null;
  /** Sent to lemond's /v1/load as they are; null: the options last seen for the model. */
  readonly load: Readonly<Record<string, unknown>> | null;
}

export interface Fallback {
  /** Name of a slot or a remote. */
  readonly upstream: string;
  /** Replaces the client's `model`: a text for a remote, null for a slot. */
  readonly model: string | null;
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
  via: "auto",
  keep: false,
  isContinued: true,
  fallback: [],
  fallbackAfterMs: 0,
  lemonade: null,
  load: null,
};

const CONFIG_FILE = "/etc/hal0/dispatch.toml";

/** Where a configuration comes from; main.ts passes `process.env` and the files of the system. */
export interface ConfigSources extends Files {
  readonly args: Flags;
  readonly env: Env;
  /** Addresses and names under which this machine is reached. */
  ownHosts(): readonly string[];
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
 * (`server.port`), a flag (`--port`), a variable (`HAL0_DISPATCH_PORT`) or a file. A missing `/etc/hal0/dispatch.toml` is no fault.
 */
export function loadConfig(sources: ConfigSources): Loaded {
  const faults: Faults = [];
  const notes: string[] = [];
  const file = readConfigFile(sources, faults);
  // Without its file the rest would only yield false faults.
  if (file === null) return { ok: false, faults, source: null };
  const { source, table, order } = file;

  const from = { ...sources, slotDefaults, source, faults, notes };
  readTable("", table, sections, faults);
  const server = readServer(table.server ?? {}, from);
  const lemonade = readLemonade(table.lemonade ?? {}, from);
  const lemonades = readLemonades(table.lemonades ?? {}, from);
  const slots = readSlots(table, from);
  const upstreams = readUpstreams(table.upstreams ?? {}, from);
  const written = {
    lemonades: keysOf(table.lemonades),
    upstreams: [...keysOf(table.slots), ...keysOf(table.upstreams)],
  };
  const { ownHosts } = sources;
  faults.push(...conflicts({ server, lemonade, lemonades, slots, upstreams, written, ownHosts }));
  if (server === null || lemonade === null || faults.length > 0) return { ok: false, faults, source };
  const config: Config = {
    server,
    lemonade: lemonade.value,
    lemonades: values(lemonades),
    slots: values(slots).map((slot) => ({ ...slot, fallback: namedFallbacks(slot, values(upstreams)) })),
    upstreams: values(upstreams),
    // Slots of slot files come last: their files have no order, and they have no aliases.
    order: [...new Set([...order, ...slots.map(({ value }) => value.name)])],
  };
  return { ok: true, config, source, notes };
}

const keysOf = (value: unknown): string[] => (isTable(value) ? Object.keys(value) : []);
const values = <T>(placed: readonly Placed<T>[]): T[] => placed.map(({ value }) => value);

interface ConfigFile {
  readonly source: string | null;
  readonly table: Table;
  readonly order: readonly string[];
}

function readConfigFile(sources: ConfigSources, faults: Faults): ConfigFile | null {
  const named = firstGiven(
    ["--config", sources.args.config],
    ["HAL0_DISPATCH_CONFIG", sources.env.HAL0_DISPATCH_CONFIG],
  );
  const path = named?.value ?? CONFIG_FILE;
  const text = attemptRead(() => sources.readFile(path));
  if (!text.ok && text.isMissing && !named) return { source: null, table: {}, order: [] };
  if (!text.ok) {
    faults.push(`${named ? `${named.where}: ` : ""}${path} ${text.reason}`);
    return null;
  }
  const parsed = parseToml(path, text.value);
  if (parsed.ok) return { source: path, table: parsed.table, order: namesInOrder(text.value, ["slots", "upstreams"]) };
  faults.push(parsed.fault);
  return null;
}
