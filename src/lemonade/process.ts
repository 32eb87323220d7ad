// Knows whether a child's process still runs, where its pid is visible to us. Reads /proc, never signals.
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const ZERO = "0".charCodeAt(0);
const FRESH_MS = 1;

export interface ProcessWatch {
  /** False for a process that is gone or a zombie. 7 µs. */
  isAlive(): boolean;
  /** The same, at most a millisecond old: to connect takes as long. */
  wasAlive(): boolean;
  close(): void;
}

/**
 * Watches the process `pid` if it is the child that listens on `port`, else null: a pid of another namespace may be any
 * process here, so one of its arguments must name the port. The open file stays bound to this process even if its pid is
 * reused, so we need not compare start times.
 */
export function watchProcess(pid: number, port: number): ProcessWatch | null {
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/statm`, "r");
  } catch {
    return null; // No such process here, or /proc does not show it.
  }
  const byte = new Uint8Array(1);
  let isOpen = true;
  let aliveMs = -Infinity;
  const isAlive = (): boolean => {
    try {
      // Its size in pages comes first: a zombie has no memory left, so it reads `0 0 0 …`.
      return isOpen && readSync(fd, byte, 0, 1, 0) === 1 && byte[0] !== ZERO;
    } catch {
      return false; // ESRCH: reaped.
    }
  };
  if (!names(`/proc/${pid}/cmdline`, port)) {
    closeSync(fd);
    return null;
  }
  const wasAlive = (): boolean => {
    const nowMs = performance.now();
    if (isOpen && nowMs - aliveMs < FRESH_MS) return true;
    const is = isAlive();
    if (is) aliveMs = nowMs;
    return is;
  };
  return {
    isAlive,
    wasAlive,
    close: () => {
      if (isOpen) closeSync(fd);
      isOpen = false; // The number may be another file's from now on.
    },
  };
}

/** Watches the child that lemond lists, where its pid can be seen here. */
export function watchChild({ pid, url }: { readonly pid: number | null; readonly url: string }): ProcessWatch | null {
  const { port, protocol } = new URL(url);
  return pid === null ? null : watchProcess(pid, Number(port || (protocol === "https:" ? 443 : 80)));
}

function names(path: string, port: number): boolean {
  try {
    return readFileSync(path, "latin1")
      .split("\0")
      .some((argument) => new RegExp(`(?<!\\d)${port}(?!\\d)`).test(argument));
  } catch {
    return false;
  }
}
