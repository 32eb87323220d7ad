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
