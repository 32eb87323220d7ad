// One life of lemond: which models run, who is evicted for whom, and when. It knows no HTTP; `kill` and `restart` make a new one.
import type { ChildProcess } from "./process.ts";
import { launch, type LaunchSettings } from "./launch.ts";
import { createTurns, type Hold } from "./lock.ts";
import { invalidOptions, mergedOptions, sameOptions, type Options } from "./load-options.ts";
import { begin, older, type Entry } from "./entry.ts";
import { idleLimitOf, now } from "./health.ts";
import type { Personality } from "./personality.ts";
import type { ModelType, Spec } from "./model-spec.ts";

export interface FleetSettings extends LaunchSettings {
  readonly personality: Personality;
  readonly loadHold: Hold;
  readonly maxModels: number;
  readonly unloadMs: number;
  readonly graceMs: number;
  readonly watchdogMs: number;
  readonly idleEvictMs: number | undefined;
  readonly deathNoticeMs: number;
  /** Message of the failure, if this load of the model shall fail. */
  readonly failure: (model: string) => string | undefined;
  readonly shownPid: (child: ChildProcess) => number;
  /** `replace`: a child that ran had other options. */
  readonly onLoad: (model: string, kind: "touch" | "load" | "replace") => void;
}

export type LoadOutcome = { readonly kind: "loaded" } | { readonly kind: "failed"; readonly message: string };

type Room =
  | { readonly kind: "touched" }
  | { readonly kind: "room"; readonly isPinned: boolean }
  | { readonly kind: "none"; readonly message: string };

export interface Use {
  readonly entry: Entry;
  readonly done: () => void;
}

export interface Fleet {
  load(spec: Spec, asked: Options): Promise<LoadOutcome>;
  /** False: not loaded. */
  unload(id: string): Promise<boolean>;
  unloadAll(): Promise<void>;
  evict(id: string, silentMs?: number): Promise<void>;
  has(id: string): boolean;
  /** False: not loaded. */
  pin(id: string, isPinned: boolean): boolean;
  /** The model used last, whatever is asked of it (router.cpp: get_most_recent_server). */
  newest(): string | undefined;
  ids(): readonly string[];
  /** Health's list; it waits for an unload or eviction under way. */
  snapshot(): Promise<readonly Entry[]>;
  /** Resolves when no unload or eviction is under way. */
  settled(): Promise<void>;
  /** A request through lemond begins, once no unload or eviction is under way. Undefined: the model is not loaded any more. */
  use(id: string, isStreaming: boolean): Promise<Use | undefined>;
  /** That child is dead: it is listed no more. */
  notice(entry: Entry): void;
  /** The process died: no more decisions. Returns the children it leaves. */
  abandon(): readonly ChildProcess[];
}

