// The real server on port 0 in front of the simulated Lemonade, closed by `await using`.
import type { Config, SlotConfig } from "../src/config/config.ts";
import { slotDefaults } from "../src/config/config.ts";
import { createLog } from "../src/observe/log.ts";
import { createMetrics } from "../src/observe/metrics.ts";
import type { RepairRecord } from "../src/slots/slot.ts";
import type { SlotSnapshot } from "../src/slots/snapshot.ts";
import { startServer, type Server } from "../src/server.ts";
import { startLemond, type Child, type Lemond, type LemondOptions } from "./lemond/index.ts";

export type LogLine = Readonly<Record<string, unknown>> & { readonly level: string; readonly event: string };

export interface StackOptions {
  readonly lemond?: LemondOptions;
  /** A lemond that is there already; the stack does not end it. */
  readonly sharedLemond?: Lemond;
  /** Models loaded before the server starts. Default: the first slot's. */
  readonly loaded?: readonly string[];
  /** Default: slot `primary` with tiny-a. */
  readonly slots?: readonly (Partial<SlotConfig> & { readonly name: string; readonly model: string })[];
  readonly server?: Partial<Config["server"]>;
  readonly lemonade?: Partial<Config["lemonade"]>;
  readonly lemonades?: Config["lemonades"];
  readonly upstreams?: Config["upstreams"];
  /** Sees each line before it is kept; what it throws, the log throws. */
  readonly onLine?: (line: LogLine) => void;
  /** Whether cut streams go on, where a slot does not say. Default true. */
  readonly continues?: boolean;
  /** Default: 0.0.0-test. */
  readonly version?: string;
  /** Where records are kept. Default: in memory. */
  readonly stateFolder?: string;
}

export interface Stack extends AsyncDisposable {
  readonly lemond: Lemond;
  readonly server: Server;
  readonly url: string;
  readonly lines: readonly LogLine[];
  readonly repairs: readonly RepairRecord[];
  /** The latest child of a model (default the first slot's), dead or alive. Throws where there is none. */
  child(model?: string): Child;
  /** Log lines of that event. */
  logged(event: string): LogLine[];
  /** The next such line, past ones included; rejects after 10 s. */
  line(event: string, match?: (line: LogLine) => boolean): Promise<LogLine>;
  slot(name?: string): Promise<SlotSnapshot>;
  /** Resolves when the slot's snapshot matches; bounded by 10 s. */
  slotIs(match: (slot: SlotSnapshot) => boolean, name?: string): Promise<SlotSnapshot>;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  /** A chat to `model` (default the default slot); `sim` scripts the child's reply. */
  chat(options?: ChatOptions): Promise<Response>;
}

export interface ChatOptions {
  readonly model?: string;
  readonly stream?: boolean;
  readonly tokens?: number;
  readonly sim?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
  readonly headers?: Record<string, string>;
}

const WAIT_MS = 10_000;

const defaultConfig: Config = {
  server: {
    host: "127.0.0.1",
    port: 8080,
    apiKeys: [],
    adminKeys: [],
    maxBodyBytes: 64 * 1024 * 1024,
    maxReplyBytes: 64 * 1024 * 1024,
    firstByteTimeoutMs: 3_600_000,
    heartbeatMs: 5000,
    passthrough: true,
    logLevel: "info",
    logFormat: "auto",
    maxWaiting: 256,
    drainMs: 2000,
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
    internal: false,
    maxRequests: null,
  },
  lemonades: [],
  slots: [],
  upstreams: [],
  order: [],
};

export function chatBody({ model, stream, tokens = 4, sim }: ChatOptions): Record<string, unknown> {
  return {
    ...(model === undefined ? {} : { model }),
    messages: [{ role: "user", content: "hello" }],
    max_tokens: tokens,
    ...(stream === undefined ? {} : { stream }),
    ...(sim ? { sim } : {}),
  };
}

export function stackConfig(lemondUrl: string, options: StackOptions = {}): Config {
  const slots = options.slots ?? [{ name: "primary", model: "tiny-a", isDefault: true }];
  return {
    server: { ...defaultConfig.server, port: 0, logLevel: "debug", ...options.server },
    lemonade: { ...defaultConfig.lemonade, url: lemondUrl, pollMs: 200, ...options.lemonade },
    lemonades: options.lemonades ?? [],
    slots: slots.map((slot) => ({ ...slotDefaults, holdMs: 20_000, isContinued: options.continues ?? true, ...slot })),
    upstreams: options.upstreams ?? [],
    order: [...slots, ...(options.upstreams ?? [])].map(({ name }) => name),
  };
}

export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const lemond = options.sharedLemond ?? (await startLemond(options.lemond));
  const config = stackConfig(lemond.url, options);
  const first = config.slots[0]?.model;
  for (const model of options.loaded ?? (first === undefined ? [] : [first])) {
    const response = await lemond.load(model);
    if (!response.ok) throw new Error(`loading ${model} failed: ${response.status}`);
  }
  const lines: LogLine[] = [];
  let wake: (() => void)[] = [];
  const log = createLog("debug", (text) => {
    const line: LogLine = JSON.parse(text);
    options.onLine?.(line);
    lines.push(line);
    for (const resume of wake) resume();
    wake = [];
  });
  const repairs: RepairRecord[] = [];
  const version = options.version ?? "0.0.0-test";
  const metrics = createMetrics(version);
  const onRepair = (repair: RepairRecord): void => void repairs.push(repair);
  const server = await startServer({
    config,
    version,
    log,
    metrics,
    stateFolder: options.stateFolder ?? null,
    onRepair,
    isStrict: true,
  });
  const { url } = server;

  const line: Stack["line"] = async (event, match = () => true) => {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const found = lines.find((line) => line.event === event && match(line));
      if (found) return found;
      if (performance.now() > deadline) throw new Error(`no ${event} within ${WAIT_MS} ms`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, 500);
      wake.push(resolve);
      await promise;
      clearTimeout(timer);
    }
  };
  const slot: Stack["slot"] = async (name = "primary") => {
    const response = await fetch(`${url}/api/slots/${encodeURIComponent(name)}`);
    if (!response.ok) throw new Error(`slot ${name}: ${response.status} ${await response.text()}`);
    return (await response.json()) as SlotSnapshot;
  };
  const post: Stack["post"] = (path, body, init = {}) =>
    fetch(`${url}${path}`, {
      method: "POST",
      body: typeof body === "string" || body instanceof Uint8Array ? (body as Bun.BodyInit) : JSON.stringify(body),
      ...init,
      headers: { "content-type": "application/json", ...init.headers },
    });

  return {
    lemond,
    server,
    url,
    lines,
    repairs,
    child: (model = first ?? "") => {
      const child = lemond.child(model);
      if (!child) throw new Error(`no child of ${model}`);
      return child;
    },
    logged: (event) => lines.filter((line) => line.event === event),
    line,
    slot,
    slotIs: async (match, name) => {
      const deadline = performance.now() + WAIT_MS;
      for (;;) {
        const now = await slot(name);
        if (match(now)) return now;
        if (performance.now() > deadline) throw new Error(`the slot stayed ${JSON.stringify(now)}`);
        await Bun.sleep(10);
      }
    },
    post,
    chat: ({ signal, headers, ...chat } = {}) =>
      post("/v1/chat/completions", chatBody(chat), { ...(signal ? { signal } : {}), ...(headers ? { headers } : {}) }),
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      if (!options.sharedLemond) await lemond[Symbol.asyncDispose]();
    },
  };
}
