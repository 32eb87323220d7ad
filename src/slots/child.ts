// A child as one slot knows it: where it is, which process, and how it can be told from any other.
import type { LoadedModel } from "../lemonade/lemonade.ts";
import type { Probe } from "../lemonade/probe.ts";
import { watchProcess, type ProcessWatch } from "../lemonade/process.ts";
import type { ChildSign } from "./repair.ts";

export interface Child {
  readonly url: string;
  readonly pid: number | null;
  readonly checkpoint: string | null;
  readonly type: string;
  /** Null where the pid is not visible: then every attempt asks the port who it is, as where two models are listed at it. */
  readonly process: ProcessWatch | null;
  /** Listings asked for before this say nothing about it. */
  readonly knownSince: number;
  /** Health answers in a row that do not list it. */
  misses: number;
}

export function openChild({ url, pid, checkpoint, type }: LoadedModel, knownSince: number): Child {
  const process = pid === null ? null : watchProcess(pid, portOf(url));
  return { url, pid, checkpoint, type, process, knownSince, misses: 0 };
}

/** True when the listed model is this very child. */
export function isListedAs(child: Child, listed: LoadedModel): boolean {
  return child.url === listed.url && child.pid === listed.pid;
}

const IDENTITY_MS = 3000;

/**
 * What a fresh connection, or the process table, says of a child. `isShared`: another model is listed at its URL, so that a
 * process that lives may have lost its port.
 */
export async function signOf(child: Child, probe: Probe, isShared: boolean): Promise<"gone" | ChildSign> {
  const { url, checkpoint, process } = child;
  if (process?.isAlive() === false) return "gone";
  return checkpoint === null || (process && !isShared)
    ? probe.health(url)
    : probe.identity(url, checkpoint, AbortSignal.timeout(IDENTITY_MS));
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return Number(port || (protocol === "https:" ? 443 : 80));
}
