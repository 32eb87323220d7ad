// Puts files below a root and takes them away again. Each appears whole or not at all; every error names the path.
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, sep } from "node:path";

/** One line for the operator. */
export class PlacingError extends Error {
  override readonly name = "PlacingError";
}

export type Placing = ReturnType<typeof createPlacing>;

/** Paths are those of the host (`/etc/hal0`); `root` is where the host's file system begins. */
export function createPlacing(root: string) {
  const at = (path: string): string => join(root, path);

  /** A link inside another root (`/usr/local` → `/var/usrlocal`) would lead into this machine's own files. */
  const inside = (path: string): string => {
    const full = at(path);
    let parent = dirname(full);
    while (!existsSync(parent)) parent = dirname(parent);
    const top = realpathSync(root);
    const isInside = realpathSync(parent) === top || realpathSync(parent).startsWith(top === sep ? sep : top + sep);
    if (!isInside) throw new PlacingError(`${full} leads out of ${root}`);
    return full;
  };

  const tried = <T>(what: string, path: string, action: (full: string) => T): T => {
    try {
      return action(inside(path));
    } catch (error) {
      if (error instanceof PlacingError) throw error;
      throw new PlacingError(`cannot ${what} ${at(path)}: ${reasonOf(error)}`, { cause: error });
    }
  };

  /** Written beside and renamed: a running program keeps its file, and nobody sees half a file. */
  const place = (path: string, mode: number, write: (temporary: string) => void): void =>
    tried("write", path, (full) => {
      mkdirSync(dirname(full), { recursive: true, mode: 0o755 });
      const temporary = `${full}.new-${process.pid}`;
      try {
        write(temporary);
        // Set whatever the umask: the service's own user must be able to read what it runs.
        chmodSync(temporary, mode);
        sync(temporary);
        renameSync(temporary, full);
      } finally {
        rmSync(temporary, { force: true });
      }
    });

  return {
    at,
    exists: (path: string): boolean => existsSync(at(path)),
    /** Null where there is none. */
    read: (path: string): string | null =>
      tried("read", path, (full) => (existsSync(full) ? readFileSync(full, "utf8") : null)),
    writeText: (path: string, mode: number, text: string): void =>
      place(path, mode, (temporary) => writeFileSync(temporary, text, { mode: 0o600 })),
    /** With the mode and the owner that it had. */
    rewriteText: (path: string, text: string): void => {
      const { mode, uid, gid } = tried("read", path, (full) => statSync(full));
      place(path, mode & 0o777, (temporary) => {
        writeFileSync(temporary, text, { mode: 0o600 });
        chownSync(temporary, uid, gid);
      });
    },
    copy: (from: string, path: string, mode: number): void =>
      place(path, mode, (temporary) => copyFileSync(from, temporary)),
    isSameFile: (other: string, path: string): boolean =>
      existsSync(at(path)) && realpathSync(other) === realpathSync(at(path)),
    makeFolder: (path: string): void =>
      tried("make", path, (full) => {
        mkdirSync(full, { recursive: true });
        chmodSync(full, 0o755);
      }),
    remove: (path: string): void => tried("remove", path, (full) => rmSync(full, { recursive: true, force: true })),
    /** False where something is left in it. */
    removeEmptyFolder: (path: string): boolean =>
      tried("remove", path, (full) => {
        try {
          rmdirSync(full);
          return true;
        } catch (error) {
          if (codeOf(error) === "ENOTEMPTY" || codeOf(error) === "ENOENT") return false;
          throw error;
        }
      }),
  };
}

function sync(path: string): void {
  const fd = openSync(path, "r");
  fsyncSync(fd);
  closeSync(fd);
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "unknown error";

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  ENOENT: "does not exist",
  ENOTDIR: "a part of the path is not a folder",
  EEXIST: "a part of the path is not a folder",
  EISDIR: "there is a folder of that name",
};
const reasonOf = (error: unknown): string => REASONS[codeOf(error)] ?? codeOf(error);
