// A host below a folder of its own: its files, a program to install, and an installer's world with systemctl recorded.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InstallIo } from "../src/host/install.ts";

export const EXECUTABLE = "usr/local/bin/hal0-dispatch";
export const UNIT = "etc/systemd/system/hal0-dispatch.service";
export const CONFIG = "etc/hal0/dispatch.toml";
export const ENVIRONMENT = "etc/hal0/dispatch.env";
/** What install puts there. */
export const ALL = [CONFIG, ENVIRONMENT, UNIT, EXECUTABLE].sort();

export interface Recorder extends InstallIo {
  /** Commands. */
  readonly ran: string[];
  readonly said: string[];
  readonly faults: string[];
}

export function createHost() {
  const folder = mkdtempSync(join(tmpdir(), "hal0-install-"));
  const root = join(folder, "root");
  mkdirSync(root);
  const program = join(folder, "hal0-dispatch");
  writeFileSync(program, "version 1");
  return {
    /** Around the root, for what is not of the host. */
    folder,
    /** In the place of "/". */
    root,
    program,
    /** Every file, from the root. */
    files: (): string[] =>
      readdirSync(root, { recursive: true, encoding: "utf8" })
        .filter((name) => statSync(join(root, name)).isFile())
        .sort(),
    text: (name: string): string => readFileSync(join(root, name), "utf8"),
    mode: (name: string): string => (statSync(join(root, name)).mode & 0o777).toString(8),
    recorder: (more: Partial<InstallIo> = {}): Recorder => {
      const ran: string[] = [];
      const said: string[] = [];
      const faults: string[] = [];
      return {
        executable: program,
        uid: 0,
        systemRoot: root,
        hasSystemd: true,
        mostFetches: "65336",
        run: async (command) => {
          ran.push(command.join(" "));
          return { code: 0, said: "" };
        },
        out: (line) => void said.push(line),
        err: (line) => void faults.push(line),
        ran,
        said,
        faults,
        ...more,
      };
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}
