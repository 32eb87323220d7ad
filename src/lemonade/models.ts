// Which models lemond could load: its list, asked for when it is needed and kept for a moment.
import type { Clock } from "../observe/clock.ts";
import type { Event } from "../slots/events.ts";
import type { Lemonade } from "./lemonade.ts";

export type KnownModel = Readonly<Record<string, unknown>> & { readonly id: string };

export interface ModelsDeps {
  readonly lemonade: Pick<Lemonade, "models">;
  readonly clock: Clock;
  readonly happen: (event: Event) => void;
}

/** How long a list is used before lemond is asked again, so that a model just pulled can be named. */
const FRESH_MS = 2000;

export function createModels({ lemonade, clock, happen }: ModelsDeps) {
  let list: readonly KnownModel[] | null = null;
  let names: readonly string[] = [];
  let askedMs = -Infinity;
  let asking: Promise<void> | null = null;

  const askNow = async (): Promise<void> => {
    const answer = await lemonade.models();
    asking = null;
    askedMs = answer ? clock.now() : -Infinity;
    if (!answer) return;
    list = answer;
    names = answer.map(({ id }) => id);
    const kindOf = ({ labels, recipe }: KnownModel) => ({ type: typeOfLabels(labels), recipe: `${recipe ?? ""}` });
    happen({ kind: "models", models: Object.fromEntries(answer.map((model) => [model.id, kindOf(model)])) });
  };
  /** Asks lemond; those who ask at the same time share the answer. */
  const ask = (): Promise<void> => (asking ??= askNow());

  return {
    ask,
    /** Resolves when no question is under way. */
    answered: async (): Promise<void> => void (await asking),
    /** By the last answer; empty before the first. */
    names: (): readonly string[] => names,
    /** By an answer that is fresh, or the last one where lemond gives none; null before the first. */
    list: async (): Promise<readonly KnownModel[] | null> => {
      if (clock.now() - askedMs >= FRESH_MS) await ask();
      return list;
    },
  };
}

/** lemond's model types by the label that its model list gives; anything else is an `llm`. */
const TYPE_OF_LABEL: Record<string, string> = {
  embeddings: "embedding",
  reranking: "reranking",
  transcription: "transcription",
  image: "image",
  tts: "tts",
};

/** The type of a model by its `labels` in lemond's list. */
export function typeOfLabels(labels: unknown): string {
  if (!Array.isArray(labels)) return "llm";
  for (const [label, type] of Object.entries(TYPE_OF_LABEL)) if (labels.includes(label)) return type;
  return "llm";
}
