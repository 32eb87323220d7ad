// By which names lemond knows a model: its own, an alias, one with a prefix, and what a collection stands for.
import type { Spec } from "./model-spec.ts";

interface Named {
  readonly models: readonly Spec[];
  readonly aliases: Readonly<Record<string, string>>;
}

/** lemond also knows a model by these, and without them. */
const plain = (id: string): string => id.replace(/^(extra|user)\./, "");

export function specOf({ models, aliases }: Named, name: string): Spec | undefined {
  const id = aliases[name] ?? name;
  return models.find((spec) => spec.id === id) ?? models.find((spec) => plain(spec.id) === plain(id));
}

/** Prompts and Ollama's routes know a model by `NAME:latest` too; a load does not (normalize_client_model_name). */
export const strippedLatest = (name: string): string => name.replace(/(.):latest$/, "$1");

/** What answers for a model: itself, or of a collection the first of its components. */
export function targetOf(named: Named, spec: Spec): Spec {
  const [first] = spec.components;
  return (spec.recipe.startsWith("collection.") && first !== undefined ? specOf(named, first) : undefined) ?? spec;
}
