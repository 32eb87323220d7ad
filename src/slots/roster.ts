// Which slots there are, and which of lemond's models is whose. The configured ones, and one for each model that lemond
// knows and no section names (implicit). Model names are compared as they are first, and only then without lemond's prefixes.
import type { SlotConfig } from "../config/config.ts";
import { plainModel } from "../dispatch/resolve.ts";
import type { LoadedModel } from "../lemonade/lemonade.ts";
import { NO_BACK_OFF } from "./backoff.ts";
import { forgetUnused } from "./children.ts";
import { type Known, type Move, nextId, type Settings, type SlotRecord } from "./known.ts";

/** The model that the slot will have when the order under way has ended. */
export const wantedModel = ({ job, model }: SlotRecord): string => job?.order?.model ?? model;

const present = (known: Known): SlotRecord[] => [...known.slots.values()].filter((slot) => !slot.isLeaving);

/** Configured slots in the order of the file, then the implicit ones that no configured one stands before. */
export function slotsShown(known: Known): SlotRecord[] {
  const slots = present(known);
  const configured = slots.filter((slot) => !slot.isImplicit);
  return [...configured, ...slots.filter((slot) => slot.isImplicit && !ownerOf(known, slot.model))];
}

/** The configured slot that has the model, or will have it. */
export function ownerOf(known: Known, model: string): SlotRecord | undefined {
  const slots = present(known).filter((slot) => !slot.isImplicit);
  const named = (isSame: (own: string) => boolean): SlotRecord | undefined =>
    slots.find((slot) => isSame(slot.model) || isSame(wantedModel(slot)));
  const exact = named((own) => own === model);
  if (exact || isKnown(known, model)) return exact;
  return named((own) => plainModel(own) === plainModel(model));
}

/** Two names differ in the prefix alone and lemond knows both: then they are two models. */
const isKnown = (known: Known, model: string): boolean => model in known.models;

export function implicitOf(known: Known, model: string): SlotRecord | undefined {
  const slots = present(known).filter((slot) => slot.isImplicit);
  const exact = slots.find((slot) => slot.model === model);
  if (exact || isKnown(known, model)) return exact;
  return slots.find((slot) => plainModel(slot.model) === plainModel(model));
}

/** What the last listing says of the slot's model. */
export function listedFor(known: Known, slot: SlotRecord): LoadedModel | undefined {
  const loaded = known.listing?.loaded ?? [];
  const exact = loaded.find((listed) => listed.model === slot.model);
  if (exact) return exact;
  const isElsewhere = (model: string): boolean => isKnown(known, model) && isKnown(known, slot.model);
  return loaded.find(({ model }) => plainModel(model) === plainModel(slot.model) && !isElsewhere(model));
}

/** Cloud models, collections and aliases: lemond serves them, and never lists a child of theirs. */
export function needsNoLoad(known: Known, slot: SlotRecord): boolean {
  const recipe = slot.seen?.recipe ?? known.models[slot.model]?.recipe ?? "";
  return slot.isAlias || recipe === "cloud" || recipe.startsWith("collection.");
}

export function typeOf(known: Known, slot: SlotRecord): string {
  return slot.seen?.type ?? known.models[slot.model]?.type ?? "llm";
}

/** The other models listed of the slot's type; full: lemond would evict one of them for the slot's. */
export function othersOfType(
  known: Known,
  slot: SlotRecord,
): { readonly listed: readonly LoadedModel[]; readonly isFull: boolean } {
  const type = typeOf(known, slot);
  const own = listedFor(known, slot);
  const listed = (known.listing?.loaded ?? []).filter((other) => other.type === type && other !== own);
  const limit = known.listing?.maxModels[type];
  return { listed, isFull: typeof limit === "number" && limit >= 0 && listed.length >= limit };
}

function add(move: Move, config: SlotConfig, isImplicit: boolean): SlotRecord {
  const { nowMs } = move.known;
  const slot: SlotRecord = {
    id: nextId(move),
    name: config.name,
    isImplicit,
    config,
    model: config.model,
    state: "offline",
    sinceMs: nowMs,
    child: null,
    dead: null,
    last: null,
    generation: 0,
    settledAt: 0,
    seen: null,
    lastError: null,
    backOff: NO_BACK_OFF,
    job: null,
    held: [],
    heldBytes: 0,
    inFlight: 0,
    isUsedSinceTouch: false,
    touchDueMs: nowMs,
    lastUsedMs: null,
    loadStartedMs: null,
    loadTimesMs: [],
    adoptedMs: nowMs,
    isAlias: false,
    keepBackOff: NO_BACK_OFF,
    isDismissed: false,
    isLeaving: false,
  };
  move.known.slots.set(slot.id, slot);
  move.dirty.push(slot);
  return slot;
}

/** The slot of a model that a client named, or that lemond lists: a configured one, or an implicit one made for it. */
export function slotOfModel(move: Move, model: string): SlotRecord {
  const { known } = move;
  const there = ownerOf(known, model) ?? implicitOf(known, model);
  return there ?? add(move, { ...known.settings.slotDefaults, name: model, model }, true);
}

/** Takes a changed configuration: slots are added, changed and removed; loaded models and running requests stay. */
export function configure(move: Move, settings: Settings, configs: readonly SlotConfig[]): void {
  const { known } = move;
  known.settings = settings;
  const before = present(known);
  const isElsewhere = (slot: SlotRecord): boolean =>
    configs.some(({ name, model }) => name !== slot.name && model === wantedModel(slot));
  const staysImplicit = (slot: SlotRecord): boolean =>
    settings.autoSlots && !configs.some(({ model }) => model === slot.model);
  const keeps = (slot: SlotRecord, config: SlotConfig | undefined): boolean =>
    slot.isImplicit ? staysImplicit(slot) : config?.model === slot.config.model && !isElsewhere(slot);
  const kept = new Map<string, SlotRecord>();
  for (const slot of before) {
    const config = configs.find(({ name }) => name === slot.name);
    slot.isLeaving = !keeps(slot, config);
    if (!slot.isLeaving && !slot.isImplicit) kept.set(slot.name, slot);
    move.dirty.push(slot);
  }
  for (const config of configs) {
    const slot = kept.get(config.name) ?? add(move, config, false);
    slot.config = config;
    // In the order of the file, which decides among defaults.
    known.slots.delete(slot.id);
    known.slots.set(slot.id, slot);
  }
}

/** Forgets a slot that was taken out, once its last request has ended. */
export function forgetIfDone(move: Move, slot: SlotRecord): void {
  if (!slot.isLeaving || slot.job || slot.held.length > 0 || slot.inFlight > 0) return;
  move.known.slots.delete(slot.id);
  move.effects.push({ do: "forget-slot", slot: slot.id });
  for (const child of [slot.child, slot.dead]) forgetUnused(move, child);
}
