// All slots: the configured ones, and one for each model that lemond lists and no slot names. Knows what a client may name.
import type { Config, SlotConfig } from "../config/config.ts";
import type { KnownModel, Lemonade, Listing } from "../lemonade/lemonade.ts";
import { plainModel, type Names } from "../dispatch/resolve.ts";
import type { Slot } from "./slot.ts";

export interface SlotsDeps {
  readonly config: Config;
  readonly lemonade: Lemonade;
  readonly now: () => number;
  readonly create: (config: SlotConfig) => Slot;
  readonly implicitConfig: (model: string) => SlotConfig;
}

export type Slots = ReturnType<typeof createSlots>;

/** Models that lemond knows are asked for again after this, so that a model just pulled can be named. */
const MODELS_FRESH_MS = 2000;

/** lemond's model types by the label that its model list gives; anything else is an `llm`. */
const TYPE_OF_LABEL: Record<string, string> = {
  embeddings: "embedding",
  reranking: "reranking",
  transcription: "transcription",
  image: "image",
  tts: "tts",
};

export function createSlots(deps: SlotsDeps) {
  let { config } = deps;
  const byName = new Map<string, Slot>(config.slots.map((slot) => [slot.name, deps.create(slot)]));
  const implicit = new Map<string, Slot>();
  /** Taken out of the configuration with requests still under way: watched until they have ended. */
  let leaving: Slot[] = [];
  let known: readonly KnownModel[] | null = null;
  let askedMs = -Infinity;
  let asking: Promise<unknown> | null = null;

  /** The configured ones, in the order of the file; an array of its own because every request looks through it. */
  let configured = [...byName.values()];
  let knownIds: readonly string[] = [];

  const ownerOf = (model: string): Slot | undefined => {
    const plain = plainModel(model);
    return configured.find((slot) => plainModel(slot.model) === plain || plainModel(slot.wanted) === plain);
  };

  const ofModel = (model: string): Slot => {
    const existing = ownerOf(model) ?? implicit.get(plainModel(model));
    if (existing) return existing;
    const slot = deps.create(deps.implicitConfig(model));
    implicit.set(plainModel(model), slot);
    return slot;
  };

  /** Configured slots first. */
  const all = (): Slot[] => [...configured, ...[...implicit.values()].filter((slot) => !ownerOf(slot.state.model))];

  const everyone = (): Slot[] => [...configured, ...implicit.values(), ...leaving];

  return {
    all,
    ofModel,
    get: (name: string): Slot | undefined => byName.get(name) ?? all().find((slot) => slot.name === name),
    ownerOf,
    /** All that may have requests under way: those hidden behind a configured slot and those taken out, too. */
    everyone,
    /** Slots for a listing: what is loaded and has no slot yet gets one. */
    forListing: (listing: Listing | null): Slot[] => {
      if (config.lemonade.autoSlots) for (const { model } of listing?.loaded ?? []) ofModel(model);
      leaving = leaving.filter((slot) => {
        const isBusy = slot.flights.count > 0 || slot.waiting.count > 0 || slot.isBusy;
        if (!isBusy) slot.state.close();
        return isBusy;
      });
      return everyone();
    },
    /** What lemond could load; the last answer while it gives none, null before the first. */
    models: async (): Promise<readonly KnownModel[] | null> => {
      if (deps.now() - askedMs < MODELS_FRESH_MS) return known;
      asking ??= deps.lemonade.models().then((models) => {
        known = models ?? known;
        knownIds = (known ?? []).map(({ id }) => id);
        askedMs = models ? deps.now() : -Infinity;
        asking = null;
      });
      await asking;
      return known;
    },
    names: (remotes: Names["remotes"], loadedModel: string | null): Names => ({
      slots: configured,
      remotes,
      lemondModels: config.lemonade.autoSlots ? knownIds : [],
      loadedModel: config.lemonade.autoSlots ? loadedModel : null,
    }),
    /** What lemond counts the model as (`max_models`), as far as its model list tells. */
    typeOf: (model: string): string =>
      typeOfLabels(known?.find(({ id }) => plainModel(id) === plainModel(model))?.["labels"]),
    /** Resolves when no slot but `name` has an attempt under way on a child of that type, or after `ms`. */
    othersAreQuiet: async (name: string, type: string, ms: number): Promise<void> => {
      const isBusy = (slot: Slot): boolean =>
        slot.name !== name && slot.flights.count > 0 && (slot.state.child?.type ?? type) === type;
      const { promise: late, resolve } = Promise.withResolvers<"late">();
      const timer = setTimeout(() => resolve("late"), ms);
      // One that was quiet may have begun anew while another was waited for.
      for (let busy = everyone().filter(isBusy); busy.length > 0; busy = everyone().filter(isBusy)) {
        const quiet = Promise.all(busy.map((slot) => slot.flights.quiet()));
        if ((await Promise.race([quiet, late])) === "late") break;
      }
      clearTimeout(timer);
    },
    /** Takes a changed configuration: slots are added, changed and removed; loaded models and running requests stay. */
    configure: (next: Config): void => {
      config = next;
      const wanted = new Map(next.slots.map((slot) => [slot.name, slot]));
      // A model that was swapped in gives way where the file now has it elsewhere.
      const isElsewhere = (slot: Slot): boolean =>
        next.slots.some(({ name, model }) => name !== slot.name && plainModel(model) === plainModel(slot.wanted));
      for (const [name, slot] of byName) {
        if (wanted.get(name)?.model === slot.state.config.model && !isElsewhere(slot)) continue;
        byName.delete(name);
        leaving.push(slot);
      }
      for (const { model } of next.slots) {
        const hidden = implicit.get(plainModel(model));
        if (hidden) leaving.push(hidden);
        implicit.delete(plainModel(model));
      }
      // In the order of the file, which decides among defaults.
      const kept = new Map(byName);
      byName.clear();
      for (const [name, slot] of wanted) {
        const existing = kept.get(name);
        existing?.state.configure(slot);
        byName.set(name, existing ?? deps.create(slot));
      }
      configured = [...byName.values()];
    },
  };
}

/** The type of a model by its `labels` in lemond's list. */
export function typeOfLabels(labels: unknown): string {
  if (!Array.isArray(labels)) return "llm";
  for (const [label, type] of Object.entries(TYPE_OF_LABEL)) if (labels.includes(label)) return type;
  return "llm";
}
