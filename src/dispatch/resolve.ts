// Decides which upstream a client's `model` means. Pure: it looks at names only.
import { findModel, ownerOf } from "../lemonade/names.ts";

export { plainModel } from "../lemonade/names.ts";

/** What can be named. `slots` are the configured ones, in the order of the configuration. */
export interface Names {
  readonly slots: readonly NamedSlot[];
  readonly remotes: readonly NamedRemote[];
  /** Models that lemond knows; empty where implicit slots are switched off. */
  readonly lemondModels: readonly string[];
  /** lemond's `model_loaded`; null if no model is, or implicit slots are switched off. */
  readonly loadedModel: string | null;
}

interface NamedSlot {
  readonly name: string;
  readonly model: string;
  readonly aliases: readonly string[];
  readonly isDefault: boolean;
}

interface NamedRemote {
  readonly name: string;
  readonly models: readonly string[];
}

export type Resolution =
  | { readonly kind: "slot"; readonly name: string }
  | { readonly kind: "implicit"; readonly model: string }
  | { readonly kind: "remote"; readonly name: string }
  | { readonly kind: "none" };

/** `by`: which rules decided. A model that lemond lists but we do not know yet would go before "near" and "pattern". */
export type Resolved = Resolution & { readonly by: "name" | "near" | "pattern" | "default" };

/**
 * `model` as the client sent it; null or empty asks for the default. `order` has the names of slots and remotes as they
 * stand in the file. The first rule that fits decides:
 *
 * by name
 *  1. a slot's name
 *  2. an alias
 *  3. a slot's model, as it is written
 *  4. a name in a remote's `models`
 *  5. a model that lemond lists: of the slot that has it, or of an implicit one
 * near
 *  6. `NAME:latest` as NAME, by 1 to 5
 *  7. the same as 3 and 5 without lemond's prefixes, also for NAME
 * pattern
 *  8. aliases and remotes' `models` with `*`, in the order of the file
 */
export function resolve(model: string | null, names: Names, order: readonly string[]): Resolved {
  if (!model) return { ...byDefault(names), by: "default" };
  const named = byName(model, names);
  if (named) return named;
  const near = nearly(model, names);
  if (near) return { ...near, by: "near" };
  return { ...byPattern(model, names, order), by: "pattern" };
}

/** Plain loops, since every request comes through here. */
function byName(model: string, names: Names): Resolved | undefined {
  const { slots, remotes, lemondModels } = names;
  const by = "name";
  for (const slot of slots) if (slot.name === model) return { kind: "slot", name: slot.name, by }; // 1
  for (const slot of slots) if (slot.aliases.includes(model)) return { kind: "slot", name: slot.name, by }; // 2
  for (const slot of slots) if (slot.model === model) return { kind: "slot", name: slot.name, by }; // 3
  for (const remote of remotes) if (remote.models.includes(model)) return { kind: "remote", name: remote.name, by }; // 4
  return lemondModels.includes(model) ? listed(model, names, by) : undefined; // 5
}

function nearly(model: string, names: Names): Resolution | undefined {
  const base = model.endsWith(LATEST) ? model.slice(0, -LATEST.length) : model;
  const named = base === model ? undefined : byName(base, names); // 6
  if (named) return named;
  const slot = findModel(names.slots, base, (slot) => slot.model); // 7
  if (slot) return { kind: "slot", name: slot.name };
  const known = findModel(names.lemondModels, base, (known) => known);
  return known === undefined ? undefined : listed(known, names, "near");
}

/** What Ollama's clients add to a name without a tag. */
const LATEST = ":latest";

function byPattern(model: string, { slots, remotes }: Names, order: readonly string[]): Resolution {
  for (const name of order) {
    const slot = slots.find((slot) => slot.name === name);
    if (slot?.aliases.some((pattern) => matches(pattern, model))) return { kind: "slot", name };
    const remote = remotes.find((remote) => remote.name === name);
    if (remote?.models.some((pattern) => matches(pattern, model))) return { kind: "remote", name };
  }
  return { kind: "none" };
}

function byDefault(names: Names): Resolution {
  const { slots, loadedModel } = names;
  const slot =
    slots.find((slot) => slot.isDefault) ??
    slots.find((slot) => slot.name === "primary") ??
    (slots.length === 1 ? slots[0] : undefined);
  if (slot) return { kind: "slot", name: slot.name };
  return loadedModel === null ? { kind: "none" } : listed(loadedModel, names, "default");
}

/** A model under the name that lemond gives it. */
function listed(model: string, { slots, lemondModels }: Names, by: Resolved["by"]): Resolved {
  const owner = ownerOf(slots, model, lemondModels);
  return owner ? { kind: "slot", name: owner.name, by } : { kind: "implicit", model, by };
}

const isPattern = (name: string): boolean => name.includes("*");

/** `*` stands for any run of characters; a walk over the pieces, since a regular expression could be made to backtrack for ever. */
function matches(pattern: string, model: string): boolean {
  const [head = "", ...rest] = pattern.split("*");
  const tail = rest.pop();
  if (tail === undefined) return model === pattern;
  if (!model.startsWith(head) || model.length < head.length + tail.length || !model.endsWith(tail)) return false;
  let from = head.length;
  const end = model.length - tail.length;
  for (const piece of rest) {
    const at = model.indexOf(piece, from);
    if (at < 0 || at + piece.length > end) return false;
    from = at + piece.length;
  }
  return from <= end;
}

/** Every name a client can write, for `GET /v1/models` and for the error that names what is there. */
export function availableNames({ slots, remotes, lemondModels }: Names): string[] {
  return [
    ...new Set([
      ...slots.flatMap((slot) => [slot.name, ...slot.aliases.filter((alias) => !isPattern(alias))]),
      ...lemondModels,
      ...remotes.flatMap((remote) => remote.models.filter((name) => !isPattern(name))),
    ]),
  ];
}
