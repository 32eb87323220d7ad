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

export const defaultConfig: Config = {
  server: {
    host: "127.0.0.1",
    port: 8080,
    apiKeys: [],
    maxBodyBytes: 64 * 1024 * 1024,
    firstByteTimeoutMs: 3_600_000,
    logLevel: "info",
    maxWaiting: 256,
    drainMs: 30_000,
    allowAnonymous: false,
    allowedHosts: [],
    corsOrigins: [],
  },
  lemonade: {
    url: "http://127.0.0.1:13305",
    apiKey: null,
    loadTimeoutMs: 600_000,
    pollMs: 1000,
    touchMs: 20_000,
    autoSlots: true,
  },
  slots: [],
  upstreams: [],
};
