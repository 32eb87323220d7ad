// What is counted. The names are contract; label sets are bounded: a slot, a remote, a route of ours, never what a client wrote.
import type { Label } from "./state.ts";

export interface Metrics {
  requestEnded(upstream: string, route: string, status: number): void;
  firstByte(upstream: string, seconds: number): void;
  upstreamDead(slot: string, error: string): void;
  /** `seconds` is null where nothing was tried (`backed_off`). */
  repaired(slot: string, outcome: Label, seconds: number | null): void;
  streamInterrupted(upstream: string): void;
}
