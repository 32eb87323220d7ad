// Wires one server: slots, dispatch and routes on one port. Reads no argv and no environment.
import { createAccepted } from "./http/accepted.ts";
import { createApi } from "./http/api.ts";
import { createApp } from "./http/app.ts";
import { createLemondDoor } from "./http/lemond.ts";
import { createEvents, type Events } from "./http/feed.ts";
import { createSeenApi } from "./http/seen-api.ts";
import { type Config, type LemonadeConfig, slotDefaults } from "./config/config.ts";
import { ownHosts } from "./config/machine.ts";
import { createDispatch, type Dispatch } from "./dispatch/dispatch.ts";
import { createRemotes, type Remotes } from "./dispatch/remotes.ts";
import { createLemonade } from "./lemonade/lemonade.ts";
import { createProbe } from "./lemonade/probe.ts";
import { type Clock, systemClock } from "./observe/clock.ts";
import type { Log } from "./observe/log.ts";
import type { Gauges, Metrics } from "./observe/metrics.ts";
import { createRecords } from "./observe/records.ts";
import type { RepairRecord } from "./slots/slot.ts";
import type { Keeper } from "./slots/keeper.ts";
import { createSlots, type Slots } from "./slots/slots.ts";
import { snapshot } from "./slots/snapshot.ts";

export interface ServerOptions {
  readonly config: Config;
  readonly version: string;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Where records are kept; null keeps them in memory. */
  readonly stateFolder: string | null;
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

/** What is the server's own: the rest of it lies in the parts. */
interface Running {
  config: Config;
  isDraining: boolean;
}

const FIRST_LOOK_MS = 2000;
const LAST_BYTES_MS = 1000;

/** Listens when it resolves, with lemond asked once. Rejects where the address cannot be had. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { version, log } = options;
  const clock = systemClock;
  const running: Running = { config: options.config, isDraining: false };
  const parts = createParts(running, clock, options);
  const { slots, remotes, records, events, app, looked } = parts;
  // First of all: where the port is taken, that is the one thing to say.
  app.listen({ hostname: running.config.server.host, port: running.config.server.port });
  // What is loaded, and what could be, is known before the first request is dispatched; a lemond that does not answer holds up nobody.
  const looks = Promise.all(slots.keepers().map((keeper) => keeper.start()));
  await Promise.race([looks, clock.sleep(FIRST_LOOK_MS)]);
  looked();
  const { server } = app;
  if (!server) throw new Error("the server did not start");
  const { host } = running.config.server;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
  log.info("server.started", { url, version });

  return {
    url,
    reload: (next) => {
      const needRestart = reconfigure(running, next);
      log.setLevel(running.config.server.logLevel);
      slots.configure(running.config);
      remotes.configure(running.config.upstreams);
      return needRestart;
    },
    stop: async () => {
      await drain(running, parts, log);
      events.close();
      // Replies on their way are written out; a client that does not read them does not hold up the end.
      await Promise.race([server.stop(), clock.sleep(LAST_BYTES_MS)]);
      await server.stop(true);
      await records.close();
      log.info("server.stopped");
    },
  };
}

function createParts(running: Running, clock: Clock, options: ServerOptions) {
  const { version, log, metrics, isStrict } = options;
  const config = (): Config => running.config;
  const isDraining = (): boolean => running.isDraining;
  const firstByteTimeoutMs = (): number => running.config.server.firstByteTimeoutMs;
  const instance = crypto.randomUUID();
  const accepted = createAccepted();
  const records = createRecords({ folder: options.stateFolder, log, metrics });
  const slots = createSlots({
    config: running.config,
    slotDefaults,
    createLemonade,
    probe: createProbe(),
    clock,
    log,
    metrics,
    firstByteTimeoutMs,
    onState: (slot, state) => events.entered(slot, state),
    onRepair: (repair) => {
      events.repaired(records.repaired(repair));
      options.onRepair(repair);
    },
    isStrict,
  });
  const remotes = createRemotes(running.config.upstreams, firstByteTimeoutMs);
  const statusOf = ({ known: { isUp, listing } }: Keeper) => ({ up: isUp, version: listing?.version ?? null });
  const lemonade = () => statusOf(slots.first);
  /** By name, where there are several. */
  const lemonades = () => {
    const keepers = slots.keepers();
    return keepers.length > 1
      ? Object.fromEntries(keepers.map((keeper) => [keeper.name, statusOf(keeper)]))
      : undefined;
  };
  const events: Events = createEvents({
    slots: () => slots.all().map(snapshot),
    status: () => ({
      status: running.isDraining ? "draining" : "ok",
      version,
      lemonade: lemonade(),
      lemonades: lemonades(),
      lemonade_url: slots.first.lemonade.url,
    }),
    records,
    log,
  });
  const dispatch = createDispatch({
    config,
    slots,
    remotes,
    lemonade: slots.first.lemonade,
    instance,
    log,
    metrics,
    records,
    now: clock.now,
  });
  const api = createApi({
    config,
    version,
    slots,
    lemonade,
    lemonades,
    events,
    isDraining,
    scrape: () => {
      records.settle();
      return metrics.scrape(gaugesOf(slots, remotes));
    },
  });
  const lemond = createLemondDoor({ config, slots, instance, firstByteTimeoutMs, log, metrics, now: clock.now });
  const { promise: firstLook, resolve: looked } = Promise.withResolvers<void>();
  let hasLooked = false;
  void firstLook.then(() => (hasLooked = true));
  const afterFirstLook: Dispatch = (...request) =>
    hasLooked ? dispatch(...request) : firstLook.then(() => dispatch(...request));
  const app = createApp({
    config,
    accepted,
    dispatch: afterFirstLook,
    routes: [...api, ...createSeenApi({ slots, records, log })],
    isDraining,
    lemond,
    instance,
    ownHosts: ownHosts(),
    log,
  });
  return { accepted, slots, remotes, lemond, records, events, app, looked };
}

