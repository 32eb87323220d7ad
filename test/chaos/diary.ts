// What happened around a violation, in one order: the server's log of the request and its slots, what lemond was asked, which
// faults struck and which children ended. Judges nothing.
import type { Lemond } from "../lemond/index.ts";
import { SLOT_MODELS, type SlotName } from "./plan.ts";
import type { Target } from "./target.ts";

export interface Around {
  readonly slots: readonly SlotName[];
  readonly requestId: string | null;
  /** `Date.now()` when the request was sent. */
  readonly sentMs: number;
}

export type Diary = ReturnType<typeof createDiary>;

/** The first back-off lasts 5 s, and what began it comes before. */
const BEFORE_MS = 8000;

export function createDiary(target: Target, lemond: Lemond) {
  const notes: { readonly atMs: number; readonly text: string }[] = [];
  return {
    note: (text: string): void => void notes.push({ atMs: Date.now(), text }),
    around: ({ slots, requestId, sentMs }: Around): string[] => {
      const fromMs = sentMs - BEFORE_MS;
      const names: readonly string[] = [...slots, ...slots.flatMap((slot) => SLOT_MODELS[slot])];
      const calls = lemond.calls
        .filter(({ route, model }) => /load$/.test(route) && (model === undefined || names.includes(model)))
        .map(({ at, route, model, status, isAborted }) => ({
          atMs: at,
          text: `lemond: ${route} ${model} ${status ?? "not answered"}${isAborted ? ", the client left" : ""}`,
        }));
      return [
        ...target.logged(fromMs, requestId, names),
        ...calls,
        ...notes,
        { atMs: sentMs, text: "the request is sent" },
      ]
        .filter(({ atMs }) => atMs >= fromMs)
        .toSorted((a, b) => a.atMs - b.atMs)
        .map(({ atMs, text }) => `${atMs - sentMs} ms  ${text}`);
    },
  };
}
