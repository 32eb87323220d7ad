// What the server has told, for the views to draw. Never asks, never draws.
import type { FeedEvents, Transition } from "../../http/feed.ts";
import type { RepairEntry } from "../../observe/repairs.ts";
import type { SlotSnapshot } from "../../slots/snapshot.ts";

export interface Board {
  status: FeedEvents["server"] | null;
  slots: Map<string, SlotSnapshot>;
  transitions: readonly Transition[];
  /** Newest first. */
  repairs: readonly RepairEntry[];
  /** When the server started. */
  sinceMs: number;
  /** The server's clock less ours. */
  skewMs: number;
  isLive: boolean;
}

export function newBoard(): Board {
  return {
    status: null,
    slots: new Map(),
    transitions: [],
    repairs: [],
    sinceMs: Date.now(),
    skewMs: 0,
    isLive: false,
  };
}

/** The server's time. */
export const nowOn = (board: Board): number => Date.now() + board.skewMs;

/** In the server's order. */
export function slotNames(board: Board): string[] {
  return board.status ? board.status.slots.filter((name) => board.slots.has(name)) : [...board.slots.keys()];
}
