// The states of a slot and which follows which. Pure.

export const SLOT_STATES = [
  "offline",
  "starting",
  "warming",
  "ready",
  "serving",
  "idle",
  "unloading",
  "error",
] as const;

export type SlotState = (typeof SLOT_STATES)[number];

/**
 * Any state may become `error`. `ready` from `offline` and `error` is the adoption of a child that somebody else loaded;
 * `unloading` from `serving` is an operator's action after `drain_s`; `ready` from `unloading` is an
 * unload that lemond refused.
 */
const FOLLOWS: Record<SlotState, readonly SlotState[]> = {
  offline: ["starting", "ready"],
  starting: ["warming", "offline"],
  warming: ["ready", "offline"],
  ready: ["serving", "idle", "unloading", "offline"],
  serving: ["ready", "unloading", "offline"],
  idle: ["ready", "unloading", "offline"],
  unloading: ["ready", "offline"],
  error: ["starting", "ready", "offline"],
};

export function mayFollow(from: SlotState, to: SlotState): boolean {
  return to === "error" || FOLLOWS[from].includes(to);
}

/** Moves between these happen with every request: they are logged at debug. */
export function isRoutine(from: SlotState, to: SlotState): boolean {
  const routine: readonly SlotState[] = ["ready", "serving", "idle"];
  return routine.includes(from) && routine.includes(to);
}
