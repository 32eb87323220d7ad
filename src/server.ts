// Wires one server: lemond's client, slots, watch, dispatch and routes on one port. Reads no argv and no environment.
import { createApi } from "./http/api.ts";
import { createApp } from "./http/app.ts";
import { systemClock } from "./observe/clock.ts";
import { type Config, type RemoteConfig, slotDefaults } from "./config/config.ts";
import { createDispatch, type Dispatch } from "./dispatch/dispatch.ts";
import { createEvents } from "./http/feed.ts";
import { createLemonade } from "./lemonade/lemonade.ts";
import type { Log } from "./observe/log.ts";
import type { Metrics } from "./observe/metrics.ts";
import { operate } from "./slots/operate.ts";
import { createProbe } from "./lemonade/probe.ts";
import { createRemote, type Remote } from "./dispatch/remote.ts";
import { rememberRepairs } from "./observe/repairs.ts";
import type { RepairRecord } from "./slots/shared-repair.ts";
import { createSlot, type Slot } from "./slots/slot.ts";
import { createSlots } from "./slots/slots.ts";
import { snapshot } from "./slots/snapshot.ts";
import { createTurns } from "./slots/turns.ts";
import { createWatch } from "./lemonade/watch.ts";

export interface ServerOptions {
  readonly config: Config;
  readonly version: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly onRepair: (repair: RepairRecord) => void;
  readonly isStrict: boolean;
}

export interface Server {
  /** `http://HOST:PORT`, with the port that was taken. */
  readonly url: string;
  /** Takes a changed configuration without touching loaded models or running requests; names what needs a restart. */
  reload(next: Config): readonly string[];
  /** Takes no new requests, lets those in flight end for `drain_s`, then closes. */
  stop(): Promise<void>;
}

