// A host below a folder of its own: its files, a program to install, and an installer's world with systemctl recorded.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HostIo } from "../src/host/steps.ts";

export const EXECUTABLE = "usr/local/bin/hal0-dispatch";
export const UNIT = "etc/systemd/system/hal0-dispatch.service";
export const CONFIG = "etc/hal0/dispatch.toml";
export const ENVIRONMENT = "etc/hal0/dispatch.env";
/** What install puts there. */
export const ALL = [CONFIG, ENVIRONMENT, UNIT, EXECUTABLE].sort();

/**
 * What `systemctl show` said of the service in an unprivileged LXC container with Debian 12 (systemd 252), state by state.
 * Each is written as what it changes in the answer for a service that runs.
 */
const RUNNING = {
  StatusText: "serving at http://127.0.0.1:8080",
  Result: "success",
  NRestarts: "0",
  ExecMainCode: "0",
  ExecMainStatus: "0",
  ProtectControlGroups: "yes",
  LoadState: "loaded",
  ActiveState: "active",
  SubState: "running",
  UnitFileState: "enabled",
  NeedDaemonReload: "no",
};
const failed = (ExecMainStatus: string): Partial<typeof RUNNING> => ({
  StatusText: "",
  Result: "exit-code",
  ExecMainCode: "1",
  ExecMainStatus,
  ActiveState: "failed",
  SubState: "failed",
});
const STOPPED = {
  StatusText: "waiting for requests in flight",
  ExecMainCode: "1",
  ActiveState: "inactive",
  SubState: "dead",
};
const AGAIN = { ActiveState: "activating", SubState: "auto-restart" };
const STATES = {
  running: {},
  "without its mounts": { ProtectControlGroups: "no" },
  everywhere: { StatusText: "serving at http://0.0.0.0:8080" },
  "configuration (2)": failed("2"),
  "no program (203)": failed("203"),
  "no user (217)": failed("217"),
  "no mounts (226)": failed("226"),
  "no mounts at all (226)": { ...failed("226"), ProtectControlGroups: "no" },
  "trying again (1)": { ...failed("1"), ...AGAIN },
  "given up (1)": { ...failed("1"), NRestarts: "5" },
  stopped: STOPPED,
  "started too often": { ...STOPPED, Result: "start-limit-hit", ActiveState: "failed", SubState: "failed" },
  killed: { Result: "signal", ExecMainCode: "2", ExecMainStatus: "9", ...AGAIN },
  masked: { StatusText: "", LoadState: "masked", ActiveState: "inactive", SubState: "dead", UnitFileState: "masked" },
  disabled: { UnitFileState: "disabled" },
  stale: { NeedDaemonReload: "yes" },
} satisfies Readonly<Record<string, Partial<typeof RUNNING>>>;

export type ServiceState = keyof typeof STATES;

export const shown = (state: ServiceState): string =>
  Object.entries({ ...RUNNING, ...STATES[state] })
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");

export interface Recorder extends HostIo {
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
    recorder: (more: Partial<HostIo> = {}): Recorder => {
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
          return { code: 0, said: command[1] === "show" ? shown("running") : "" };
        },
        address: async () => "192.168.1.20",
        isServing: async () => true,
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
