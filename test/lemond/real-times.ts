// How long things take at a real lemond and its children, in milliseconds: `startLemond({ ...realTimes })`.
import type { LemondOptions } from "./types.ts";

export const realTimes = {
  loadMs: 400,
  unloadMs: 2000,
  graceMs: 5000,
  closeMs: 60,
  endsAtTerm: "every-second",
  watchdogMs: 5000,
  deathNoticeMs: 5,
  pingMs: 30_000,
  idleMs: 5000,
} as const satisfies LemondOptions;
