// How a model's name is compared with lemond's: as written first, and if nothing matches, without lemond's prefixes.
// `X` and `user.X` can be two models. Pure.

/** lemond takes a model's name with or without these if only one model can be meant; so do we. */
export function plainModel(model: string): string {
  if (model.startsWith("extra.")) return model.slice("extra.".length);
  return model.startsWith("user.") ? model.slice("user.".length) : model;
}

/** The candidate that `name` means. */
export function findModel<T>(candidates: readonly T[], name: string, nameOf: (candidate: T) => string): T | undefined {
  const plain = plainModel(name);
  return (
    candidates.find((candidate) => nameOf(candidate) === name) ??
    candidates.find((candidate) => plainModel(nameOf(candidate)) === plain)
  );
}

/**
 * The owner whose model lemond lists as `listed`. `known`: every name that lemond lists; an owner whose name is among them
 * has that very model, not one with another prefix.
 */
export function ownerOf<T extends { readonly model: string }>(
  owners: readonly T[],
  listed: string,
  known: readonly string[],
): T | undefined {
  // Plain loops, since every request for a model without a slot comes through here.
  for (const owner of owners) if (owner.model === listed) return owner;
  const plain = plainModel(listed);
  for (const owner of owners) if (plainModel(owner.model) === plain && !known.includes(owner.model)) return owner;
  return undefined;
}
