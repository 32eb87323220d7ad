// One loaded model as lemond knows it, and how its use counts.
import { now } from "./health.ts";
import type { Options } from "./load-options.ts";
import type { Spec } from "./model-spec.ts";
import type { ChildProcess } from "./process.ts";

export interface Entry {
  readonly spec: Spec;
  readonly child: ChildProcess;
  readonly options: Options;
  readonly launchCommand: readonly string[];
  readonly pid: number;
  isPinned: boolean;
  lastUse: number;
  /** Requests through lemond. */
  inFlight: number;
  streaming: number;
  onQuiet: (() => void)[];
}

/** For a reduce: the one that was used longer ago. */
export const older = (a: Entry | undefined, b: Entry): Entry => (a !== undefined && a.lastUse <= b.lastUse ? a : b);

/** `last_use` moves when a request through lemond begins, and not again at its end (router.cpp). */
export function begin(entry: Entry, isStreaming: boolean): () => void {
  entry.lastUse = now();
  entry.inFlight += 1;
  if (isStreaming) entry.streaming += 1;
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    entry.inFlight -= 1;
    if (isStreaming) entry.streaming -= 1;
    if (entry.inFlight === 0) for (const go of entry.onQuiet.splice(0)) go();
  };
}
