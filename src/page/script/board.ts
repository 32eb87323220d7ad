// What the server has told, for the views to draw. Never asks, never draws.
import type { FeedEvents, Transition } from "../../http/feed.ts";
import type { ModelEntry } from "../../http/seen-api.ts";
import type { LogLine } from "../../observe/log.ts";
import type { RepairEntry } from "../../observe/repairs.ts";
import type { RequestRecord } from "../../observe/requests.ts";
import type { Headline } from "../../observe/totals.ts";
import type { SlotSnapshot } from "../../slots/snapshot.ts";
import { el } from "./dom.ts";
import { dayAndTime } from "./format.ts";

export interface Board {
  status: FeedEvents["server"] | null;
  slots: Map<string, SlotSnapshot>;
  totals: Headline | null;
  transitions: readonly Transition[];
  /** Newest first, like the requests. */
  repairs: readonly RepairEntry[];
  requests: readonly RequestRecord[];
  /** Newest last. */
  lines: readonly LogLine[];
  /** Null before the server was asked, or where Lemonade does not say. */
  models: readonly ModelEntry[] | null;
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
    totals: null,
    transitions: [],
    repairs: [],
    requests: [],
    lines: [],
    models: null,
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

/** Lemonade can be told to load and unload; of several, the page cannot tell which one a slot belongs to. */
export function canOrder({ isLive, status }: Board): boolean {
  return isLive && (status?.lemonade.up !== false || status.lemonades !== undefined);
}

export const timeOf = (board: Board, iso: string): HTMLElement =>
  el("time", { datetime: iso }, dayAndTime(new Date(iso), new Date(nowOn(board))));
