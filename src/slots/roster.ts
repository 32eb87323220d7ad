// Which slots there are, and which model belongs to which: the configured slots, and an implicit one for each model of
// lemond's that no section names. Model names are compared as written first, then without lemond's prefixes.
import type { SlotConfig } from "../config/config.ts";
import { plainModel } from "../lemonade/names.ts";
import type { LoadedModel } from "../lemonade/listing.ts";
import { NO_BACK_OFF } from "./backoff.ts";
import { forgetUnused } from "./children.ts";
import { type Move, nextId } from "./events.ts";
import type { Known, Order, Settings, SlotRecord } from "./known.ts";

/** The model that the slot will have when the order under way has ended. */
export const wantedModel = ({ job, model }: SlotRecord): string => job?.order?.model ?? model;

/** Configured slots in the order of the file, then the implicit ones whose model no configured slot has. */
export function slotsShown(known: Known): SlotRecord[] {
  const slots = [...known.slots.values()].filter((slot) => isShown(known, slot));
  return [...slots.filter((slot) => !slot.isImplicit), ...slots.filter((slot) => slot.isImplicit)];
}

/** The configured slot that has the model, or will have it. */
export function ownerOf(known: Known, model: string): SlotRecord | undefined {
  return firstWith(known, model, false, isExact) ?? firstWith(known, model, false, isSameModel);
}

export function implicitOf(known: Known, model: string): SlotRecord | undefined {
  return firstWith(known, model, true, isExact) ?? firstWith(known, model, true, isSameModel);
}

type Comparison = (known: Known, own: string, name: string) => boolean;

const isExact: Comparison = (_, own, name) => own === name;

/** The first such slot that is not leaving. A plain loop, since a request may ask four times. */
function firstWith(known: Known, name: string, isImplicit: boolean, isOf: Comparison): SlotRecord | undefined {
  for (const slot of known.slots.values())
    if (slot.isImplicit === isImplicit && !slot.isLeaving)
      if (isOf(known, slot.model, name) || (!isImplicit && isOf(known, wantedModel(slot), name))) return slot;
  return undefined;
}

/** Whether `name` means `own`. If lemond knows `own` itself, another prefix is another model. */
export function isSameModel(known: Known, own: string, name: string): boolean {
  return own === name || (plainModel(own) === plainModel(name) && !Object.hasOwn(known.models, own));
}

/** A client can name it: not leaving, and no configured slot replaces it. */
export const isShown = (known: Known, slot: SlotRecord): boolean =>
  !slot.isLeaving && !(slot.isImplicit && ownerOf(known, slot.model));

/**
 * The slots on whose requests an order acts: its own, and those that share a model, and so a child, with it, if the other
 * one is implicit or either was removed by a reload.
 */
export function partnersOf(known: Known, slot: SlotRecord, { model }: Order): SlotRecord[] {
  const hasIt = (own: string): boolean => isSameModel(known, own, slot.model) || isSameModel(known, own, model);
  return [...known.slots.values()].filter(
    (other) => other === slot || ((other.isImplicit || other.isLeaving || slot.isLeaving) && hasIt(other.model)),
  );
}

/** The slot whose order closes the gate for `slot`'s requests; null if no order does. */
export function actingOn(known: Known, slot: SlotRecord): SlotRecord | null {
  if (slot.job?.order) return slot;
  for (const other of known.slots.values())
    if (other.job?.order && partnersOf(known, other, other.job.order).includes(slot)) return other;
  return null;
}

/** What the last listing says of the slot's model. */
export function listedFor(known: Known, slot: SlotRecord): LoadedModel | undefined {
  const loaded = known.listing?.loaded ?? [];
  return (
    loaded.find(({ model }) => model === slot.model) ??
    loaded.find(({ model }) => isSameModel(known, slot.model, model))
  );
}

/** Cloud models, collections and aliases: lemond serves them, and never lists a child for them. */
export function needsNoLoad(known: Known, slot: SlotRecord): boolean {
  const recipe = slot.seen?.recipe || known.models[slot.model]?.recipe || "";
  return slot.isAlias || recipe === "cloud" || recipe.startsWith("collection.");
}

export function typeOf(known: Known, slot: SlotRecord): string {
  return slot.seen?.type ?? known.models[slot.model]?.type ?? "llm";
}

/** The other listed models of the slot's type. `isFull`: lemond would evict one of them for the slot's. */
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
  return (
    ownerOf(known, model) ??
    implicitOf(known, model) ??
    add(move, { ...known.settings.slotDefaults, name: model, model }, true)
  );
}

/** Takes a changed configuration: slots are added, changed and removed; loaded models and running requests stay. */
export function configure(move: Move, settings: Settings, configs: readonly SlotConfig[]): void {
  const { known } = move;
  known.settings = settings;
  const before = [...known.slots.values()].filter((slot) => !slot.isLeaving);
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
