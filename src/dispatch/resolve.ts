// Decides which upstream a client's `model` means. Pure: it looks at names only.

/** What can be named. `slots` are the configured ones, in the order of the configuration. */
export interface Names {
  readonly slots: readonly {
    readonly name: string;
    readonly model: string;
    readonly aliases: readonly string[];
    readonly isDefault: boolean;
  }[];
  readonly remotes: readonly { readonly name: string; readonly models: readonly string[] }[];
  /** Models that lemond knows; empty where implicit slots are switched off. */
  readonly lemondModels: readonly string[];
  /** lemond's `model_loaded`; null where nothing is, or implicit slots are switched off. */
  readonly loadedModel: string | null;
}

export type Resolution =
  | { readonly kind: "slot"; readonly name: string }
  | { readonly kind: "implicit"; readonly model: string }
  | { readonly kind: "remote"; readonly name: string }
  | { readonly kind: "none" };

/** lemond answers to a model with and without these; so do we. */
export function plainModel(model: string): string {
  if (model.startsWith("extra.")) return model.slice("extra.".length);
  return model.startsWith("user.") ? model.slice("user.".length) : model;
}

/** `model` as the client sent it; null or empty asks for the default. */
export function resolve(model: string | null, names: Names): Resolution {
  return model ? named(model, names) : byDefault(names);
}

function named(model: string, { slots, remotes, lemondModels }: Names): Resolution {
  const plain = plainModel(model);
  const slot =
    slots.find((slot) => slot.name === model) ??
    slots.find((slot) => slot.aliases.includes(model)) ??
    slots.find((slot) => plainModel(slot.model) === plain);
  if (slot) return { kind: "slot", name: slot.name };
  const remote = remotes.find((remote) => remote.models.some((pattern) => matches(pattern, model)));
  if (remote) return { kind: "remote", name: remote.name };
  const listed = lemondModels.find((known) => plainModel(known) === plain);
  return listed === undefined ? { kind: "none" } : { kind: "implicit", model: listed };
}

function byDefault({ slots, loadedModel }: Names): Resolution {
  const slot =
    slots.find((slot) => slot.isDefault) ??
    slots.find((slot) => slot.name === "primary") ??
    (slots.length === 1 ? slots[0] : undefined);
  if (slot) return { kind: "slot", name: slot.name };
  if (loadedModel === null) return { kind: "none" };
  const owner = slots.find((slot) => plainModel(slot.model) === plainModel(loadedModel));
  return owner ? { kind: "slot", name: owner.name } : { kind: "implicit", model: loadedModel };
}

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
      ...slots.flatMap((slot) => [slot.name, ...slot.aliases]),
      ...lemondModels,
      ...remotes.flatMap((remote) => remote.models.filter((name) => !name.includes("*"))),
    ]),
  ];
}
