// What a test can ask of the simulated Lemonade: options, handles, faults. No code.

import type { ModelSpec } from "./model-spec.ts";

export type Version = "10.6" | "11.7";

export interface LemondOptions {
  readonly version?: Version;
  readonly models?: readonly ModelSpec[];
  /** Other names of models (`/internal/aliases`): health never shows them. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Loaded models per type; -1 is no limit. Default 1. */
  readonly maxModels?: number;
  /** Real: 300 to 600. Default 60. */
  readonly loadMs?: number;
  /** How long a stop sleeps once the child is gone, also one that was dead. Real: 2000 to 2100. Default 40. */
  readonly unloadMs?: number;
  /** How long a child is left after SIGTERM before SIGKILL, its open streams silent meanwhile. Real: 5000. Default 300. */
  readonly graceMs?: number;
  /** How long after SIGTERM a child's port still takes connections. Real: 60. Default 0. */
  readonly closeMs?: number;
  /** Which children cut their open replies and end at SIGTERM; the others wait for their clients. Real: half. Default `none`. */
  readonly endsAtTerm?: "none" | "all" | "every-second";
  /** Until then the next load stops a child of 11.7 that died, sleep included. Real and default: 5000. */
  readonly watchdogMs?: number;
  /** How long a child answers 503 after it listens. Default 0. */
  readonly warmMs?: number;
  /** `/v1/load` answers while the child still says 503. */
  readonly answerLoadEarly?: boolean;
  readonly ports?: "move" | "reuse";
  readonly port?: number;
  readonly pids?: "visible" | "hidden";
  readonly idleEvictMs?: number;
  readonly deathNoticeMs?: number;
  /** `LEMONADE_API_KEY`. */
  readonly apiKey?: string;
  /** `LEMONADE_ADMIN_API_KEY`: opens everything, and `/internal/` alone; without it the other key does. */
  readonly adminKey?: string;
  /** Connections served at once. Real and default: 8 on 10.6, 32 on 11.7. */
  readonly workers?: number;
  /** Silence after which a child's stream carries `:`. Default 30000. */
  readonly pingMs?: number;
  /** A real llama-server, or its command, that is run in the place of simulated children: each model's `checkpoint` is its GGUF. */
  readonly llamaServer?: string | readonly string[];
  /** How many lines of progress a download has, and the time before each. Default 3 and 5. */
  readonly pull?: { readonly steps?: number; readonly stepMs?: number };
  /** Silence after which a stream through lemond 11.7 carries `: ping`. Real and default: 1000. */
  readonly lemondPingMs?: number;
  /** Idle time after which lemond and children close a connection. Real and default: 5000. */
  readonly idleMs?: number;
}

/** One request that lemond got. `path` is what came, `route` the same without query and with all prefixes folded into `/v1/`. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed JSON, else text; null of more than a megabyte. */
  readonly body: unknown;
  readonly bodyBytes: number;
  readonly bodySha256: string;
  readonly model: string | undefined;
  readonly connection: number;
  readonly at: number;
  /** Set once answered. */
  readonly status: number | undefined;
  /** The client closed before the answer was complete. */
  readonly isAborted: boolean;
}

/** One request that a child got, body and all. */
export interface ChildRequest {
  readonly id: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodyBytes: number;
  readonly bodySha256: string;
  /** Null when 64 KB or more. */
  readonly bodyText: string | null;
  readonly connection: number;
  /** 1 for the first request of its connection. */
  readonly nth: number;
  readonly at: number;
  /** GET of health, models, slots, props or metrics. */
  readonly isProbe: boolean;
  /** The client closed before the reply was complete. */
  readonly isAborted: boolean;
}

export type DeathPoint = "before-headers" | "after-headers" | "mid-body" | "mid-event";

/** Each `set` replaces all of them: what is left out is off. */
export interface Faults {
  /** RST upon a second request on one connection. */
  readonly resetReused?: boolean;
  /** Stop listening; the process and its connections live. */
  readonly refuse?: boolean;
  /** RST each fresh connection. */
  readonly resetNew?: boolean;
  /** The next N POSTs: read, then FIN with no byte. */
  readonly closeBeforeReply?: number;
  /** The next N POSTs: read, then RST. */
  readonly resetBeforeReply?: number;
  /** POSTs to that path: read, then FIN with no byte. */
  readonly closeOnPath?: string;
  /** The next POST is this child's last: it kills itself there. `after-headers` and later need a reply that streams or has a body. */
  readonly dieOnPost?: { readonly when: DeathPoint };
  /** Take connections, answer nothing; streams in flight fall silent. */
  readonly hang?: boolean;
  /** `/health` 200, all else silent, streams in flight too. */
  readonly wedge?: boolean;
  /** 503 "Loading model" to everything. */
  readonly loading?: boolean;
}

