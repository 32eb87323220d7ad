// Finds children that no longer listen although our sockets to them are open: lemond evicts such a child, and the child
// ends once we hang up. Asks a port while a reply from it is silent; reports, and cuts nothing itself.
import type { Clock } from "../observe/clock.ts";
import type { Child } from "../slots/known.ts";
import type { Probe } from "./probe.ts";

export interface Listened {
  readonly child: Child;
  readonly connection: { readonly heardMs: number };
  /** lemond watches its own children: silence behind it is no sign. */
  readonly isDirect: boolean;
}

export interface SilenceDeps {
  readonly probe: Probe;
  readonly clock: Clock;
  /** The attempts under way. */
  readonly flights: () => Iterable<Listened>;
  /** Its port refused twice. */
  readonly onRefused: (child: Child) => void;
}

const SILENT_MS = 500;
/** Pause before a child is asked again, once for all its silent replies. */
const AGAIN_MS = 1000;
const LOOK_MS = 250;
/** Pause between the two refusals that are needed. */
const PAUSE_MS = 100;

/** Call the function when an attempt begins; it looks until no attempt is under way. */
export function watchSilence({ probe, clock, flights, onRefused }: SilenceDeps): () => void {
  const askedMs = new WeakMap<Child, number>();
  let timer: Timer | null = null;

  const ask = async (child: Child): Promise<void> => {
    if (!(await probe.refuses(child.url))) return;
    await clock.sleep(PAUSE_MS);
    if (await probe.refuses(child.url)) onRefused(child);
  };

  const look = (): void => {
    let isIdle = true;
    const now = clock.now();
    for (const { child, connection, isDirect } of flights()) {
      isIdle = false;
      if (!isDirect || now - connection.heardMs < SILENT_MS || now - (askedMs.get(child) ?? -Infinity) < AGAIN_MS)
        continue;
      askedMs.set(child, now);
      void ask(child);
    }
    if (!isIdle || !timer) return;
    clearInterval(timer);
    timer = null;
  };

  return () => {
    timer ??= setInterval(look, LOOK_MS);
  };
}