export function createFleet(settings: FleetSettings): Fleet {
  const entries = new Map<string, Entry>();
  /** Children of 11.7 that died and are still to be stopped: not listed, and the next load pays for it (recording 30). */
  const tombstones = new Set<Entry>();
  /** lemond's load mutex: held by unloads and evictions, wanted by health and chats. A load under way does not hold it. */
  const lock = createTurns();
  const loads = createTurns();
  let isAbandoned = false;

  const forget = (entry: Entry): void => {
    if (entries.get(entry.spec.id) === entry) entries.delete(entry.spec.id);
  };

  /** SIGTERM, SIGKILL, and then a sleep for the GPU's driver (lemond's process_unix.cpp; recordings 35 and 37: 5 s, then 2 s). */
  const stop = async (entry: Entry, silentMs: number = settings.graceMs): Promise<void> => {
    if (isAbandoned) return;
    // It waits for what runs through lemond, however long (recordings 35, 37, 39).
    if (entry.inFlight > 0) await new Promise<void>((resolve) => entry.onQuiet.push(resolve));
    const gone = entry.child.stop(silentMs);
    // lemond's patience is `graceMs`: a child that outlives it is an orphan with its socket open, and listed no more.
    await (silentMs > settings.graceMs ? Promise.race([gone, Bun.sleep(settings.graceMs)]) : gone);
    await Bun.sleep(settings.unloadMs);
    forget(entry);
  };

  const stopAll = async (): Promise<void> => {
    for (const entry of [...entries.values()]) await stop(entry);
  };

  /** Why there is no room, if there is none: the cloud takes none, and what is pinned gives none. */
  const evictOldestOf = async (type: ModelType): Promise<string | undefined> => {
    // Nothing is stopped any more, and it would be tried for ever.
    if (isAbandoned) return "lemond is gone";
    const same = [...entries.values()].filter(({ spec }) => spec.type === type && spec.recipe !== "cloud");
    if (settings.maxModels < 0 || same.length < settings.maxModels) return undefined;
    const oldest = same.filter(({ isPinned }) => !isPinned).reduce<Entry | undefined>(older, undefined);
    if (oldest === undefined) return `All loaded models of type standard/${type} are pinned.`;
    await stop(oldest);
    return evictOldestOf(type);
  };

  const prune = async (): Promise<void> => {
    for (const entry of [...tombstones]) {
      await Bun.sleep(settings.unloadMs);
      tombstones.delete(entry);
    }
  };

  const notice = (entry: Entry): void => {
    if (entries.get(entry.spec.id) !== entry) return;
    forget(entry);
    tombstones.add(entry);
    setTimeout(() => tombstones.delete(entry), settings.watchdogMs).unref();
  };

  const watch = (entry: Entry): void => {
    void entry.child.exited.then(async () => {
      if (!settings.personality.noticesDeath) return;
      await Bun.sleep(settings.deathNoticeMs);
      notice(entry);
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

  const attempt = async (
    spec: Spec,
    options: Options,
    isPinned: boolean,
    failure: string | undefined,
  ): Promise<LoadOutcome> => {
    const invalid = spec.recipe === "llamacpp" ? invalidOptions(settings.personality, options) : undefined;
    if (invalid !== undefined) return { kind: "failed", message: invalid };
    if (failure !== undefined) {
      await Bun.sleep(settings.loadMs());
      return { kind: "failed", message: failure };
    }
    const launched = await launch(settings, spec, options);
    if (isAbandoned) await launched?.child.stop(0);
    if (launched?.child.isAlive !== true) return { kind: "failed", message: "llama-server failed to start" };
    const pid = settings.shownPid(launched.child);
    const use = { lastUse: now(), inFlight: 0, streaming: 0, onQuiet: [] };
    const entry = { ...launched, spec, options, pid, isPinned, ...use };
    entries.set(spec.id, entry);
    watch(entry);
    return { kind: "loaded" };
  };

  /** What lemond does with its mutex held: the model runs as asked, or room is made for it, or there is none. */
  const touchOrMakeRoom = async (spec: Spec, options: Options, isPinned: boolean | undefined): Promise<Room> => {
    await prune();
    const running = entries.get(spec.id);
    const staysPinned = isPinned ?? running?.isPinned ?? false;
    if (running !== undefined && sameOptions(running.options, options)) {
      // Nothing is started, also when the child is dead and lemond does not know (recording 30).
      running.lastUse = now();
      running.isPinned = staysPinned;
      settings.onLoad(spec.id, "touch");
      return { kind: "touched" };
    }
    settings.onLoad(spec.id, running?.child.isAlive ? "replace" : "load");
    if (running !== undefined) await stop(running);
    const message = spec.recipe === "cloud" ? undefined : await evictOldestOf(spec.type);
    return message === undefined ? { kind: "room", isPinned: staysPinned } : { kind: "none", message };
  };

  const loadInTurn = async (spec: Spec, { pinned, ...asked }: Options): Promise<LoadOutcome> => {
    const options = mergedOptions(settings.personality, spec, asked);
    const room = await lock.take(() =>
      touchOrMakeRoom(spec, options, typeof pinned === "boolean" ? pinned : undefined),
    );
    if (room.kind === "touched") return { kind: "loaded" };
    if (room.kind === "none") return { kind: "failed", message: room.message };
    const failure = settings.failure(spec.id);
    await settings.loadHold.passed();
    if (isAbandoned) return { kind: "failed", message: "lemond is gone" };
    const outcome = await attempt(spec, options, room.isPinned, failure);
    // What is missing on the disk is no reason to evict anybody (router.cpp: its "nuclear" retry).
    if (outcome.kind === "loaded" || isAbandoned || /not found|does not exist|No such file/.test(outcome.message))
      return outcome;
    if (entries.size === 0) return outcome;
    await lock.take(stopAll);
    return attempt(spec, options, room.isPinned, failure);
  };

  return {
    load: (spec, asked) => loads.take(() => loadInTurn(spec, asked)),
    unload: (id) =>
      lock.take(async () => {
        const entry = entries.get(id);
        if (entry !== undefined) await stop(entry);
        return entry !== undefined;
      }),
    unloadAll: () => lock.take(stopAll),
    evict: (id, silentMs) =>
      lock.take(async () => {
        const entry = entries.get(id);
        if (entry !== undefined) await stop(entry, silentMs);
      }),
    has: (id) => entries.has(id),
    pin(id, isPinned) {
      const entry = entries.get(id);
      if (entry !== undefined) entry.isPinned = isPinned;
      return entry !== undefined;
    },
    newest: () => [...entries.values()].sort((a, b) => b.lastUse - a.lastUse)[0]?.spec.id,
    ids: () => [...entries.keys()],
    snapshot: () => lock.take(() => [...entries.values()]),
    settled: () => lock.take(() => undefined),
    async use(id, isStreaming) {
      // Whoever waits for the end of a load is before the chat that it was made for: a load that comes right behind wins.
      await new Promise((resolve) => setImmediate(resolve));
      return lock.take(() => {
        const entry = entries.get(id);
        return entry === undefined ? undefined : { entry, done: begin(entry, isStreaming) };
      });
    },
    notice,
    abandon() {
      isAbandoned = true;
      return [...entries.values()].map((entry) => entry.child);
    },
  };
}
