// Installs the service and takes it away: what is written, in which order, and what systemd is told. A dry run prints the
// same plan instead. Never touches a configuration that is there, unless it is asked to purge.
import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import * as layout from "./layout.ts";
import { createPlacing, type Placing, PlacingError } from "./placing.ts";
import { LEMOND_UNITS, UNIT_NAME, unitText } from "./unit.ts";

export interface InstallFlags {
  readonly isDryRun: boolean;
  /** Another root than this machine's; systemd is told nothing there. */
  readonly root: string | null;
}

export interface UninstallFlags extends InstallFlags {
  readonly isPurge: boolean;
}

export interface InstallIo {
  /** The compiled program's own file; null when it runs from source. */
  readonly executable: string | null;
  readonly uid: number;
  /** Where this machine's files begin: "/". */
  readonly systemRoot: string;
  /** Whether systemd runs here. */
  readonly hasSystemd: boolean;
  readonly mostFetches: string;
  run(command: readonly string[]): Promise<{ readonly code: number; readonly said: string }>;
  out(line: string): void;
  err(line: string): void;
}

/** One thing to do, and how a dry run says it. */
interface Step {
  readonly said: string;
  readonly content?: string;
  readonly isCommand?: boolean;
  /** Null when done, else a line that says why not. */
  act(): Promise<string | null> | string | null;
}

/** Exit code: 0 done, 1 failed, 2 called in a way that cannot work. Installing again is the upgrade. */
export async function runInstall({ isDryRun, root }: InstallFlags, io: InstallIo): Promise<number> {
  const { executable } = io;
  if (executable === null && !isDryRun) {
    io.err(
      "install copies the built program, and this one runs from source: bun run build, then sudo dist/hal0-dispatch install",
    );
    return 2;
  }
  return carryOut({ isDryRun, root }, io, "install writes to /usr/local/bin and /etc", (placing) => {
    const hadFolder = placing.exists(layout.FOLDER);
    const steps = [
      executable === null
        ? said(`copy dist/hal0-dispatch to ${placing.at(layout.EXECUTABLE)}, mode 0755`)
        : copyStep(placing, executable),
      ...(hadFolder ? [] : [folderStep(placing)]),
      keptStep(placing, layout.CONFIG, 0o644, layout.configText()),
      keptStep(placing, layout.ENVIRONMENT, 0o600, layout.environmentText(!hadFolder)),
      writeStep(placing, layout.UNIT, 0o644, unitFor(placing, io.mostFetches)),
    ];
    const commands = [
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", UNIT_NAME],
      // Starts what does not run, and puts an upgrade in place of what does. Type=notify: it returns when the service listens.
      ["systemctl", "restart", UNIT_NAME],
    ];
    if (root === null && (io.hasSystemd || isDryRun))
      return [...steps, ...commands.map((command) => commandStep(command, io))];
    const where = root === null ? "systemd does not run here" : `nothing was started below ${root}`;
    return [...steps, said(`${where}; there: systemctl daemon-reload && systemctl enable --now ${UNIT_NAME}`)];
  });
}

/** The same exit codes. What is not there is passed over, so it can be run again. */
export async function runUninstall({ isDryRun, isPurge, root }: UninstallFlags, io: InstallIo): Promise<number> {
  return carryOut({ isDryRun, root }, io, "uninstall removes from /usr/local/bin and /etc", (placing) => {
    const hasUnit = placing.exists(layout.UNIT);
    const tellsSystemd = root === null && hasUnit && (io.hasSystemd || isDryRun);
    const isFolderOurs = isPurge && layout.isMarked(placing.read(layout.ENVIRONMENT) ?? "");
    const config = [layout.CONFIG, layout.ENVIRONMENT, layout.UNIT_EDITS].filter(placing.exists);
    const steps = [
      ...(tellsSystemd ? [commandStep(["systemctl", "disable", "--now", UNIT_NAME], io)] : []),
      ...[layout.UNIT, layout.EXECUTABLE].filter(placing.exists).map((path) => removeStep(placing, path)),
      ...(tellsSystemd ? [commandStep(["systemctl", "daemon-reload"], io)] : []),
      ...config.map((path) =>
        isPurge ? removeStep(placing, path) : said(`keep ${placing.at(path)} (--purge removes it)`),
      ),
      ...(isFolderOurs ? [emptyFolderStep(placing)] : []),
    ];
    return steps.length > 0 ? steps : [said("nothing to remove")];
  });
}

