// What happened around a violation, in one order: the server's log of the request and its slots, what lemond was asked, which
// faults struck and which children ended. Judges nothing.
import type { Lemond } from "../lemond/index.ts";
import type { Target } from "./target.ts";

export interface Around {
  /** Of slots and models. */
  readonly names: readonly string[];
  readonly requestId: string | null;
  /** `Date.now()` when the request was sent, or when that began which went wrong. */
  readonly sentMs: number;
}

export type Diary = ReturnType<typeof createDiary>;

/** The first back-off lasts 5 s, and what began it comes before. */
const BEFORE_MS = 8000;

export function createDiary(target: Target, lemond: Lemond) {
  const notes: { readonly atMs: number; readonly text: string }[] = [];
  return {
    note: (text: string): void => void notes.push({ atMs: Date.now(), text }),
    around: ({ names, requestId, sentMs }: Around): string[] => {
      const fromMs = sentMs - BEFORE_MS;
      const calls = lemond.calls
        .filter(({ route, model, status }) =>
          /load$/.test(route) ? model === undefined || names.includes(model) : status === undefined,
        )
        .map(({ at, route, model, status, isAborted }) => ({
          atMs: at,
          text: `lemond: ${route} ${model ?? ""} ${status ?? "not answered"}${isAborted ? ", the client left" : ""}`,
        }));
      return [...target.logged(fromMs, requestId, names), ...calls, ...notes, { atMs: sentMs, text: "it begins" }]
        .filter(({ atMs }) => atMs >= fromMs)
        .toSorted((a, b) => a.atMs - b.atMs)
        .map(({ atMs, text }) => `${atMs - sentMs} ms  ${text}`);
    },
  };
}
