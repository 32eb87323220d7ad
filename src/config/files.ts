// Reads the configuration's files, and words how that can fail. Never writes; callers say which files.
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

/** Whether that user can read the file, by its mode and those of the folders above it; null is a user without rights of its own. Access lists are not looked at. */
export function canRead(path: string, user: { readonly uid: number; readonly gid: number } | null): boolean {
  const has = (file: string, bit: number): boolean => {
    const { mode, uid, gid } = statSync(file);
    const shift = uid === user?.uid ? 6 : gid === user?.gid ? 3 : 0;
    return (mode & (bit << shift)) !== 0;
  };
  const isReachable = (folder: string): boolean =>
    has(folder, SEARCH) && (folder === dirname(folder) || isReachable(dirname(folder)));
  return has(path, READ) && isReachable(dirname(path));
}

const READ = 0o4;
const SEARCH = 0o1;

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