/** Listens when it resolves, with lemond asked once. Rejects where the address cannot be had. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { version, log, metrics } = options;
  let { config } = options;
  const clock = systemClock;
  const lemonade = createLemonade(config.lemonade);
  const probe = createProbe();
  const turns = createTurns();
  let isDraining = false;
  const repairs = rememberRepairs();
  const lemonadeNow = () => ({ up: watch.isUp, version: watch.latest?.version ?? null });
  const events = createEvents({
    slots: () => slots.all().map(snapshot),
    status: () => ({ status: isDraining ? "draining" : "ok", version, lemonade: lemonadeNow() }),
  });

  const watch = createWatch({
    lemonade,
    probe,
    turns,
    clock,
    log,
    pollMs: () => config.lemonade.pollMs,
    touchMs: () => config.lemonade.touchMs,
    slots: (listing) => slots.forListing(listing),
  });
  const recoverDeps = {
    lemonade,
    probe,
    turns,
    clock,
    log,
    loadTimeoutMs: config.lemonade.loadTimeoutMs,
    readBack: watch.refresh,
    othersAreQuiet: (slot: string, type: string, ms: number) => slots.othersAreQuiet(slot, type, ms),
  };
  const slots = createSlots({
    config,
    lemonade,
    now: clock.now,
    implicitConfig: (model) => ({ ...slotDefaults, name: model, model }),
    create: (slotConfig) => {
      const slot: Slot = createSlot(slotConfig, {
        ...recoverDeps,
        metrics,
        maxWaiting: () => config.server.maxWaiting,
        isDraining: () => isDraining,
        firstByteTimeoutMs: () => config.server.firstByteTimeoutMs,
        isShared: (url) => watch.isShared(url),
        typeOf: (model) => slots.typeOf(model),
        onChange: () => events.entered(slot.name, slot.state.name),
        onRepair: (repair) => {
          events.repaired(repairs.add(repair));
          options.onRepair(repair);
        },
        isStrict: options.isStrict,
      });
      return slot;
    },
  });
  const remoteOf = (remote: RemoteConfig): Remote => createRemote(remote, () => config.server.firstByteTimeoutMs);
  let remotes = new Map(config.upstreams.map((remote) => [remote.name, remoteOf(remote)]));
  /** Replaced by a reload with requests still under way. */
  let leavingRemotes: Remote[] = [];
  const loadedModel = (): string | null => watch.latest?.modelLoaded ?? null;
  const dispatch = createDispatch({
    config: () => config,
    slots,
    remotes: () => remotes,
    loadedModel,
    lemondUrl: lemonade.url,
    log,
    metrics,
    now: clock.now,
  });
  const api = createApi({
    config: () => config,
    version,
    slots,
    names: () => slots.names(config.upstreams, loadedModel()),
    lemonade: lemonadeNow,
    events,
    repairs,
    isDraining: () => isDraining,
    scrape: () =>
      metrics.scrape({
        slots: slots.all().map(({ name, state, flights, waiting }) => ({
          name,
          state: state.name,
          inFlight: flights.count,
          waiting: waiting.count,
        })),
        remotes: [...remotes.values()].map(({ name, inFlight }) => ({ name, inFlight })),
        isLemonadeUp: watch.isUp === true,
      }),
    operate: (slot, order) => operate(slot, order, { ...recoverDeps, drainMs: () => config.server.drainMs }),
  });
  // What is loaded is known before the first request is dispatched; a lemond that does not answer holds up nobody.
  let firstLook: Promise<unknown> | null = null;
  const afterFirstLook: Dispatch = (...request) =>
    firstLook ? firstLook.then(() => dispatch(...request)) : dispatch(...request);
  const app = createApp({
    config: () => config,
    dispatch: afterFirstLook,
    routes: api,
    isDraining: () => isDraining,
    log,
  });
  // First of all: where the port is taken, that is the one thing to say.
  app.listen({ hostname: config.server.host, port: config.server.port });
  firstLook = Promise.race([watch.start(), clock.sleep(FIRST_LOOK_MS)]);
  await firstLook;
  firstLook = null;
  const { server } = app;
  if (!server) throw new Error("the server did not start");
  const { host } = config.server;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
  log.info("server.started", { url, version });

  const inFlight = (): number =>
    [...slots.everyone(), ...remotes.values(), ...leavingRemotes].reduce(
      (sum, upstream) => sum + inFlightOf(upstream),
      0,
    );

  return {
    url,
    reload: (next) => {
      const fixed = [
        ["server.host", config.server.host, next.server.host],
        ["server.port", config.server.port, next.server.port],
        ["lemonade.url", config.lemonade.url, next.lemonade.url],
        ["lemonade.api_key_env", config.lemonade.apiKey, next.lemonade.apiKey],
        ["lemonade.load_timeout_s", config.lemonade.loadTimeoutMs, next.lemonade.loadTimeoutMs],
      ] as const;
      const needRestart = fixed.filter(([, now, then]) => now !== then).map(([name]) => name);
      const { host, port } = config.server;
      const { url, apiKey, loadTimeoutMs } = config.lemonade;
      config = {
        ...next,
        server: { ...next.server, host, port },
        lemonade: { ...next.lemonade, url, apiKey, loadTimeoutMs },
      };
      log.setLevel(config.server.logLevel);
      slots.configure(config);
      const before = [...remotes.values()];
      remotes = new Map(
        config.upstreams.map((remote) => {
          const existing = remotes.get(remote.name);
          return [remote.name, existing && Bun.deepEquals(existing.config, remote) ? existing : remoteOf(remote)];
        }),
      );
      const kept = new Set(remotes.values());
      leavingRemotes = [...leavingRemotes, ...before.filter((remote) => !kept.has(remote))].filter(
        (remote) => remote.inFlight > 0,
      );
      void watch.refresh();
      return needRestart;
    },
    stop: async () => {
      isDraining = true;
      log.info("server.draining", { in_flight: inFlight() });
      const deadline = clock.now() + config.server.drainMs;
      while (inFlight() > 0 && clock.now() < deadline) await clock.sleep(DRAIN_LOOK_MS);
      for (const slot of slots.everyone()) {
        slot.waiting.close();
        slot.flights.cut(null, "stopping");
      }
      for (const remote of [...remotes.values(), ...leavingRemotes]) remote.cut();
      watch.stop();
      events.close();
      // Replies on their way are written out; a client that does not read them does not hold up the end.
      await Promise.race([server.stop(), clock.sleep(LAST_BYTES_MS)]);
      await server.stop(true);
      log.info("server.stopped");
    },
  };
}

const FIRST_LOOK_MS = 2000;
const DRAIN_LOOK_MS = 20;
const LAST_BYTES_MS = 1000;

function inFlightOf(upstream: Slot | Remote): number {
  return "flights" in upstream ? upstream.flights.count + upstream.waiting.count : upstream.inFlight;
}
