// One life of lemond: which models run, who is evicted for whom, and when. It knows no HTTP; `kill` and `restart` make a new one.
import { startChild, type ChildProcess } from "./process.ts";
import { createTurns, type Hold } from "./lock.ts";
import { invalidOptions, launchCommandOf, mergedOptions, sameOptions, type Options } from "./load-options.ts";
import type { ListedModel, Personality } from "./personality.ts";
import type { Ports } from "./ports.ts";
import type { ModelSpec, ModelType } from "./types.ts";

export interface FleetSettings {
  readonly personality: Personality;
  readonly ports: Ports;
  readonly loadHold: Hold;
  readonly maxModels: number;
  readonly unloadMs: number;
  readonly graceMs: number;
  readonly warmMs: number;
  readonly pingMs: number;
  readonly idleMs: number;
  readonly answerLoadEarly: boolean;
  readonly idleEvictMs: number | undefined;
  readonly deathNoticeMs: number;
  readonly loadMs: () => number;
  /** Message of the failure, if this load of the model shall fail. */
  readonly failure: (model: string) => string | undefined;
  readonly shownPid: (child: ChildProcess) => number;
  readonly onChild: (child: ChildProcess) => void;
  /** `replace`: a child that ran had other options. */
  readonly onLoad: (model: string, kind: "touch" | "load" | "replace") => void;
}

export interface Entry {
  readonly spec: Required<ModelSpec>;
  readonly child: ChildProcess;
  readonly options: Options;
  readonly launchCommand: readonly string[];
  readonly pid: number;
  lastUse: number;
  /** Requests through lemond. */
  inFlight: number;
  streaming: number;
  onQuiet: (() => void)[];
}

export type LoadOutcome =
  { readonly kind: "loaded"; readonly entry: Entry } | { readonly kind: "failed"; readonly message: string };

export interface Fleet {
  load(spec: Required<ModelSpec>, asked: Options): Promise<LoadOutcome>;
  /** False: not loaded. */
  unload(id: string): Promise<boolean>;
  unloadAll(): Promise<void>;
  evict(id: string, silentMs?: number): Promise<void>;
  entry(id: string): Entry | undefined;
  ids(): readonly string[];
  /** Health's list; it waits for an unload or eviction under way. */
  snapshot(): Promise<readonly ListedModel[]>;
  /** Resolves when no unload or eviction is under way. */
  settled(): Promise<void>;
  use(entry: Entry, isStreaming: boolean): () => void;
  /** The process died: no more decisions. Returns the children it leaves. */
  abandon(): readonly ChildProcess[];
}

/** Finer than the milliseconds that health shows: two uses within one have an order. */
const now = (): number => performance.now() + 1_000_000;

