// How a model's name is compared with lemond's: as it is first, and only where none is the same without lemond's prefixes.
// `X` and `user.X` can be two models. Pure.

/** lemond answers to a model with and without these where that can mean one model only; so do we. */
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
 * The owner whose model lemond lists as `listed`. An owner whose own name is in `known`, all that lemond lists, has that
 * model and not its namesake with another prefix.
 */
export function ownerOf<T extends { readonly model: string }>(
  owners: readonly T[],
  listed: string,
  known: readonly string[],
): T | undefined {
  const plain = plainModel(listed);
  return (
    owners.find(({ model }) => model === listed) ??
    owners.find(({ model }) => plainModel(model) === plain && !known.includes(model))
  );
}
