// All slots, of every lemond: what a client may name, an operator's orders, reload and the end. Each lemond has a keeper of
// its own, so that a lemond that hangs delays only its own slots.
import type { Config, LemonadeConfig } from "../config/config.ts";
import type { Names } from "../dispatch/resolve.ts";
import type { Lemonade } from "../lemonade/lemonade.ts";
import { createKeeper, type Keeper, type KeeperDeps } from "./keeper.ts";
import type { Settings } from "./known.ts";
import type { Slot } from "./slot.ts";

export interface SlotsDeps extends Omit<KeeperDeps, "name" | "lemonade" | "settings" | "slots" | "maxRequests"> {
  readonly config: Config;
  readonly slotDefaults: Settings["slotDefaults"];
  readonly createLemonade: (config: LemonadeConfig) => Lemonade;
}

export type Slots = ReturnType<typeof createSlots>;

/** The first lemond has the name of its section. */
const FIRST = "lemonade";
const HELD_BODIES = 4;

export function createSlots(deps: SlotsDeps) {
  let { config } = deps;

  const settingsOf = (lemonade: LemonadeConfig): Settings => ({
    lemondUrl: lemonade.url,
    pollMs: lemonade.pollMs,
    touchMs: lemonade.touchMs,
    loadTimeoutMs: lemonade.loadTimeoutMs,
    autoSlots: lemonade.autoSlots,
    drainMs: config.server.drainMs,
    maxWaiting: config.server.maxWaiting,
    maxHeldBytes: config.server.maxBodyBytes * HELD_BODIES,
    slotDefaults: deps.slotDefaults,
  });
  const lemonades = (): (LemonadeConfig & { name: string })[] => [
    { ...config.lemonade, name: FIRST },
    ...config.lemonades,
  ];
  const slotsOf = (name: string) => config.slots.filter((slot) => (slot.lemonade ?? FIRST) === name);

  const keepers = new Map<string, Keeper>(
    lemonades().map((lemonade) => {
      const { name } = lemonade;
      const own = {
        name,
        lemonade: deps.createLemonade(lemonade),
        settings: settingsOf(lemonade),
        slots: slotsOf(name),
        maxRequests: () => lemonades().find((own) => own.name === name)?.maxRequests ?? null,
      };
      return [name, createKeeper({ ...deps, ...own })];
    }),
  );
  const first = keepers.get(FIRST);
  if (!first) throw new Error("there is no first lemond");
  const all = (): Slot[] => {
    const slots = [...keepers.values()].flatMap((keeper) => keeper.slots());
    const place = new Map(config.slots.map(({ name }, at) => [name, at]));
    return slots.toSorted((a, b) => (place.get(a.name) ?? Infinity) - (place.get(b.name) ?? Infinity));
  };
  /** The configured slots, kept as an array because every request looks through them. */
  let configured: Slot[] = [];
  const keepConfigured = (): void => {
    configured = all().filter((slot) => !slot.record.isImplicit);
  };
  keepConfigured();

  return {
    all,
    first,
    keepers: (): Keeper[] => [...keepers.values()],
    get: (name: string): Slot | undefined => {
      for (const slot of configured) if (slot.name === name) return slot;
      return first.slots().find((slot) => slot.name === name);
    },
    /** The slot of a model that the first lemond knows; made if there is none. */
    ofModel: (model: string): Slot => first.ofModel(model),
    /** The configured slot of that lemond which has the model, or will have it. */
    ownerOf: (slot: Slot, model: string): Slot | undefined =>
      [...keepers.values()].find((keeper) => keeper.slots().includes(slot))?.ownerOf(model),
    /** What the first lemond could load, by its last answer; null before the first. */
    models: first.models.list,
    names: (remotes: Names["remotes"]): Names => ({
      slots: configured,
      remotes,
      lemondModels: config.lemonade.autoSlots ? first.models.names() : [],
      loadedModel: config.lemonade.autoSlots ? (first.known.listing?.modelLoaded ?? null) : null,
    }),
    configure: (next: Config): void => {
      config = next;
      for (const lemonade of lemonades())
        keepers.get(lemonade.name)?.configure(settingsOf(lemonade), slotsOf(lemonade.name));
      keepConfigured();
    },
    /** Requests under way, held ones too, and operators' orders. */
    underWay: (): number => [...keepers.values()].reduce((sum, keeper) => sum + keeper.underWay(), 0),
    drain: (): void => {
      for (const keeper of keepers.values()) keeper.drain();
    },
    /** Answers or cuts every request at once. */
    stop: (): void => {
      for (const keeper of keepers.values()) keeper.stop();
    },
  };
}
