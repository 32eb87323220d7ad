// What the page calls things: states of a slot, and what an operator may ask for.
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
  offline: "not loaded",
  starting: "loading",
  warming: "warming up",
};

export const kindOf = (state: SlotState): Kind => KINDS[state];

/** A busy model is as loaded as a quiet one. */
export const loadedKind = (state: SlotState): Kind => (KINDS[state] === "busy" ? "up" : KINDS[state]);

export const wordOf = (state: SlotState): string => WORDS[state] ?? state;

export type Action = "load" | "unload" | "restart";

/** The button, and what follows from it. */
export const ACTIONS: readonly (readonly [action: Action, word: string, consequence: string])[] = [
  ["load", "Load", "Lemonade may unload another model of the same type to make room."],
  [
    "unload",
    "Unload",
    "Requests in flight get time to end, then they are cut off. The next request for this slot loads the model again.",
  ],
  [
    "restart",
    "Restart",
    "The model is unloaded and loaded again. Requests in flight get time to end, then they are cut off.",
  ],
];