async function carryOut(
  { isDryRun, root }: InstallFlags,
  io: InstallIo,
  needsRoot: string,
  plan: (placing: Placing) => Step[],
): Promise<number> {
  if (root !== null && !isFolder(root)) {
    io.err(`--root: ${root} is not a folder`);
    return 2;
  }
  if (root === null && !isDryRun && io.uid !== 0) {
    io.err(`${needsRoot}: run it as root`);
    return 1;
  }
  try {
    for (const step of plan(createPlacing(root === null ? io.systemRoot : resolve(root)))) {
      io.out(step.isCommand ? `run ${step.said}` : step.said);
      if (isDryRun && step.content !== undefined) io.out(step.content.replace(/^(?=.)/gm, "    ").trimEnd());
      const fault = isDryRun ? null : await step.act();
      if (fault === null) continue;
      io.err(fault);
      return 1;
    }
    return 0;
  } catch (error) {
    if (!(error instanceof PlacingError)) throw error;
    io.err(error.message);
    return 1;
  }
}

const said = (line: string): Step => ({ said: line, act: () => null });

const done = (action: () => void) => () => {
  action();
  return null;
};

function copyStep(placing: Placing, executable: string): Step {
  const to = placing.at(layout.EXECUTABLE);
  if (placing.isSameFile(executable, layout.EXECUTABLE)) return said(`keep ${to}: it is this very program`);
  const act = done(() => placing.copy(executable, layout.EXECUTABLE, 0o755));
  return { said: `copy ${executable} to ${to}, mode 0755`, act };
}

function folderStep(placing: Placing): Step {
  return { said: `make ${placing.at(layout.FOLDER)}`, act: done(() => placing.makeFolder(layout.FOLDER)) };
}

function writeStep(placing: Placing, path: string, mode: number, content: string): Step {
  const saidMode = mode.toString(8).padStart(4, "0");
  const act = done(() => placing.writeText(path, mode, content));
  return { said: `write ${placing.at(path)}, mode ${saidMode}`, content, act };
}

function keptStep(placing: Placing, path: string, mode: number, content: string): Step {
  return placing.exists(path) ? said(`keep ${placing.at(path)}`) : writeStep(placing, path, mode, content);
}

function removeStep(placing: Placing, path: string): Step {
  return { said: `remove ${placing.at(path)}`, act: done(() => placing.remove(path)) };
}

function emptyFolderStep(placing: Placing): Step {
  const act = done(() => placing.removeEmptyFolder(layout.FOLDER));
  return { said: `remove ${placing.at(layout.FOLDER)} if nothing else is in it`, act };
}

function commandStep(command: readonly string[], io: InstallIo): Step {
  const line = command.join(" ");
  const act = async (): Promise<string | null> => {
    const { code, said } = await io.run(command);
    if (code === 0) return null;
    return `${line} failed: ${said.trim() || `exit ${code}`}; see journalctl -u hal0-dispatch -n 20`;
  };
  return { said: line, isCommand: true, act };
}

function unitFor(placing: Placing, mostFetches: string): string {
  const isThere = (unit: string): boolean => layout.UNIT_FOLDERS.some((folder) => placing.exists(`${folder}/${unit}`));
  const lemond = LEMOND_UNITS.find(isThere) ?? LEMOND_UNITS[0];
  return unitText({ executable: layout.EXECUTABLE, environmentFile: layout.ENVIRONMENT, lemond, mostFetches });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** This machine. */
export function systemInstallIo(executable: string | null, mostFetches: string): InstallIo {
  return {
    executable,
    uid: process.getuid?.() ?? -1,
    systemRoot: "/",
    // As sd_booted(3) asks it; the program alone may lie in a container that systemd does not run.
    hasSystemd: existsSync("/run/systemd/system") && Bun.which("systemctl") !== null,
    mostFetches,
    run: async (command) => {
      const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
      const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      return { code, said: `${out}${err}` };
    },
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`hal0-dispatch: ${line}\n`),
  };
}
