// Reading the configuration's files: what is read is the caller's to say, here is how it can fail. Never writes.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** The two calls that configuration needs from a file system; both throw as node:fs does. */
export interface Files {
  readFile(path: string): string;
  /** Names inside the folder, without its path. */
  listFolder(path: string): readonly string[];
}

export const systemFiles: Files = {
  readFile: (path) => readFileSync(path, "utf8"),
  listFolder: (path) => readdirSync(path),
};

/** Whether every user can read the file, by its mode and those of the folders above it; access lists are not looked at. */
export function isOpenToAll(path: string): boolean {
  const isReachable = (folder: string): boolean =>
    (statSync(folder).mode & 0o001) !== 0 && (folder === dirname(folder) || isReachable(dirname(folder)));
  return (statSync(path).mode & 0o004) !== 0 && isReachable(dirname(path));
}

export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly isMissing: boolean; readonly reason: string };

/** Calls `read` and turns the error of a file system into words that follow a path: `does not exist`. */
export function attemptRead<T>(read: () => T): Read<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    const isMissing = code === "ENOENT" || code === "ENOTDIR";
    return { ok: false, isMissing, reason: REASONS[code] ?? `cannot be read (${code})` };
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist",
  EACCES: "cannot be read: permission denied",
  EISDIR: "is a folder, not a file",
};