export function createFleet(settings: FleetSettings): Fleet {
  const entries = new Map<string, Entry>();
  /** lemond's load mutex: held by unloads and evictions, wanted by health. A load under way does not hold it. */
  const lock = createTurns();
  const loads = createTurns();
  let isAbandoned = false;

  const stop = async (entry: Entry, silentMs: number = settings.graceMs): Promise<void> => {
    if (isAbandoned) return;
    // It waits for what runs through lemond, however long (recordings 35, 37, 39).
    if (entry.inFlight > 0) await new Promise<void>((resolve) => entry.onQuiet.push(resolve));
    const gone = entry.child.stop(silentMs);
    // lemond's patience is `graceMs`: a child that outlives it is an orphan with its socket open, and listed no more.
    const settled = silentMs > settings.graceMs ? Promise.race([gone, Bun.sleep(settings.graceMs)]) : gone;
    await Promise.all([settled, Bun.sleep(settings.unloadMs)]);
    if (entries.get(entry.spec.id) === entry) entries.delete(entry.spec.id);
  };

  const evictOldestOf = async (type: ModelType): Promise<void> => {
    const same = [...entries.values()].filter((entry) => entry.spec.type === type);
    if (settings.maxModels < 0 || same.length < settings.maxModels) return;
    const oldest = same.reduce((a, b) => (b.lastUse < a.lastUse ? b : a));
    await stop(oldest);
    await evictOldestOf(type);
  };

  const watch = (entry: Entry): void => {
    void entry.child.exited.then(async () => {
      if (!settings.personality.noticesDeath) return;
      await Bun.sleep(settings.deathNoticeMs);
      if (entries.get(entry.spec.id) === entry) entries.delete(entry.spec.id);
    });
    const idleMs = idleLimitOf(entry.options) ?? settings.idleEvictMs;
    if (idleMs === undefined) return;
    const check = (): void => {
      if (isAbandoned || entries.get(entry.spec.id) !== entry) return;
      const left = entry.lastUse + idleMs - now();
      if (left <= 0 && entry.inFlight === 0) void lock.take(() => stop(entry));
      else setTimeout(check, Math.max(left, 5)).unref();
    };
    setTimeout(check, idleMs).unref();
  };

  const start = async (spec: Required<ModelSpec>, options: Options): Promise<Entry | undefined> => {
    const { id: model, checkpoint, type } = spec;
    const ctxSize = typeof options["ctx_size"] === "number" ? options["ctx_size"] : 4096;
    const { warmMs, pingMs, idleMs } = settings;
    let port: number | undefined;
    for (let tries = 0; tries < 20; tries += 1) {
      port = settings.ports.next(port);
      const launchCommand = launchCommandOf(spec, options, port);
      const child = startChild({ model, checkpoint, type, ctxSize, warmMs, pingMs, idleMs, port, launchCommand });
      settings.onChild(child);
      const started = await child.started;
      if (started === "port-taken") continue;
      if (started === "failed") return undefined;
      const pid = settings.shownPid(child);
      return { spec, child, options, launchCommand, pid, lastUse: now(), inFlight: 0, streaming: 0, onQuiet: [] };
    }
    return undefined;
  };

  const attempt = async (
    spec: Required<ModelSpec>,
    options: Options,
    failure: string | undefined,
  ): Promise<LoadOutcome> => {
    const invalid = invalidOptions(settings.personality, options);
    if (invalid !== undefined) return { kind: "failed", message: invalid };
    const loadMs = settings.loadMs();
    const took = Bun.sleep(loadMs);
    const entry = failure === undefined ? await start(spec, options) : undefined;
    if (entry === undefined) {
      if (failure !== undefined) await took;
      return { kind: "failed", message: failure ?? "llama-server failed to start" };
    }
    const warm = settings.answerLoadEarly ? 0 : settings.warmMs;
    await Promise.race([Promise.all([took, Bun.sleep(warm)]), entry.child.exited]);
    if (isAbandoned) await entry.child.stop(0);
    if (!entry.child.isAlive) return { kind: "failed", message: "llama-server failed to start" };
    entry.lastUse = now();
    return { kind: "loaded", entry };
  };

  const loadInTurn = async (spec: Required<ModelSpec>, asked: Options): Promise<LoadOutcome> => {
    const options = mergedOptions(settings.personality, asked);
    const running = await lock.take(() => entries.get(spec.id));
    if (running !== undefined && sameOptions(running.options, options)) {
      // Nothing is started, also when the child is dead and lemond does not know (recording 30).
      running.lastUse = now();
      settings.onLoad(spec.id, "touch");
      return { kind: "loaded", entry: running };
    }
    settings.onLoad(spec.id, running?.child.isAlive ? "replace" : "load");
    if (running !== undefined) await lock.take(() => stop(running));
    const failure = settings.failure(spec.id);
    await lock.take(() => evictOldestOf(spec.type));
    await settings.loadHold.passed();
    if (isAbandoned) return { kind: "failed", message: "lemond is gone" };
    let outcome = await attempt(spec, options, failure);
    if (outcome.kind === "failed" && entries.size > 0 && !isAbandoned) {
      await lock.take(async () => void (await Promise.all([...entries.values()].map((entry) => stop(entry)))));
      outcome = await attempt(spec, options, failure);
    }
    if (outcome.kind === "failed") return outcome;
    entries.set(spec.id, outcome.entry);
    watch(outcome.entry);
    return outcome;
  };

  return {
    load: (spec, asked) => loads.take(() => loadInTurn(spec, asked)),
    unload: (id) =>
      lock.take(async () => {
        const entry = entries.get(id);
        if (entry !== undefined) await stop(entry);
        return entry !== undefined;
      }),
    unloadAll: () => lock.take(async () => void (await Promise.all([...entries.values()].map((entry) => stop(entry))))),
    evict: (id, silentMs) =>
      lock.take(async () => {
        const entry = entries.get(id);
        if (entry !== undefined) await stop(entry, silentMs);
      }),
    entry: (id) => entries.get(id),
    ids: () => [...entries.keys()],
    snapshot: () => lock.take(() => [...entries.values()].map(listedOf)),
    settled: () => lock.take(() => undefined),
    use(entry, isStreaming) {
      entry.lastUse = now();
      entry.inFlight += 1;
      if (isStreaming) entry.streaming += 1;
      let isDone = false;
      return () => {
        if (isDone) return;
        isDone = true;
        entry.inFlight -= 1;
        if (isStreaming) entry.streaming -= 1;
        if (entry.inFlight === 0) for (const go of entry.onQuiet.splice(0)) go();
      };
    },
    abandon() {
      isAbandoned = true;
      return [...entries.values()].map((entry) => entry.child);
    },
  };
}

const seconds = (value: unknown): number | undefined => (typeof value === "number" ? value * 1000 : undefined);
const idleLimitOf = (options: Options): number | undefined =>
  options["auto_evict"] === true ? seconds(options["evict_idle_timeout"]) : undefined;
const downsizeLimitOf = (options: Options): number | undefined =>
  options["auto_evict"] === true ? seconds(options["downsize_idle_timeout"]) : undefined;

function listedOf({ spec, child, options, launchCommand, pid, lastUse, inFlight, streaming }: Entry): ListedModel {
  const { id, checkpoint, type, maxContextWindow } = spec;
  const isDownsized = now() - lastUse > (downsizeLimitOf(options) ?? Infinity);
  const load = { isBusy: inFlight > 0, isStreaming: streaming > 0, isDownsized };
  return { id, checkpoint, type, url: child.url, pid, lastUse, options, launchCommand, maxContextWindow, ...load };
}