export type Signal = "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGTERM";

export interface Child {
  readonly model: string;
  readonly checkpoint: string;
  readonly pid: number;
  readonly port: number;
  /** `http://127.0.0.1:PORT/v1`, as health has it. */
  readonly url: string;
  readonly isAlive: boolean;
  /** Settles with the exit when the process is gone. */
  readonly exited: Promise<void>;
  readonly requests: readonly ChildRequest[];
  readonly aborted: number;
  /** POSTs received. */
  prompts(): number;
  /** The next request from now on; rejects after 10 s. Default: any POST. */
  received(match?: (request: ChildRequest) => boolean): Promise<ChildRequest>;
  /** The same, past ones included. */
  receivedAny(match?: (request: ChildRequest) => boolean): Promise<ChildRequest>;
  /** Resolves when a client has left one of this child's replies unfinished, past ones included. */
  abortedAny(match?: (request: ChildRequest) => boolean): Promise<ChildRequest>;
  /** Default SIGKILL: resolves when the process is gone and its port refuses. SIGSTOP, SIGCONT: when sent. */
  kill(signal?: Signal): Promise<void>;
  set(faults: Faults): Promise<void>;
  openSockets(): Promise<number>;
}

/** A WebSocket that a client opened at lemond. */
export interface LemondSocket {
  /** As it came, with its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The key, and how it came; a first message of type `auth` is among the messages. */
  readonly credential: { readonly way: "header" | "query" | "subprotocol"; readonly key: string } | undefined;
  readonly messages: readonly string[];
  /** Resolves when the kernel has taken it. */
  send(text: string): Promise<void>;
  close(code: number, reason?: string): void;
  /** RST. */
  cut(): void;
  /** Stop reading, and go on. */
  pause(): void;
  resume(): void;
  /** The code that the client closed with; 1006 without one. */
  readonly closed: Promise<number>;
}

export interface Latch {
  release(): void;
}

/** Counts and `calls` hold everything that lemond got, those of `load` and `unload` below included. */
export interface Lemond extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly version: Version;
  readonly calls: readonly Call[];
  /** Calls of a route (`/v1/load`), of one model if named. */
  count(route: string, model?: string): number;
  /** Loads that were no-ops. */
  touches(model?: string): number;
  /** Loads that started a child or tried to. */
  loads(model?: string): number;
  /** Of those: a child of the model ran, with other options. */
  replacements(): number;
  /** Unloads asked for by name. */
  unloads(model?: string): number;
  /** Unloads of everything, by an empty or malformed body. */
  unloadAlls(): number;
  /** The next call from now on; rejects after 10 s. */
  received(route: string, match?: (call: Call) => boolean): Promise<Call>;
  /** The same, past ones included. */
  receivedAny(route: string, match?: (call: Call) => boolean): Promise<Call>;
  /** The latest child of a model, dead or alive. */
  child(model: string): Child | undefined;
  children(): readonly Child[];
  /** Models in `/v1/health`, in its order. */
  listed(): readonly string[];
  /** Another client's POST /v1/load, over HTTP. */
  load(model: string, options?: Readonly<Record<string, unknown>>): Promise<Response>;
  unload(model: string): Promise<Response>;
  /**
   * Lemond drops it by itself; open streams stay silent for `silentMs` (default `graceMs`), then FIN. Resolves when it is no
   * longer listed: after `graceMs` at most, when a more silent child stays behind as an orphan.
   */
  evict(model: string, how?: { readonly silentMs?: number }): Promise<void>;
  readonly sockets: readonly LemondSocket[];
  /** The first socket that matches, past ones included; rejects after 10 s. */
  socketAny(match?: (socket: LemondSocket) => boolean): Promise<LemondSocket>;
  /** A line of lemond's log, to all who subscribed. */
  log(message: string): void;
  failLoads(model: string, times?: number, message?: string): void;
  holdLoads(): Latch;
  holdHealth(): Latch;
  setLoadMs(ms: number): void;
  /** Take connections and answer nothing, `/live` neither; what waits is answered when it ends. */
  setMute(isMute: boolean): void;
  /** kill -9 of lemond. 11.7: its children die too. 10.6: they stay; `wedge`: they stay wedged (either version). */
  kill(how?: { readonly wedge?: boolean }): Promise<void>;
  /** Lemond again on the same port, with nothing loaded. */
  restart(): Promise<void>;
}