function gaugesOf(slots: Slots, remotes: Remotes): Gauges {
  return {
    slots: slots.all().map(({ name, record }) => ({
      name,
      state: record.state,
      inFlight: record.inFlight,
      waiting: record.held.length,
    })),
    remotes: remotes.all().map(({ name, inFlight }) => ({ name, inFlight })),
    lemonades: slots.keepers().map(({ name, known }, _, { length }) => ({
      name: length > 1 ? name : null,
      isUp: known.isUp === true,
    })),
  };
}

/** Takes what can be taken at once; the rest stays as it is and is named. */
function reconfigure(running: Running, next: Config): string[] {
  const { config } = running;
  const { host, port } = config.server;
  const fixed = [
    ["server.host", host, next.server.host],
    ["server.port", port, next.server.port],
    ...lemonadesOf(config).flatMap(([path, lemonade]) => {
      const then = lemonadesOf(next).find(([other]) => other === path)?.[1];
      return [
        [`${path}.url`, lemonade.url, then?.url],
        [`${path}.api_key_env`, lemonade.apiKey, then?.apiKey],
        [`${path}.load_timeout_s`, lemonade.loadTimeoutMs, then?.loadTimeoutMs],
      ] as const;
    }),
    ["lemonades", lemonadesOf(config).length, lemonadesOf(next).length],
  ] as const;
  const { url, apiKey, loadTimeoutMs } = config.lemonade;
  running.config = {
    ...next,
    server: { ...next.server, host, port },
    lemonade: { ...next.lemonade, url, apiKey, loadTimeoutMs },
    lemonades: config.lemonades.map((further) => {
      const { name, url, apiKey, loadTimeoutMs } = further;
      const then = next.lemonades.find((other) => other.name === name);
      return { ...(then ?? further), url, apiKey, loadTimeoutMs };
    }),
  };
  return fixed.filter(([, now, then]) => now !== then).map(([name]) => name);
}

function lemonadesOf({ lemonade, lemonades }: Config): (readonly [string, LemonadeConfig])[] {
  return [["lemonade", lemonade], ...lemonades.map((further) => [`lemonades.${further.name}`, further] as const)];
}

/** What was accepted may end; what has not ended in time is sent away. Sockets would never end. */
async function drain(running: Running, parts: ReturnType<typeof createParts>, log: Log): Promise<void> {
  const { accepted, slots, remotes, lemond } = parts;
  running.isDraining = true;
  log.info("server.draining", { in_flight: accepted.count });
  lemond.sockets.close();
  slots.drain();
  await accepted.idle(running.config.server.drainMs);
  slots.stop();
  remotes.cut();
  accepted.cut();
}
