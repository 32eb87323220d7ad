// What the page calls things: states of a slot, what an operator may ask for, how a request came out.
import type { RequestRecord } from "../../observe/requests.ts";
import type { SlotState } from "../../slots/transitions.ts";

/** How a state looks. */
export type Kind = "up" | "busy" | "load" | "off" | "bad";

const KINDS: Readonly<Record<SlotState, Kind>> = {
  ready: "up",
  idle: "up",
  serving: "busy",
  starting: "load",
  warming: "load",
  unloading: "load",
  offline: "off",
  error: "bad",
};

const WORDS: Partial<Record<SlotState, string>> = {
  serving: "answering",
  offline: "not loaded",
  starting: "loading",
  warming: "warming up",
};

export const kindOf = (state: SlotState): Kind => KINDS[state];

/** A busy model is as loaded as a quiet one. */
export const loadedKind = (state: SlotState): Kind => (KINDS[state] === "busy" ? "up" : KINDS[state]);

export const wordOf = (state: SlotState): string => WORDS[state] ?? state;

/** `answering 2, waiting 1`; nothing for a slot that does neither. */
export function doingOf({ in_flight, waiting }: { readonly in_flight: number; readonly waiting: number }): string {
  const words = [in_flight > 0 ? `answering ${in_flight}` : "", waiting > 0 ? `waiting ${waiting}` : ""];
  return words.filter(Boolean).join(", ");
}

export type Action = "load" | "unload" | "restart";

/** The button, and what follows from it. */
export const ACTIONS: readonly (readonly [action: Action, word: string, consequence: string])[] = [
  ["load", "Load", ""],
  [
    "unload",
    "Unload",
    "Requests that are being answered get time to end, then they are cut off. The next request for this slot loads the model again.",
  ],
  [
    "restart",
    "Restart",
    "The model is unloaded and loaded again. Requests that are being answered get time to end, then they are cut off.",
  ],
];

const FAILURES: Readonly<Record<number, string>> = {
  404: "no such model",
  413: "too large",
  499: "client left",
  502: "failed",
  503: "not ready",
  504: "timed out",
};

export const wentWrong = ({ status }: RequestRecord): boolean => status >= 400;

export function statusWords({ status }: RequestRecord): string {
  return status < 400 ? "ok" : `${FAILURES[status] ?? "refused"} (${status})`;
}

/** What was done for the request. */
export function marksOf({ repair, continued, fallback }: RequestRecord): string[] {
  const repaired =
    repair === null || repair === "failed" || repair === "backed_off" ? [] : [REPAIRED[repair] ?? repair];
  return [
    ...repaired,
    ...(continued ? ["continued"] : []),
    ...(fallback === null ? [] : [`fell back from ${fallback}`]),
  ];
}

/** An outcome in a user's words. */
const REPAIRED: Readonly<Record<string, string>> = {
  recovered: "recovered",
  retargeted: "found again",
  alive: "tried again",
  loaded: "loaded for it",
};
